/**
 * The pages of a Parquet file's columns.
 *
 * In: an open file and a row group. Out: where the pages of each column lie, checked before anything is
 * decoded; and the values of a column without lists and structs page by page, so that memory is that of a
 * page. What the rows of a page of lists are only decoding it tells, and their parts lie in several columns.
 */

import type { RowGroup, SchemaTree } from "hyparquet";
import { parquetHeader, readColumn } from "hyparquet/src/column.js";
import { isCount } from "../../internal/json/is_count.ts";
import { JsonlError } from "./jsonl_error.ts";
import { concatBytes } from "./raw_row.ts";
import type { RowFile } from "./row_file.ts";

/** Largest row group, unpacked: of columns that are not read by pages it is held in memory. */
export const MAX_GROUP_BYTES: number = 2 ** 30;
/** What a column's pages are decoded by. */
type ColumnDecoder = Parameters<typeof readColumn>[2];

/** Bytes in which a page's header is looked for first: statistics of long texts make larger ones. */
const HEADER_BYTES = 4096;
const HEADER_GROWTH = 16;
/** Largest header that is read, as of Parquet's C++ library: of a damaged file not all of a column is held for it. */
const MAX_HEADER_BYTES = 2 ** 24;

/** A page of a column. */
export interface ParquetPage {
  /** Where it begins in the file, its header first. */
  readonly start: number;
  /** Where it ends. */
  readonly end: number;
  /** How many values it has; undefined of a dictionary. */
  readonly values?: number;
  /** Whether its values are numbers of the dictionary's. */
  readonly usesDictionary: boolean;
}

/**
 * Finds the pages of each column of a group.
 *
 * @throws {JsonlError} where one has more values than its column: the decoder makes arrays of what they say
 */
export async function findPages(
  file: RowFile,
  group: RowGroup,
): Promise<readonly (readonly ParquetPage[])[]> {
  const columns: ParquetPage[][] = [];
  for (const { meta_data } of group.columns) {
    const { dictionary_page_offset, data_page_offset, total_compressed_size, num_values } =
      meta_data!;
    const start = Number(dictionary_page_offset || data_page_offset);
    const end = start + Number(total_compressed_size);
    const pages: ParquetPage[] = [];
    let values = 0;
    try {
      for (let at = start; at < end - 1;) {
        const page = await readHeader(file, at, end);
        values += page.values ?? 0;
        if (Math.max(values, page.words) > Number(num_values)) {
          throw new RangeError("the page is of another column");
        }
        pages.push(page);
        at = page.end;
      }
    } catch (cause) {
      const name = meta_data!.path_in_schema.join(".");
      throw new JsonlError(
        { file: file.path },
        `cannot read column ${name}: its pages are not what the file says; it is damaged, fetch it again`,
        { cause },
      );
    }
    columns.push(pages);
  }
  return columns;
}

/** The page at a place of the file, and how many words it has as a dictionary. */
async function readHeader(
  { slice }: RowFile,
  start: number,
  end: number,
): Promise<ParquetPage & { readonly words: number }> {
  let most = HEADER_BYTES;
  for (;; most *= HEADER_GROWTH) {
    const bytes = await slice(start, Math.min(end, start + most));
    const reader = { view: new DataView(bytes), offset: 0 };
    let header: ReturnType<typeof parquetHeader>;
    try {
      header = parquetHeader(reader);
    } catch (cause) {
      // Where bytes are missing, it is a RangeError at a number, and another error at a text.
      if (start + most < end && most < MAX_HEADER_BYTES) continue;
      throw cause;
    }
    const { data_page_header: v1, data_page_header_v2: v2, dictionary_page_header } = header;
    const values = v1?.num_values ?? v2?.num_values;
    const words = dictionary_page_header?.num_values ?? 0;
    // A field that is missing would be NaN to the decoder, which then reads without end.
    const levels = v2 === undefined
      ? [0]
      : [v2.definition_levels_byte_length, v2.repetition_levels_byte_length];
    const nulls = v2 === undefined ? [] : [
      ...[v2.num_nulls, v2.num_values - v2.num_nulls, v2.num_values - v2.num_rows],
    ];
    const sizes = [header.compressed_page_size, header.uncompressed_page_size];
    const isPossible = [values ?? words, words, ...nulls, ...sizes, ...levels].every(isCount) &&
      levels.reduce((sum, each) => sum + each) <= Math.min(...sizes) &&
      Math.max(...sizes) <= MAX_GROUP_BYTES;
    if (!isPossible) throw new RangeError("the page is none");
    const next = start + reader.offset + header.compressed_page_size;
    const usesDictionary = (v1 ?? v2)?.encoding.endsWith("_DICTIONARY") ?? false;
    return { start, end: next, values, usesDictionary, words };
  }
}

/** Whether a column's values are those of its pages, one a row. */
export function isPaged({ children, element }: SchemaTree): boolean {
  return children.length === 0 && element.repetition_type !== "REPEATED";
}

/** The values of such a column, page by page. */
export async function* readPages(
  { slice }: RowFile,
  pages: readonly ParquetPage[],
  decoder: ColumnDecoder,
): AsyncGenerator<ArrayLike<unknown>, void, undefined> {
  let dictionary = new Uint8Array();
  for (const { start, end, values, usesDictionary } of pages) {
    const bytes = new Uint8Array(await slice(start, end));
    if (values === undefined) {
      dictionary = bytes;
      continue;
    }
    // It is decoded with each page, which is little beside the page.
    const { buffer } = usesDictionary ? concatBytes([dictionary, bytes]) : bytes;
    const select = { groupStart: 0, groupRows: values, selectStart: 0, selectEnd: values };
    const { data } = readColumn({ view: new DataView(buffer), offset: 0 }, select, decoder);
    yield* data;
  }
}
