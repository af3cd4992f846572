/**
 * Packed examples in a file that is whole or not there at all.
 *
 * In: a path, a key and examples, one by one. Out: the file, staged under another name and renamed;
 * or, from such a file with the same key, the examples again, read one at a time.
 *
 * Layout, in little-endian 32-bit integers: the ids of all examples end to end; four columns, one
 * number an example each (tokens, supervised tokens, endings, lines); then JSON: the key, the counts
 * and the report; its length in bytes; and the sha256 of all that comes before, 32 bytes.
 */

import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { open, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isCount } from "../../internal/json/is_count.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import type { RowUnit } from "../records/jsonl_error.ts";
import type { LocatedExample } from "./encode_rows.ts";
import {
  bytesOf,
  type ExampleColumns,
  ExamplePacker,
  PackedExamples,
  type TokenSink,
  type TokenStorage,
} from "./packed_examples.ts";
import type { ReadExamplesReport } from "./read_examples_report.ts";

/** Raised when the layout changes, or what examples are made of the same inputs. */
const FORMAT = 3;
const EXTENSION = ".tokens";
const STAGING_PREFIX = ".staging-";
const WRITE_CHUNK = 1 << 20;
const READ_CHUNK = 1 << 22;
const HASH_BYTES = 32;
const NUMBER_BYTES = 4;
/** A report lists three line numbers a row at most: of a million rows it has some 25 MB. */
const MAX_JSON_BYTES = 1 << 28;
const COLUMNS = ["lengths", "supervised", "endings", "lines"] as const;

/** The name of the file of a key. */
export function tokenFileName(key: string): string {
  if (/^[\w-]+$/.test(key)) return `${key}${EXTENSION}`;
  throw new RangeError(
    `Cannot name a token file after the key ${JSON.stringify(key)}: give a hash in hexadecimal`,
  );
}

/** Removes the token files of a folder, staged ones too, but for those whose paths are given. */
export async function removeOtherTokenFiles(
  directory: string,
  kept: ReadonlySet<string>,
): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.endsWith(EXTENSION) || kept.has(join(directory, name))) continue;
    await rm(join(directory, name));
  }
}

/** What a file says besides tokens and columns. */
interface TokenFileFacts {
  readonly format: typeof FORMAT;
  readonly key: string;
  readonly examples: number;
  readonly tokens: number;
  /** As {@linkcode PackedExamples.sha256}. */
  readonly sha256: string;
  readonly report: ReadExamplesReport;
}

/** Which file, and what it must have been made of. */
export interface TokenFileOptions {
  /** Where the file is. */
  readonly path: string;
  /** What decides its content, hashed. */
  readonly key: string;
  /** The file of the rows, for the examples' sources. */
  readonly source: string;
  /** What their lines count. @default {"line"} */
  readonly unit?: RowUnit;
}

/** What a file holds. */
export interface TokenFileContent {
  readonly examples: PackedExamples;
  readonly report: ReadExamplesReport;
}

/** Writes a file; one that is disposed of before it is finished leaves nothing. */
export class TokenFileWriter implements TokenSink, Disposable {
  readonly #path: string;
  readonly #staging: string;
  readonly #key: string;
  readonly #packer: ExamplePacker = new ExamplePacker(this);
  readonly #hash = createHash("sha256");
  readonly #buffer = new Uint8Array(WRITE_CHUNK);
  #filled = 0;
  #file: number | undefined;

  /** Opens the staged file; its folder must be there. */
  constructor({ path, key }: Pick<TokenFileOptions, "path" | "key">) {
    this.#path = path;
    this.#key = key;
    this.#staging = join(dirname(path), `${STAGING_PREFIX}${basename(path)}`);
    this.#file = openSync(this.#staging, "w");
  }

  /** Takes one more example. */
  add(example: LocatedExample): void {
    this.#packer.add(example);
  }

  append(ids: Int32Array): void {
    this.#write(bytesOf(ids));
  }

