/**
 * The rows of a Parquet file.
 *
 * In: an open file. Out: rows as plain values, with their numbers: lists are arrays, structs are
 * objects, dates and times are ISO 8601 text, whole numbers beyond 2^53 are bigints, and bytes
 * without a type stay bytes. Memory is that of one row group, as it is read and unpacked whole.
 */

import {
  type FileMetaData,
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type RowGroup,
  type SchemaTree,
} from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { compressors } from "hyparquet-compressors";
import { isCount } from "../../internal/json/is_count.ts";
import { JsonlError } from "./jsonl_error.ts";
import { assertColumnNames, type RawRow } from "./raw_row.ts";
import type { RowFile } from "./row_file.ts";

/** Largest row group, unpacked: it is held in memory, as text in up to twice as much. */
const MAX_GROUP_BYTES = 2 ** 30;
/** Most values of a column in one: what a footer says must not make arrays of any length. */
const MAX_GROUP_VALUES = 2 ** 26;
/** Largest part of a file that describes it: some bytes a column and row group. */
const MAX_FOOTER_BYTES = 64 * 1024 * 1024;
const FOOTER_END_BYTES = 8;

/** What a Parquet file says of itself. */
interface ParquetFacts {
  readonly metadata: FileMetaData;
  /** Names of its columns. */
  readonly columns: readonly string[];
  readonly rows: number;
}

/**
 * Reads row group by row group.
 *
 * @param onRead is told after each group which part of the file's bytes its rows are
 * @throws {JsonlError} if the file is cut or damaged, or holds what cannot be read
 */
export async function* readParquet(
  file: RowFile,
  onRead?: (bytes: number) => void,
): AsyncGenerator<RawRow, void, undefined> {
  const { path, size } = file;
  const { metadata, columns, rows } = await readFacts(file);
  const buffer = toBuffer(file);
  const options = { metadata, compressors, utf8: false, geoparquet: false, parsers: PARSERS };
  const { ranges } = await parquetScan({ ...options, file: buffer, useOffsetIndex: false });
  let row = 0;
  for (const [group, { rowStart, rowEnd }] of ranges.entries()) {
    await assertPages(file, metadata.row_groups[group]);
    // A scan keeps what it read last, so that each group has its own.
    const scan = await parquetScan({ ...options, file: buffer, useOffsetIndex: false });
    const read: ArrayLike<unknown>[] = [];
    for (const column of columns) {
      const fail = (fault: string, cause?: unknown): never => {
        throw new JsonlError(
          { file: path },
          `cannot read column ${column} of rows ${rowStart + 1} to ${rowEnd}: ${fault}`,
          { cause },
        );
      };
      const values = await scan.readColumn({ column, rowStart, rowEnd })
        .catch((cause: Error) => fail(describeFault(cause), cause));
      if (values.length !== rowEnd - rowStart) fail(`it has ${values.length} values`);
      read.push(values);
    }
    for (let i = 0; i < rowEnd - rowStart; i++) {
      const values: Record<string, unknown> = {};
      for (let k = 0; k < columns.length; k++) values[columns[k]] = read[k][i] ?? null;
      yield { where: { file: path, line: ++row, unit: "row" }, values };
    }
    onRead?.(Math.floor(size * row / rows));
  }
}

async function readFacts(file: RowFile): Promise<ParquetFacts> {
  const { path, size } = file;
  const refused = (problem: string, cause?: unknown): JsonlError =>
    new JsonlError({ file: path }, problem, { cause });
  const end = new Uint8Array(await file.slice(Math.max(0, size - FOOTER_END_BYTES), size));
  if (size < 2 * FOOTER_END_BYTES || new TextDecoder("latin1").decode(end.subarray(4)) !== "PAR1") {
    throw refused(
      "expected the end of a Parquet file, got other bytes; it was cut, fetch it again",
    );
  }
  const footer = new DataView(end.buffer).getUint32(0, true);
  if (footer > Math.min(MAX_FOOTER_BYTES, size - FOOTER_END_BYTES)) {
    throw refused(
      `its footer says that it has ${footer} bytes; the file is damaged, fetch it again`,
    );
  }
  try {
    const metadata = await parquetMetadataAsync(toBuffer(file), { geoparquet: false });
    const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
    assertColumnNames(columns, { file: path });
    const rows = metadata.row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0);
    assertGroups(metadata);
    return { metadata, columns, rows };
  } catch (cause) {
    if (cause instanceof JsonlError) throw cause;
    throw refused(`cannot read its footer: ${describeFault(cause as Error)}`, cause);
  }
}

