/**
 * The rows of a JSON Lines file as Python reads them, to be written again without loss.
 *
 * In: the bytes of a file. Out: its rows, which are kept as bytes and parsed when asked for, so that
 * memory is the file's size and little more; and the columns of all rows together.
 */

import { applySchema, emptySchema, extendSchema } from "./dataset_schema.ts";
import type { DatasetSchema } from "./dataset_schema.ts";
import { quoteHead } from "../../internal/json/describe_value.ts";
import { assertJsonLines, assertText } from "./assert_json_lines.ts";
import { JsonlError } from "./jsonl_error.ts";
import { parsePythonJson, PythonNumber } from "../../internal/json/python_json.ts";
import type { PythonJson } from "../../internal/json/python_json.ts";
import { lineText } from "./line_text.ts";

/** Longest line, as in readJsonl: what is longer could not be trained on. */
const MAX_LINE_BYTES = 4 * 1024 * 1024;
const NEWLINE = 0x0a;
const BLANK = /^[ \t\r]*$/;

/** Rows that were all found to be good. */
export interface DatasetRows {
  /** How many rows there are. */
  readonly length: number;
  /** Row `index` with every column of the file, and its 1-based line. */
  row(index: number): { readonly value: Map<string, PythonJson>; readonly line: number };
  /** Names of the columns, in the order in which they first came. */
  readonly columns: readonly string[];
}

/**
 * Checks a file's rows.
 *
 * @param file the path, quoted in errors.
 * @throws {JsonlError} if a line is not a JSON object in UTF-8, or there is none.
 *
 * @example
 * ```ts
 * import { formatPythonJson, readDatasetRows } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const bytes = new TextEncoder().encode('{"a":4.0}\n{"b":1}\n');
 * const rows = readDatasetRows(bytes, "rows.jsonl");
 * assert.equal(formatPythonJson(rows.row(1).value), '{"a": null, "b": 1}');
 * ```
 */
export function readDatasetRows(bytes: Uint8Array, file: string): DatasetRows {
  assertText(bytes, file);
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const schema: DatasetSchema = emptySchema();
  const starts: number[] = [];
  const ends: number[] = [];
  const lines: number[] = [];
  const parse = (start: number, end: number, line: number): Map<string, PythonJson> | undefined =>
    parseLine(decoder, bytes.subarray(start, end), { file, line });
  let line = 1;
  const bom = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  for (let start = bom ? 3 : 0; start < bytes.length; line++) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline === -1 ? bytes.length : newline;
    const row = parse(start, end, line);
    if (row !== undefined) {
      extendSchema(schema, row);
      starts.push(start);
      ends.push(end);
      lines.push(line);
    }
    start = end + 1;
  }
  if (starts.length === 0) {
    throw new JsonlError(
      { file },
      "expected at least one row, got none; write one JSON object a line",
    );
  }
  return {
    length: starts.length,
    columns: [...schema.columns.keys()],
    row(index: number): { value: Map<string, PythonJson>; line: number } {
      const row = parse(starts[index], ends[index], lines[index])!;
      return { value: applySchema(schema, row) as Map<string, PythonJson>, line: lines[index] };
    },
  };
}

function parseLine(
  decoder: TextDecoder,
  bytes: Uint8Array,
  where: { readonly file: string; readonly line: number },
): Map<string, PythonJson> | undefined {
  if (bytes.length > MAX_LINE_BYTES) {
    throw new JsonlError(
      where,
      `expected a line of at most ${MAX_LINE_BYTES} bytes, got ${bytes.length}; write one JSON object a line`,
    );
  }
  const text = lineText(decoder, bytes, where);
  if (BLANK.test(text)) return undefined;
  let value: PythonJson;
  try {
    value = parsePythonJson(text);
  } catch (cause) {
    assertJsonLines(text, { where, first: where.line === 1 });
    const { message } = cause as SyntaxError;
    throw new JsonlError(where, `expected a JSON object, got invalid JSON: ${message}`, { cause });
  }
  if (value instanceof Map) return value;
  if (Array.isArray(value)) assertJsonLines(text, { where, first: where.line === 1 });
  throw new JsonlError(where, `expected a JSON object, got ${describe(value)}`);
}

function describe(value: PythonJson): string {
  if (value instanceof PythonNumber) return `number ${value.text.slice(0, 24)}`;
  if (Array.isArray(value)) return `array of ${value.length}`;
  if (typeof value === "string") return `string ${quoteHead(value)}`;
  return value === null ? "null" : `boolean ${value}`;
}