  /** Writes the rest and gives the file its name. */
  finish(report: ReadExamplesReport): void {
    const { sha256, ...columns } = this.#packer.finish();
    const { examples, tokens } = report;
    const facts: TokenFileFacts = {
      format: FORMAT,
      key: this.#key,
      examples,
      tokens,
      sha256,
      report,
    };
    for (const name of COLUMNS) this.#write(bytesOf(columns[name]));
    const json = new TextEncoder().encode(JSON.stringify(facts));
    this.#write(json);
    this.#write(bytesOf(Int32Array.of(json.length)));
    this.#flush();
    this.#write(this.#hash.digest());
    this.#writeOut();
    // Not synced to the disk: a file that a power cut spoils has another hash, and is made anew.
    this.#close();
    renameSync(this.#staging, this.#path);
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) this.#close();
    // Gone already where it has got its name.
    rmSync(this.#staging, { force: true });
  }

  #write(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length;) {
      const part = bytes.subarray(from, from + WRITE_CHUNK - this.#filled);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      from += part.length;
      if (this.#filled === WRITE_CHUNK) this.#flush();
    }
  }

  #flush(): void {
    this.#hash.update(this.#buffer.subarray(0, this.#filled));
    this.#writeOut();
  }

  #writeOut(): void {
    for (let from = 0; from < this.#filled;) {
      from += writeSync(this.#file!, this.#buffer, from, this.#filled - from);
    }
    this.#filled = 0;
  }

  #close(): void {
    closeSync(this.#file!);
    this.#file = undefined;
  }
}

/** Which file is opened, and what bounds its ids. */
export interface OpenTokenFileOptions extends TokenFileOptions {
  /** Ids are below this one: the tokenizer's `vocabSize`. */
  readonly vocabSize: number;
}

/**
 * Opens a file; `undefined` where there is none, or it is cut, changed, of another key, or holds what
 * no tokenizer of that many tokens has made of any rows.
 *
 * All of it is read once, to compare its hash.
 */
export async function openTokenFile(
  { path, key, source, unit, vocabSize }: OpenTokenFileOptions,
): Promise<TokenFileContent | undefined> {
  const bytes = await bytesBeforeHash(path);
  if (bytes === undefined) return undefined;
  const file = openSync(path, "r");
  const tokens: TokenStorage = {
    read: (offset, into) => readAt(file, offset * NUMBER_BYTES, bytesOf(into), path),
    [Symbol.dispose]: () => closeSync(file),
  };
  try {
    const facts = readFacts(file, { path, key, bytes });
    if (facts !== undefined && await isWhole(path, { bytes, tokens: facts.tokens, vocabSize })) {
      const columns = readColumns(file, { path, facts });
      if (columns !== undefined) {
        const { sha256, report } = facts;
        return {
          examples: new PackedExamples({ ...columns, tokens, file: source, unit, sha256 }),
          report,
        };
      }
    }
  } catch (cause) {
    tokens[Symbol.dispose]();
    throw cause;
  }
  tokens[Symbol.dispose]();
}

