/**
 * The rows of a Parquet file.
 *
 * In: an open file. Out: rows as plain values, with their numbers: lists are arrays, structs are
 * objects, dates and times are ISO 8601 text, whole numbers beyond 2^53 are bigints, and bytes
 * without a type stay bytes. Memory is that of a page a column; of columns with lists or structs it is that
 * of a row group, as they are read and unpacked whole.
 */

import {
  type FileMetaData,
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type SchemaTree,
} from "hyparquet";
import { DEFAULT_PARSERS } from "hyparquet/src/convert.js";
import { compressors } from "hyparquet-compressors";
import { JsonlError } from "./jsonl_error.ts";
import { findPages, isPaged, MAX_GROUP_BYTES, readPages } from "./parquet_pages.ts";
import { assertColumnNames, type RawRow } from "./raw_row.ts";
import type { RowFile } from "./row_file.ts";

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
  const options = { metadata, compressors, utf8: false, parsers: PARSERS };
  const schema = parquetSchema(metadata);
  let row = 0;
  for (const group of metadata.row_groups) {
    const [rowStart, rowEnd] = [row, row + Number(group.num_rows)];
    // Writers of tables in pieces write groups without rows, too.
    if (rowStart === rowEnd) continue;
    const chunks = group.columns.map(({ meta_data }) => meta_data!);
    const pages = await findPages(file, group);
    // A scan keeps what it read last, so that each group has its own.
    const scan = await parquetScan({ ...options, file: buffer });
    const open = schema.children.map((tree): ColumnValues => {
      const column = tree.element.name;
      const fail = (fault: string, cause?: unknown): never => {
        throw new JsonlError(
          { file: path },
          `cannot read column ${column} of rows ${rowStart + 1} to ${rowEnd}: ${fault}`,
          { cause },
        );
      };
      if (!isPaged(tree)) {
        return new ColumnValues(whole(() => scan.readColumn({ column, rowStart, rowEnd })), fail);
      }
      const chunk = chunks.findIndex(({ path_in_schema: [name] }) => name === column);
      const decoder = {
        ...{ ...options, ...chunks[chunk] },
        ...{ pathInSchema: tree.path, element: tree.element, schemaPath: [schema, tree] },
        parsers: { ...DEFAULT_PARSERS, ...PARSERS },
      };
      return new ColumnValues(readPages(file, pages[chunk], decoder), fail);
    });
    while (row < rowEnd) {
      const values: Record<string, unknown> = {};
      for (const [k, column] of open.entries()) {
        if (column.isEmpty) await column.load();
        values[columns[k]] = column.take() ?? null;
      }
      yield { where: { file: path, line: ++row, unit: "row" }, values };
    }
    for (const column of open) await column.assertEnd();
    onRead?.(Math.floor(size * row / rows));
  }
}

/** One piece, read once it is asked for. */
async function* whole<Values>(
  read: () => Promise<Values>,
): AsyncGenerator<Values, void, undefined> {
  yield read();
}

/** The values of a column, one after another, of pieces that are read as they are needed. */
class ColumnValues {
  readonly #pieces: AsyncIterator<ArrayLike<unknown>, void, undefined>;
  readonly #fail: (fault: string, cause?: unknown) => never;
  #piece: ArrayLike<unknown> = [];
  #at = 0;
  #taken = 0;

  constructor(
    pieces: AsyncIterator<ArrayLike<unknown>, void, undefined>,
    fail: (fault: string, cause?: unknown) => never,
  ) {
    this.#pieces = pieces;
    this.#fail = fail;
  }

  /** Whether the next value is of a piece that is not loaded. */
  get isEmpty(): boolean {
    return this.#at === this.#piece.length;
  }

  take(): unknown {
    this.#taken++;
    return this.#piece[this.#at++];
  }

  /** Loads the next piece with values. @throws {JsonlError} where there is none, or it is damaged */
  async load(): Promise<void> {
    if (!await this.#loadNext()) this.#fail(`it has ${this.#taken} values`);
  }

  /** Refuses values that are left over. */
  async assertEnd(): Promise<void> {
    const left = this.#piece.length - this.#at;
    if (left > 0 || await this.#loadNext()) this.#fail("it has more values");
  }

  async #loadNext(): Promise<boolean> {
    try {
      do {
        const { value, done } = await this.#pieces.next();
        if (done) return false;
        [this.#piece, this.#at] = [value, 0];
      } while (this.isEmpty);
      return true;
    } catch (cause) {
      return this.#fail(describeFault(cause as Error), cause);
    }
  }
}

async function readFacts(file: RowFile): Promise<ParquetFacts> {
  const { path, size } = file;
  const refused = (problem: string, cause?: unknown): JsonlError =>
    new JsonlError({ file: path }, problem, { cause });
  const isWhole = size >= 2 * FOOTER_END_BYTES;
  const end = new Uint8Array(isWhole ? await file.slice(size - FOOTER_END_BYTES, size) : []);
  if (new TextDecoder("latin1").decode(end.subarray(4)) !== "PAR1") {
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