/** Refuses groups that are not of the schema's columns, or are too large. */
function assertGroups(metadata: FileMetaData): void {
  const leaves: string[] = [];
  const add = ({ children, path }: SchemaTree): void => {
    if (children.length === 0) leaves.push(path.join("."));
    children.forEach(add);
  };
  parquetSchema(metadata).children.forEach(add);
  for (const [index, { columns, num_rows }] of metadata.row_groups.entries()) {
    const values = Math.max(0, ...columns.map(({ meta_data }) => Number(meta_data?.num_values)));
    const paths = columns.map(({ meta_data }) => meta_data?.path_in_schema.join("."));
    if (paths.length !== leaves.length || paths.some((path, i) => path !== leaves[i])) {
      throw new Error("its columns are not those of its row groups; it is damaged, fetch it again");
    }
    const bytes = columns.reduce(
      (sum, { meta_data }) => sum + Number(meta_data!.total_uncompressed_size),
      0,
    );
    if (bytes > MAX_GROUP_BYTES || Math.max(values, Number(num_rows)) > MAX_GROUP_VALUES) {
      throw new Error(
        `row group ${index + 1} has ${values} values a column and ${bytes} bytes, and at most ` +
          `${MAX_GROUP_VALUES} and ${MAX_GROUP_BYTES} are held in memory; write the file again with ` +
          "row_group_size=10000, as pyarrow calls it",
      );
    }
  }
}

/**
 * Refuses pages with more values than their column has: the decoder makes arrays of what they say.
 */
async function assertPages({ path, slice }: RowFile, group: RowGroup): Promise<void> {
  for (const { meta_data } of group.columns) {
    const { dictionary_page_offset, data_page_offset, total_compressed_size, num_values } =
      meta_data!;
    const start = Number(dictionary_page_offset || data_page_offset);
    let values = 0;
    try {
      const bytes = await slice(start, start + Number(total_compressed_size));
      const reader = { view: new DataView(bytes), offset: 0 };
      while (reader.offset < bytes.byteLength - 1) {
        const header = parquetHeader(reader);
        const { data_page_header: v1, data_page_header_v2: v2, dictionary_page_header } = header;
        const page = v1?.num_values ?? v2?.num_values ?? 0;
        const words = dictionary_page_header?.num_values ?? 0;
        // A field that is missing would be NaN to the decoder, which then reads without end.
        const levels = v2 === undefined
          ? [0]
          : [v2.definition_levels_byte_length, v2.repetition_levels_byte_length];
        const nulls = v2 === undefined
          ? [0]
          : [v2.num_nulls, page - v2.num_nulls, page - v2.num_rows];
        const counts = [page, words, ...nulls];
        const sizes = [header.compressed_page_size, header.uncompressed_page_size];
        values += page;
        const isPossible = [...counts, ...sizes, ...levels].every(isCount) &&
          Math.max(values, words) <= Number(num_values) &&
          levels.reduce((sum, each) => sum + each) <= Math.min(...sizes) &&
          Math.max(...sizes) <= MAX_GROUP_BYTES;
        if (!isPossible) throw new RangeError("the page is of another column");
        reader.offset += header.compressed_page_size;
      }
    } catch (cause) {
      const name = meta_data!.path_in_schema.join(".");
      throw new JsonlError(
        { file: path },
        `cannot read column ${name}: its pages are not what the file says; it is damaged, fetch it again`,
        { cause },
      );
    }
  }
}

function toBuffer(file: RowFile): { byteLength: number; slice: RowFile["slice"] } {
  return {
    byteLength: file.size,
    slice: (start, end = file.size) => file.slice(start, end),
  };
}

/** The fault in the words of the library, without its name; what no sentence is, in ours. */
function describeFault(cause: Error): string {
  if (cause instanceof RangeError || cause instanceof TypeError) {
    return "it is damaged, fetch it again";
  }
  return cause.message.replace(/^parquet (?:file )?/, "");
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text that a Parquet file says is UTF-8. */
function toText(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  try {
    return strict.decode(bytes);
  } catch (cause) {
    throw new Error("a column of text holds bytes that are no UTF-8", { cause });
  }
}

const isoTime = (milliseconds: bigint): string => new Date(Number(milliseconds)).toISOString();

const PARSERS = {
  stringFromBytes: toText,
  // Text, as the Python package datasets has it.
  jsonFromBytes: toText,
  timestampFromMilliseconds: (value: bigint) => isoTime(value),
  timestampFromMicroseconds: (value: bigint) => isoTime(value / 1000n),
  timestampFromNanoseconds: (value: bigint) => isoTime(value / 1_000_000n),
  dateFromDays: (days: number) => new Date(days * 86_400_000).toISOString().slice(0, 10),
};
