/**
 * The rows of files as Python reads them, to be written again without loss.
 *
 * In: paths of files of rows. Out: their rows, which are kept as JSON in bytes and parsed when asked
 * for, so that memory is the rows' size and little more; and the columns of all rows together.
 */

import {
  formatFloat,
  formatPythonJson,
  parsePythonJson,
  PythonNumber,
} from "../../internal/json/python_json.ts";
import type { PythonJson } from "../../internal/json/python_json.ts";
import { describeValue, quoteHead } from "../../internal/json/describe_value.ts";
import { assertJsonLines } from "./assert_row_file.ts";
import { applySchema, emptySchema, extendSchema } from "./dataset_schema.ts";
import type { DatasetSchema } from "./dataset_schema.ts";
import { JsonlError } from "./jsonl_error.ts";
import type { RowLocation, RowUnit } from "./jsonl_error.ts";
import { lineText } from "./line_text.ts";
import type { RawRow } from "./raw_row.ts";
import { BLANK_LINE, readRawRows, withoutRows } from "./read_rows.ts";
import { openRowFile } from "./row_file.ts";
import { unitOf } from "./row_format.ts";

/** Most bytes of rows: they are held in memory, and a data set for fine-tuning has some megabytes. */
const MAX_BYTES = 2 ** 30;
/** Bytes of a block that rows are kept in, if none is longer. */
const BLOCK_BYTES = 1 << 22;

/** Rows that were all found to be good. */
export interface DatasetRows {
  /** How many rows there are. */
  readonly length: number;
  /** Row `index` with every column of the files, and where it stands. */
  row(index: number): { readonly value: Map<string, PythonJson>; readonly where: RowLocation };
  /** Names of the columns, in the order in which they first came. */
  readonly columns: readonly string[];
}

/** Options of {@linkcode readDatasetRows}. */
export interface ReadDatasetRowsOptions {
  /** Most rows: those after them are not read. @default all */
  readonly maxRows?: number;
}

/**
 * Reads the rows of one or several files, in order, and checks them. Formats are those of
 * {@linkcode readRows}. Of Parquet, whole numbers stay whole and dates are ISO 8601 text.
 *
 * Needs `--allow-read` for the paths.
 *
 * @throws {JsonlError} if a file has no row, a row is not an object, or all of them have over 1 GiB.
 *
 * @example
 * ```ts
 * import { formatPythonJson, readDatasetRows } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * await writeFile(`${folder}/rows.jsonl`, '{"a":4.0}\n{"b":1}\n');
 * await writeFile(`${folder}/rows.csv`, "a,b\n5,\n");
 * const rows = await readDatasetRows([`${folder}/rows.jsonl`, `${folder}/rows.csv`]);
 * assert.equal(formatPythonJson(rows.row(1).value), '{"a": null, "b": 1}');
 * assert.equal(formatPythonJson(rows.row(2).value), '{"a": "5", "b": null}');
 * await rm(folder, { recursive: true });
 * ```
 */
export async function readDatasetRows(
  paths: readonly string[],
  { maxRows = Infinity }: ReadDatasetRowsOptions = {},
): Promise<DatasetRows> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const schema: DatasetSchema = emptySchema();
  const kept = new KeptRows();
  for (const path of paths) {
    if (kept.length >= maxRows) break;
    const file = await openRowFile(path);
    try {
      const first = kept.length;
      kept.open(path, unitOf(file.format));
      for await (const raw of readRawRows(file)) {
        const row = parseRow(decoder, raw, kept.length === first);
        if (row === undefined) continue;
        extendSchema(schema, row);
        kept.add("json" in raw ? raw.json : new TextEncoder().encode(formatPythonJson(row)), raw);
        if (kept.length >= maxRows) break;
      }
      if (kept.length === first) throw withoutRows(file);
    } finally {
      await file[Symbol.asyncDispose]();
    }
  }
  return {
    length: kept.length,
    columns: [...schema.columns.keys()],
    row(index: number): { value: Map<string, PythonJson>; where: RowLocation } {
      const { json, where } = kept.at(index);
      const row = parseJson(lineText(decoder, json, where), where, false)!;
      return { value: applySchema(schema, row) as Map<string, PythonJson>, where };
    },
  };
}