/** How many bytes come before the hash at the end of a file; `undefined` where it can have none. */
async function bytesBeforeHash(path: string): Promise<number | undefined> {
  try {
    const status = await stat(path);
    const bytes = status.size - HASH_BYTES;
    return status.isFile() && bytes >= NUMBER_BYTES ? bytes : undefined;
  } catch (cause) {
    const { code } = cause as { readonly code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw cause;
  }
}

/** Whether the bytes before the hash are what it says, and the ids they begin with a vocabulary's. */
async function isWhole(
  path: string,
  { bytes, tokens, vocabSize }: {
    readonly bytes: number;
    readonly tokens: number;
    readonly vocabSize: number;
  },
): Promise<boolean> {
  const file = await open(path, "r");
  try {
    const hash = createHash("sha256");
    const buffer = new Uint8Array(READ_CHUNK);
    for (let at = 0; at < bytes;) {
      // Whole numbers at a time.
      const wanted = Math.min(READ_CHUNK, bytes - at);
      let filled = 0;
      while (filled < wanted) {
        const { bytesRead } = await file.read(buffer, filled, wanted - filled, at + filled);
        if (bytesRead === 0) return false;
        filled += bytesRead;
      }
      hash.update(buffer.subarray(0, filled));
      const ids = Math.min(filled / NUMBER_BYTES, tokens - at / NUMBER_BYTES);
      if (ids > 0 && !areIds(new Int32Array(buffer.buffer, 0, ids), vocabSize)) return false;
      at += filled;
    }
    const { bytesRead } = await file.read(buffer, 0, HASH_BYTES, bytes);
    return hash.digest().equals(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

function areIds(ids: Int32Array, vocabSize: number): boolean {
  for (let i = 0; i < ids.length; i++) if (ids[i] < 0 || ids[i] >= vocabSize) return false;
  return true;
}

/** What a file says of itself; `undefined` where it is of another key, or its parts do not add up. */
function readFacts(
  file: number,
  { path, key, bytes }: { readonly path: string; readonly key: string; readonly bytes: number },
): TokenFileFacts | undefined {
  const [jsonBytes] = readNumbers(file, { path, at: bytes - NUMBER_BYTES, count: 1 });
  const jsonAt = bytes - NUMBER_BYTES - jsonBytes;
  if (jsonBytes < 2 || jsonBytes > MAX_JSON_BYTES || jsonAt < 0) return undefined;
  const json = new Uint8Array(jsonBytes);
  readAt(file, jsonAt, json, path);
  const facts = parseFacts(new TextDecoder().decode(json));
  if (facts === undefined || facts.key !== key) return undefined;
  const numbers = facts.tokens + COLUMNS.length * facts.examples;
  return numbers * NUMBER_BYTES === jsonAt ? facts : undefined;
}

/** The columns, if they are those of examples. */
function readColumns(
  file: number,
  { path, facts: { examples: count, tokens } }: {
    readonly path: string;
    readonly facts: TokenFileFacts;
  },
): ExampleColumns | undefined {
  const column = (index: number): Int32Array =>
    readNumbers(file, { path, at: NUMBER_BYTES * (tokens + index * count), count });
  const [lengths, supervised, endings, lines] = COLUMNS.map((_, index) => column(index));
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const possible = supervised[i] >= 0 && supervised[i] <= lengths[i] && endings[i] >= 0 &&
      lines[i] >= 1;
    if (!possible) return undefined;
    sum += lengths[i];
  }
  return sum === tokens ? { lengths, supervised, endings, lines } : undefined;
}

/** Any file may end with its own hash; only one of ours has facts. */
function parseFacts(text: string): TokenFileFacts | undefined {
  let facts: unknown;
  try {
    facts = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(facts) || facts.format !== FORMAT) return undefined;
  const { key, examples, tokens, sha256, report } = facts;
  const known = typeof key === "string" && typeof sha256 === "string" &&
    /^[0-9a-f]{64}$/.test(sha256) && isReport(report) && report.examples === examples &&
    report.tokens === tokens;
  return known ? { format: FORMAT, key, examples, tokens, sha256, report } : undefined;
}

const COUNTS = ["rows", "examples", "tokens", "supervisedTokens"] as const;
const LINES = ["truncated", "unterminated", "unlabelled", "dropped"] as const;

/** Whether a value is made of what reports are: counts, and lists of counts and of records. */
function isReport(value: unknown): value is ReadExamplesReport {
  if (!isRecord(value)) return false;
  const isPart = (part: unknown): boolean =>
    isCount(part) ||
    Array.isArray(part) && part.every((item) => isCount(item) || isRecord(item));
  return COUNTS.every((name) => isCount(value[name])) &&
    LINES.every((name) => Array.isArray(value[name])) && Object.values(value).every(isPart);
}

function readNumbers(
  file: number,
  { path, at, count }: { readonly path: string; readonly at: number; readonly count: number },
): Int32Array {
  const numbers = new Int32Array(count);
  readAt(file, at, bytesOf(numbers), path);
  return numbers;
}

function readAt(file: number, at: number, into: Uint8Array, path: string): void {
  for (let from = 0; from < into.length;) {
    const count = readSync(file, into, from, into.length - from, at + from);
    if (count === 0) {
      throw new Error(
        `Cannot read ${path}: it was cut while it was in use; start again, and it is made anew`,
      );
    }
    from += count;
  }
}
