/**
 * Rows of a JSON Lines file.
 *
 * In: a path and a function that parses one JSON object. Out: what the function makes of each row,
 * in file order, read as a stream (memory is bounded by the longest line).
 *
 * Lines end at \n or \r\n only: U+2028 inside a string does not split a row.
 *
 * @module
 */

import { open, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { findRegularFile, isAbsent } from "../../internal/regular_file.ts";
import { describeJsonFault } from "../../internal/json/describe_json_fault.ts";
import { describeValue } from "../../internal/json/describe_value.ts";
import { assertJsonLines, assertText } from "./assert_json_lines.ts";
import { JsonlError } from "./jsonl_error.ts";
import type { RowLocation } from "./jsonl_error.ts";
import { lineText } from "./line_text.ts";
import { parseRowJson } from "./parse_row_json.ts";

/**
 * Longest line accepted, 4 MiB: over a hundred times a 2048-token example, and short enough that a
 * file without line breaks (a binary, one JSON array) is refused before it fills the memory.
 */
const MAX_LINE_BYTES = 4 * 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BLANK_LINE = /^[ \t\r]*$/;
/** Between two rows: inside a string JSON has no line break. */
const OLD_LINE_BREAK = /\}\r+[ \t]*\{/;

/** Options of {@linkcode readJsonl}. */
export interface ReadJsonlOptions {
  /** Is told how many bytes of the file are read, after each piece of it. */
  readonly onRead?: (bytes: number) => void;
  /**
   * Takes the error of a row that cannot be used; the row is then left out.
   * @default {throws the error}
   */
  readonly onRefused?: (error: JsonlError) => void;
}

/**
 * Reads a JSON Lines file row by row.
 *
 * UTF-8 is checked line by line; a byte order mark is dropped from line 1; `\r\n` is accepted;
 * blank lines are skipped but counted in line numbers; a row must be a JSON object.
 *
 * Needs `--allow-read` for the path.
 *
 * @param path the file, quoted in errors as given.
 * @param parse makes a `T` of one row, and throws a {@linkcode JsonlError} where it cannot.
 * @throws {JsonlError} if the file is missing, a directory or without rows, or if a row is bad.
 *
 * @example
 * ```ts
 * import { parseRecord, readJsonl } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const row = '{"question": "1+1?", "think": "Easy.", "answer": "2"}';
 * await writeFile(`${folder}/train.jsonl`, `${row}\n`);
 * const rows = await Array.fromAsync(readJsonl(`${folder}/train.jsonl`, parseRecord));
 * assert.deepEqual(rows, [{ kind: "question", question: "1+1?", think: "Easy.", answer: "2" }]);
 * await rm(folder, { recursive: true });
 * ```
 */
export async function* readJsonl<T>(
  path: string,
  parse: (value: Record<string, unknown>, where: RowLocation) => T,
  { onRead, onRefused }: ReadJsonlOptions = {},
): AsyncIterableIterator<T> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let rows = 0;
  for await (const { bytes, where } of readLines(path, onRead)) {
    let made: T;
    try {
      const value = parseLine(decoder, bytes, { where, first: rows === 0 });
      if (value === undefined) continue;
      rows++;
      made = parse(value, where);
    } catch (cause) {
      // What is wrong with the whole file is no row's fault.
      if (!onRefused || !(cause instanceof JsonlError) || cause.line === undefined) throw cause;
      rows++;
      onRefused(cause);
      continue;
    }
    yield made;
  }
  if (rows === 0) {
    throw new JsonlError(
      { file: path },
      "expected at least one row, got none; write one JSON object a line",
    );
  }
}

/** Parses one line; a blank one gives `undefined`. */
function parseLine(
  decoder: TextDecoder,
  bytes: Uint8Array,
  { where, first }: {
    readonly where: RowLocation;
    /** Whether no row came before it, so that it tells what the file is. */
    readonly first: boolean;
  },
): Record<string, unknown> | undefined {
  const text = lineText(decoder, bytes, where);
  if (BLANK_LINE.test(text)) return undefined;
  let value: unknown;
  try {
    value = parseRowJson(text);
  } catch (cause) {
    assertJsonLines(text, { where, first });
    if (OLD_LINE_BREAK.test(text)) {
      throw new JsonlError(
        where,
        "expected one JSON object a line, got lines that end with \\r alone; save the file with \\n",
        { cause },
      );
    }
    throw new JsonlError(where, `expected a JSON object, got ${describeJsonFault(text)}`, {
      cause,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    if (Array.isArray(value)) assertJsonLines(text, { where, first });
    throw new JsonlError(where, `expected a JSON object, got ${describeValue(value)}`);
  }
  return value as Record<string, unknown>;
}

interface Line {
  /** The bytes of the line without its ending; valid until the next line is asked for. */
  readonly bytes: Uint8Array;
  readonly where: RowLocation;
}

async function* readLines(
  path: string,
  onRead?: (bytes: number) => void,
): AsyncGenerator<Line, void, undefined> {
  const handle = await openFile(path);
  try {
    const chunk = new Uint8Array(CHUNK_BYTES);
    let carried: Uint8Array[] = [];
    let carriedLength = 0;
    let line = 1;
    let total = 0;
    const take = (tail: Uint8Array): Line => {
      const where = { file: path, line };
      if (carriedLength + tail.length > MAX_LINE_BYTES) {
        throw new JsonlError(
          where,
          `expected a line of at most ${MAX_LINE_BYTES} bytes, got a longer one; write one JSON object a line`,
        );
      }
      const bytes = carriedLength === 0 ? tail : concat([...carried, tail]);
      carried = [];
      carriedLength = 0;
      return { bytes: trimLine(bytes, line++), where };
    };
    while (true) {
      const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) break;
      if (total === 0) assertText(chunk.subarray(0, bytesRead), path);
      let start = 0;
      for (
        let end = chunk.indexOf(NEWLINE);
        end !== -1 && end < bytesRead;
        end = chunk.indexOf(NEWLINE, start)
      ) {
        yield take(chunk.subarray(start, end));
        start = end + 1;
      }
      carried.push(chunk.slice(start, bytesRead));
      carriedLength += bytesRead - start;
      if (carriedLength > MAX_LINE_BYTES) take(new Uint8Array(0));
      onRead?.(total += bytesRead);
    }
    if (carriedLength > 0) yield take(new Uint8Array(0));
  } finally {
    await handle.close();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  const refused = (problem: string, cause?: unknown): JsonlError =>
    new JsonlError({ file: path }, problem, { cause });
  try {
    if ((await stat(path)).isDirectory()) {
      throw refused("expected a JSON Lines file, got a directory; name a file in it");
    }
    // It is read more than once, and a pipe or a device may never end.
    const found = await findRegularFile(path, { root: null });
    if (found.path === undefined) {
      throw refused(`cannot open the file: it ${found.problem}; copy it to a file of its own`);
    }
    return await open(found.path, "r");
  } catch (cause) {
    if (cause instanceof JsonlError) throw cause;
    if (isAbsent(cause)) {
      throw refused("expected a JSON Lines file, got no such file", cause);
    }
    throw refused(
      `cannot open the file: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    );
  }
}

/** Drops the `\r` of `\r\n`, and the byte order mark of line 1. */
function trimLine(bytes: Uint8Array, line: number): Uint8Array {
  const bom = line === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return bytes.subarray(bom ? 3 : 0, bytes.at(-1) === CARRIAGE_RETURN ? -1 : undefined);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
