/**
 * An example token by token, as a table for people.
 *
 * In: an example and its tokenizer. Out: rows of position, id, text and whether it is supervised;
 * and the same as lines of text.
 *
 * @module
 */

import { type Example, IGNORED } from "./example.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** One token of an example. */
export interface TokenRow {
  /** 0-based place in the example. */
  readonly position: number;
  /** Its id. */
  readonly id: number;
  /** Its text with control characters shown; bytes of a cut character as `\xE4`. */
  readonly text: string;
  /** Whether the model is taught to write it. */
  readonly supervised: boolean;
}

/** What of the table is shown, and how. */
export interface FormatTokenTableOptions {
  /** Rows shown from the start. @default 40 */
  readonly head?: number;
  /** Rows shown from the end. @default 20 */
  readonly tail?: number;
  /** Whether to dim what is not supervised, for a terminal. @default false */
  readonly color?: boolean;
}

const DIM = "\x1b[2m";
const RESET = "\x1b[0m";
// Long enough for every token of common vocabularies but runs of blanks.
const MAX_TEXT = 48;

/**
 * The rows of an example.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer } from "@ortune/ortune";
 * import { joinExample, tokenTable } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const example = joinExample(tokenizer.encode("a\n"), tokenizer.encode("b<|im_end|>"), {
 *   maxLength: 8,
 *   terminated: true,
 * });
 * assert.deepEqual(tokenTable(example, tokenizer).map(({ text }) => text), [
 *   "a",
 *   "\\n",
 *   "b",
 *   "<|im_end|>",
 * ]);
 * ```
 */
export function tokenTable(example: Example, tokenizer: Tokenizer): TokenRow[] {
  return Array.from(example.inputIds, (id, position) => ({
    position,
    id,
    text: tokenText(id, tokenizer),
    supervised: example.labels[position] !== IGNORED,
  }));
}

/**
 * The rows as lines of text, the middle left out; the first line names the columns.
 *
 * @example
 * ```ts
 * import { formatTokenTable } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const row = { position: 0, id: 72, text: "H", supervised: true };
 * assert.deepEqual(formatTokenTable([row]), [
 *   "position      id  supervised  text",
 *   "       0      72  yes         H",
 * ]);
 * ```
 */
export function formatTokenTable(
  rows: readonly TokenRow[],
  { head = 40, tail = 20, color = false }: FormatTokenTableOptions = {},
): string[] {
  const line = ({ position, id, text, supervised }: TokenRow): string => {
    const cells = `${pad(position, 8)}  ${pad(id, 6)}  ${
      supervised ? "yes" : "-  "
    }         ${text}`;
    return color && !supervised ? `${DIM}${cells}${RESET}` : cells;
  };
  const left = rows.length - head - tail;
  const shown = left > 0
    ? [
      ...rows.slice(0, head).map(line),
      `       …  ${left} tokens left out, ${
        rows.slice(head, head + left).filter(({ supervised }) => supervised).length
      } of them supervised`,
      ...rows.slice(rows.length - tail).map(line),
    ]
    : rows.map(line);
  return ["position      id  supervised  text", ...shown];
}

function pad(value: number, width: number): string {
  return String(value).padStart(width);
}

/** A token's text; where it is only part of a character, its bytes. */
function tokenText(id: number, tokenizer: Tokenizer): string {
  let text: string;
  try {
    const bytes = tokenizer.tokenBytes(id);
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return Array.from(bytes, (byte) => `\\x${byte.toString(16).toUpperCase().padStart(2, "0")}`)
        .join("");
    }
  } catch {
    // Not a byte-level vocabulary.
    text = tokenizer.decode([id]);
  }
  const visible = showControls(text);
  return visible.length > MAX_TEXT ? `${visible.slice(0, MAX_TEXT)}…` : visible;
}

/** Control characters, and blanks at either end that would not be seen, as escapes. */
function showControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|^ | $/gu, (char) => {
    if (char === " ") return "␣";
    const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
    return named[char] ?? `\\u{${char.codePointAt(0)!.toString(16).toUpperCase()}}`;
  });
}
