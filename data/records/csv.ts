/**
 * The rows of a CSV or TSV file, as RFC 4180 writes them, with any delimiter.
 *
 * In: bytes. Out: cells by the names of the first line, all of them text; an empty cell is null, as
 * pandas and the Python package datasets read it. Memory is bounded by the longest row.
 */

import { listFields } from "../../internal/json/field_table.ts";
import { CsvParser, type CsvRecord } from "./csv_parser.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";
import { lineText } from "./line_text.ts";
import { assertColumnNames, type RawRow } from "./raw_row.ts";

const NEWLINE = 0x0a;

/**
 * Parses a table.
 *
 * @param path the file, for the rows' places: the lines that they begin at
 * @throws {JsonlError} if the header is no list of names, a quote is not closed or stands where none
 *   may, or bytes are no UTF-8
 */
export async function* readCsv(
  chunks: AsyncIterable<Uint8Array>,
  { path, delimiter }: { readonly path: string; readonly delimiter: string },
): AsyncGenerator<RawRow, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let parser: CsvParser | undefined;
  let names: readonly string[] | undefined;
  const toRow = ({ cells, line }: CsvRecord): RawRow | undefined => {
    const where = { file: path, line };
    if (names === undefined) {
      names = readHeader(cells, where);
      return undefined;
    }
    if (cells.length !== names.length) return { where, fault: unlikeHeader(cells, names, where) };
    const values: Record<string, unknown> = {};
    for (let i = 0; i < names.length; i++) values[names[i]] = cells[i] === "" ? null : cells[i];
    return { where, values };
  };
  for await (const chunk of chunks) {
    const text = decode(decoder, chunk, () => ({ file: path, line: parser?.lastLine ?? 1 }));
    // Only a table without \n has lines that end with \r, as spreadsheets of old wrote.
    const lineBreak = text.includes("\n") ? "\n" : "\r";
    parser ??= new CsvParser({ path, delimiter, lineBreak });
    for (const record of parser.push(text)) {
      const row = toRow(record);
      if (row) yield row;
    }
  }
  if (parser === undefined) return;
  const { lastLine: line } = parser;
  for (
    const record of parser.push(decode(decoder, undefined, () => ({ file: path, line })), true)
  ) {
    const row = toRow(record);
    if (row) yield row;
  }
}

/** Text of what is UTF-8. @param chunk bytes, or none at the end of the file */
function decode(
  decoder: TextDecoder,
  chunk: Uint8Array | undefined,
  where: () => RowLocation,
): string {
  try {
    return decoder.decode(chunk, { stream: chunk !== undefined });
  } catch {
    throw badLine(chunk ?? Uint8Array.of(0xff), where());
  }
}

/** Names of columns; the first may be missing, as of the index that pandas writes. */
function readHeader(record: readonly string[], where: RowLocation): readonly string[] {
  const names = record.map((name, i) => name.trim() === "" ? `Unnamed: ${i}` : name.trim());
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  assertColumnNames(names, where);
  if (twice === undefined) return names;
  throw new JsonlError(
    where,
    `expected a name for each column in the first line, got ${JSON.stringify(twice)} twice; ` +
      "rename or remove one of the two columns",
  );
}

function unlikeHeader(
  record: readonly string[],
  names: readonly string[],
  where: RowLocation,
): JsonlError {
  return new JsonlError(
    where,
    `expected ${names.length} cells as the first line names (${listFields(names, 8)}), got ` +
      `${record.length}; put a cell in quotes that holds the delimiter or a line break`,
  );
}

/** The error of the first line of a chunk that is no UTF-8. */
function badLine(chunk: Uint8Array, first: RowLocation): unknown {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  // A character that began in the chunk before.
  const from = first.line === 1
    ? 0
    : Math.max(0, chunk.findIndex((byte) => (byte & 0xc0) !== 0x80));
  let line = first.line;
  for (let start = from; start < chunk.length; line++) {
    const newline = chunk.indexOf(NEWLINE, start);
    const end = newline === -1 ? chunk.length : newline;
    try {
      lineText(decoder, chunk.subarray(start, end), { ...first, line });
    } catch (cause) {
      return cause;
    }
    start = end + 1;
  }
  return new JsonlError(
    { ...first, line },
    "expected UTF-8 text, got other bytes; save the file as UTF-8",
  );
}
