/**
 * What a tokenizer makes of the hostile texts, hashed in blocks as tests/fixtures/tokenizers has it.
 *
 * In: a tokenizer, texts. Out: a hash of ids and one of decoded texts for each block of 64.
 */

import { createHash } from "node:crypto";
import type { Tokenizer } from "../../data/text/tokenizer.ts";

/** What the Rust library made of them. */
export interface TokenizerFacts {
  readonly name: string;
  /** The ids of the first texts. */
  readonly rows: readonly (readonly number[])[];
  readonly ids: string;
  /** Absent where how tokens are joined is not in question. */
  readonly texts?: string;
}

/** How many texts share a hash. */
export const BLOCK = 64;

/** The hashes of a tokenizer. */
export function factsOf(
  tokenizer: Tokenizer,
  texts: readonly string[],
  decodes: boolean,
): Omit<TokenizerFacts, "name"> {
  const rows = texts.map((text) => tokenizer.encode(text));
  return {
    rows: rows.slice(0, 2).map((row) => [...row]),
    ids: hashes(rows, idBytes),
    texts: decodes
      ? hashes(rows, (row) => new TextEncoder().encode(`${tokenizer.decode(row)}\0`))
      : undefined,
  };
}

function hashes(rows: readonly Int32Array[], write: (row: Int32Array) => Uint8Array): string {
  const found: string[] = [];
  for (let at = 0; at < rows.length; at += BLOCK) {
    const hash = createHash("sha256");
    for (const row of rows.slice(at, at + BLOCK)) hash.update(write(row));
    found.push(hash.digest("hex").slice(0, 8));
  }
  return found.join(" ");
}

function idBytes(row: Int32Array): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(4 * (row.length + 1)));
  bytes.setUint32(0, row.length, true);
  row.forEach((id, index) => bytes.setUint32(4 * (index + 1), id, true));
  return new Uint8Array(bytes.buffer);
}

/** The numbers of the blocks that differ. */
export function differing(expected = "", actual = ""): number[] {
  const other = actual.split(" ");
  return expected.split(" ").flatMap((hash, index) => hash === other[index] ? [] : [index]);
}
