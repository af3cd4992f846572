/**
 * The rows of a CSV or TSV file, as RFC 4180 writes them, with any delimiter.
 *
 * In: bytes. Out: cells by the names of the first line, all of them text; an empty cell is null, as
 * pandas and the Python package datasets read it. Memory is bounded by the longest row.
 */

import { Readable } from "node:stream";
import { CsvError, type Info, parse } from "csv-parse";
import { listFields } from "../../internal/json/field_table.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";
import { notUtf8 } from "./line_text.ts";
import { assertColumnNames, concatBytes, MAX_ROW_BYTES, type RawRow, tooLong } from "./raw_row.ts";

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** A record, and how many bytes the parser has taken with it. */
interface Parsed {
  readonly record: readonly string[];
  readonly info: Pick<Info, "bytes" | "empty_lines">;
}

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
  const lines = new LineCounter();
  const pieces = checkUtf8(chunks, path, lines);
  const first = await pieces.next();
  if (first.done) return;
  // Only a table without \n has lines that end with \r, as spreadsheets of old wrote.
  const isOld = !first.value.includes(NEWLINE);
  if (isOld) lines.restart(RETURN, first.value);
  const parser = parse({
    delimiter,
    bom: true,
    info: true,
    record_delimiter: isOld ? ["\r"] : ["\r\n", "\n"],
    // Rows of other lengths are told one by one.
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: MAX_ROW_BYTES,
  });
  const source = Readable.from(prepend(first.value, pieces));
  source.on("error", (cause) => parser.destroy(cause));
  source.pipe(parser);
  let emptyLines = 0;
  let names: readonly string[] | undefined;
  try {
    for await (const { record, info } of parser as AsyncIterable<Parsed>) {
      const line = lines.line + info.empty_lines - emptyLines;
      emptyLines = info.empty_lines;
      lines.take(info.bytes);
      const where = { file: path, line };
      if (names === undefined) {
        names = readHeader(record, where);
      } else if (record.length !== names.length) {
        yield { where, fault: unlikeHeader(record, names, where) };
      } else {
        const values: Record<string, unknown> = {};
        for (let i = 0; i < names.length; i++) {
          values[names[i]] = record[i] === "" ? null : record[i];
        }
        yield { where, values };
      }
    }
  } catch (cause) {
    throw cause instanceof CsvError
      ? describeFault(cause, { file: path, line: lines.lineAt(Number(cause.bytes)) })
      : cause;
  } finally {
    source.destroy();
    parser.destroy();
  }
}

async function* prepend(
  first: Uint8Array,
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield first;
  yield* rest;
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

/**
 * What the parser refused; a file is not read on, as its quotes no longer tell cells apart.
 *
 * @param where where the row begins
 */
function describeFault(cause: CsvError, where: RowLocation): JsonlError {
  if (cause.code === "CSV_MAX_RECORD_SIZE") return tooLong(where);
  const column = Number(cause.column ?? 0) + 1;
  const quoted = 'write a cell with quotes inside as "a ""word"" here"';
  switch (cause.code) {
    case "CSV_QUOTE_NOT_CLOSED":
      return new JsonlError(
        where,
        `expected a closing quote of cell ${column}, got the end of the file; close it, or ${quoted}`,
        { cause },
      );
    case "INVALID_OPENING_QUOTE":
      return new JsonlError(
        where,
        `expected no quote inside cell ${column}, which does not begin with one; ${quoted}`,
        { cause },
      );
    case "CSV_INVALID_CLOSING_QUOTE":
      return new JsonlError(
        where,
        `expected the end of cell ${column} after its closing quote, got more; ${quoted}`,
        { cause },
      );
    default:
      return new JsonlError(where, `cannot read the row: ${cause.message}`, { cause });
  }
}

/** Tells lines by bytes: the parser takes the \r\n of a cell for two. */
class LineCounter {
  /** Offsets of line breaks that the parser has not come to. */
  #breaks: number[] = [];
  #taken = 0;
  #bytes = 0;
  #byte: number = NEWLINE;
  /** The line that the parser is at. */
  line = 1;

  /** The line that the bytes end in. */
  get lastLine(): number {
    return this.line + this.#breaks.length - this.#taken;
  }

  /** Counts what the parser is to be given. */
  add(chunk: Uint8Array): void {
    for (let at = chunk.indexOf(this.#byte); at !== -1; at = chunk.indexOf(this.#byte, at + 1)) {
      this.#breaks.push(this.#bytes + at);
    }
    this.#bytes += chunk.length;
  }

  /** Counts anew, by another byte. */
  restart(byte: number, chunk: Uint8Array): void {
    this.#byte = byte;
    [this.#breaks, this.#bytes] = [[], 0];
    this.add(chunk);
  }

  /** The line that a byte begins, which the parser may have come to before its rows were taken. */
  lineAt(byte: number): number {
    return this.line + this.#breaks.slice(this.#taken).filter((at) => at < byte).length;
  }

  /** Goes on to a byte. */
  take(bytes: number): void {
    while (this.#breaks[this.#taken] < bytes) {
      this.#taken++;
      this.line++;
    }
    if (this.#taken < this.#breaks.length / 2) return;
    this.#breaks = this.#breaks.slice(this.#taken);
    this.#taken = 0;
  }
}

/** Hands on what is UTF-8: the parser would replace other bytes. */
async function* checkUtf8(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
  lines: LineCounter,
): AsyncGenerator<Uint8Array, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  /** The bytes of the last character, which the next chunk may complete. */
  let last = new Uint8Array();
  for await (const chunk of chunks) {
    try {
      decoder.decode(chunk, { stream: true });
    } catch {
      throw badLine(chunk, last, { file: path, line: lines.lastLine });
    }
    lines.add(chunk);
    // A character has four bytes at most.
    last = concatBytes([last, chunk.subarray(-4)]);
    last = last.slice(last.findLastIndex((byte) => (byte & 0xc0) !== 0x80));
    yield chunk.slice();
  }
  try {
    decoder.decode();
  } catch (cause) {
    throw notUtf8(last, { file: path, line: lines.lastLine }, cause);
  }
}

/** The error of the first line of a chunk that is no UTF-8, after the last character before it. */
function badLine(chunk: Uint8Array, last: Uint8Array, first: RowLocation): JsonlError {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  decoder.decode(last, { stream: true });
  for (let [start, line] = [0, first.line];; line++) {
    const end = chunk.indexOf(NEWLINE, start) + 1 || chunk.length;
    const bytes = chunk.subarray(start, end);
    try {
      decoder.decode(bytes, { stream: true });
    } catch (cause) {
      return notUtf8(bytes, { ...first, line }, cause);
    }
    start = end;
  }
}
