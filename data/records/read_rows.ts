/**
 * Rows of a file: JSON Lines, a JSON array, CSV, TSV or Parquet, packed by gzip or zstd or not.
 *
 * In: a path and a function that parses one row. Out: what the function makes of each row, in file
 * order, read as a stream: memory is bounded by the longest row, of Parquet by a row group.
 *
 * @module
 */

import { describeJsonFault } from "../../internal/json/describe_json_fault.ts";
import { describeValue } from "../../internal/json/describe_value.ts";
import { assertJsonLines } from "./assert_row_file.ts";
import { readCsv } from "./csv.ts";
import { readJsonArray } from "./json_array.ts";
import { readJsonLines } from "./json_lines.ts";
import { JsonlError } from "./jsonl_error.ts";
import type { RowLocation } from "./jsonl_error.ts";
import { lineText } from "./line_text.ts";
import { parseRowJson } from "./parse_row_json.ts";
import { readParquet } from "./parquet.ts";
import type { RawRow } from "./raw_row.ts";
import { openRowFile, type RowFile } from "./row_file.ts";

/** A line that holds nothing. */
export const BLANK_LINE: RegExp = /^[ \t\r]*$/;
/** Between two rows: inside a string JSON has no line break. */
const OLD_LINE_BREAK = /\}\r+[ \t]*\{/;

/** Options of {@linkcode readRows}. */
export interface ReadRowsOptions {
  /** Is told how many bytes of the file are read, after each piece of it. */
  readonly onRead?: (bytes: number) => void;
  /**
   * Takes the error of a row that cannot be used; the row is then left out.
   * @default {throws the error}
   */
  readonly onRefused?: (error: JsonlError) => void;
}

/**
 * Reads a file row by row. Its format is told by its content, whatever it is called.
 *
 * - JSON Lines: UTF-8 is checked line by line; a byte order mark is dropped from line 1; `\r\n` is
 *   accepted; blank lines are skipped but counted in line numbers; a row must be a JSON object.
 * - A JSON array of objects.
 * - CSV and TSV as RFC 4180 has them, their first line the names of the columns. Every cell is text,
 *   an empty one null.
 * - Parquet, packed by snappy, gzip, zstd, brotli or lz4.
 *
 * Needs `--allow-read` for the path.
 *
 * @param path the file, quoted in errors as given.
 * @param parse makes a `T` of one row, and throws a {@linkcode JsonlError} where it cannot.
 * @throws {JsonlError} if the file is missing, a directory, of another format or without rows, or if
 *   a row is bad.
 *
 * @example
 * ```ts
 * import { parseRecord, readRows } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * await writeFile(`${folder}/train.jsonl`, '{"question": "1+1?", "think": "Easy.", "answer": "2"}\n');
 * await writeFile(`${folder}/train.csv`, "question,think,answer\n1+1?,Easy.,2\n");
 * const expected = [{ kind: "question", question: "1+1?", think: "Easy.", answer: "2" }];
 * for (const name of ["train.jsonl", "train.csv"]) {
 *   const rows = await Array.fromAsync(readRows(`${folder}/${name}`, parseRecord));
 *   assert.deepEqual(rows, expected);
 * }
 * await rm(folder, { recursive: true });
 * ```
 */
export async function* readRows<T>(
  path: string,
  parse: (value: Record<string, unknown>, where: RowLocation) => T,
  { onRead, onRefused }: ReadRowsOptions = {},
): AsyncIterableIterator<T> {
  // Not by `using`, which Node 22 cannot read.
  const file = await openRowFile(path);
  try {
    const toValues = createRowParser();
    let rows = 0;
    for await (const raw of readRawRows(file, onRead)) {
      let made: T;
      try {
        const values = toValues(raw, rows === 0);
        if (values === undefined) continue;
        rows++;
        made = parse(values, raw.where);
      } catch (cause) {
        // What is wrong with the whole file is no row's fault.
        if (!onRefused || !(cause instanceof JsonlError) || cause.line === undefined) throw cause;
        rows++;
        onRefused(cause);
        continue;
      }
      yield made;
    }
    if (rows === 0) throw withoutRows(file);
  } finally {
    await file[Symbol.asyncDispose]();
  }
}

/** The rows of an open file, not yet parsed. */
export function readRawRows(
  file: RowFile,
  onRead?: (bytes: number) => void,
): AsyncGenerator<RawRow, void, undefined> {
  const { format, path } = file;
  switch (format.kind) {
    case "jsonl":
      return readJsonLines(file.chunks(onRead), path);
    case "json":
      return readJsonArray(file.chunks(onRead), path);
    case "csv":
      return readCsv(file.chunks(onRead), { path, delimiter: format.delimiter });
    case "parquet":
      return readParquet(file, onRead);
  }
}

/** The error of a file that has no row. */
export function withoutRows({ path, format }: RowFile): JsonlError {
  return new JsonlError(
    { file: path },
    "expected at least one row, got none" +
      (format.kind === "jsonl" ? "; write one JSON object a line" : ""),
  );
}

/** Makes values of rows; of a blank line `undefined`. */
function createRowParser(): (
  raw: RawRow,
  first: boolean,
) => Record<string, unknown> | undefined {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  return (raw, first) => {
    if ("fault" in raw) throw raw.fault;
    if ("values" in raw) return raw.values;
    const { json, where } = raw;
    return parseJson(lineText(decoder, json, where), { where, first });
  };
}

/** Parses the text of one row. */
function parseJson(
  text: string,
  { where, first }: {
    readonly where: RowLocation;
    /** Whether no row came before it, so that it tells what the file is. */
    readonly first: boolean;
  },
): Record<string, unknown> | undefined {
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
    throw new JsonlError(where, `expected a JSON object, got ${describeValue(value)}`);
  }
  return value as Record<string, unknown>;
}