/** Rows as JSON, end to end in blocks. */
class KeptRows {
  readonly #blocks: Uint8Array[] = [];
  readonly #files: { readonly path: string; readonly unit: RowUnit; readonly first: number }[] = [];
  /** Block, start, end and line of each row. */
  readonly #places: number[] = [];
  #filled = BLOCK_BYTES;
  #bytes = 0;

  get length(): number {
    return this.#places.length / 4;
  }

  /** Says of which file the next rows are. */
  open(path: string, unit: RowUnit): void {
    this.#files.push({ path, unit, first: this.length });
  }

  add(json: Uint8Array, { where }: Pick<RawRow, "where">): void {
    if ((this.#bytes += json.length) > MAX_BYTES) {
      throw new JsonlError(
        { file: where.file },
        `expected at most ${MAX_BYTES} bytes of rows, which are held in memory, got more; take fewer ` +
          "with --max-rows, or split the file first",
      );
    }
    if (this.#filled + json.length > (this.#blocks.at(-1)?.length ?? 0)) {
      this.#blocks.push(new Uint8Array(Math.max(BLOCK_BYTES, json.length)));
      this.#filled = 0;
    }
    this.#blocks.at(-1)!.set(json, this.#filled);
    const end = this.#filled + json.length;
    this.#places.push(this.#blocks.length - 1, this.#filled, end, where.line);
    this.#filled = end;
  }

  at(index: number): { readonly json: Uint8Array; readonly where: RowLocation } {
    const [block, start, end, line] = this.#places.slice(4 * index, 4 * index + 4);
    const { path, unit } = this.#files.findLast(({ first }) => first <= index)!;
    return {
      json: this.#blocks[block].subarray(start, end),
      where: { file: path, line, ...unit === "row" ? { unit } : {} },
    };
  }
}

function parseRow(
  decoder: TextDecoder,
  raw: RawRow,
  first: boolean,
): Map<string, PythonJson> | undefined {
  if ("fault" in raw) throw raw.fault;
  const { where } = raw;
  if ("json" in raw) return parseJson(lineText(decoder, raw.json, where), where, first);
  return toPythonMap(raw.values, (problem, field) => new JsonlError({ ...where, field }, problem));
}

function parseJson(
  text: string,
  where: RowLocation,
  first: boolean,
): Map<string, PythonJson> | undefined {
  if (BLANK_LINE.test(text)) return undefined;
  let value: PythonJson;
  try {
    value = parsePythonJson(text);
  } catch (cause) {
    assertJsonLines(text, { where, first });
    const { message } = cause as SyntaxError;
    throw new JsonlError(where, `expected a JSON object, got invalid JSON: ${message}`, { cause });
  }
  if (value instanceof Map) return value;
  throw new JsonlError(where, `expected a JSON object, got ${describe(value)}`);
}

function describe(value: PythonJson): string {
  if (value instanceof PythonNumber) return `number ${value.text.slice(0, 24)}`;
  if (Array.isArray(value)) return `array of ${value.length}`;
  if (typeof value === "string") return `string ${quoteHead(value)}`;
  return value === null ? "null" : `boolean ${value}`;
}

type Fault = (problem: string, field: string) => JsonlError;

function toPythonMap(
  values: Readonly<Record<string, unknown>>,
  fault: Fault,
  place = "",
): Map<string, PythonJson> {
  return new Map(
    Object.entries(values).map(([name, value]) =>
      [name, toPythonJson(value, fault, `${place}${name}`)] as const
    ),
  );
}

/** A value of a table as JSON. */
function toPythonJson(value: unknown, fault: Fault, field: string): PythonJson {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "bigint") return new PythonNumber(String(value));
  if (typeof value === "number") {
    return new PythonNumber(Number.isSafeInteger(value) ? String(value) : formatFloat(value));
  }
  if (Array.isArray(value)) {
    return value.map((item, i) => toPythonJson(item, fault, `${field}[${i}]`));
  }
  if (value instanceof Uint8Array) {
    throw fault(
      `expected a value that JSON can hold, got ${describeValue(value)}; remove the column`,
      field,
    );
  }
  return toPythonMap(value as Record<string, unknown>, fault, `${field}.`);
}
