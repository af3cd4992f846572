/**
 * A parser of tables as RFC 4180 writes them.
 *
 * In: text, piece by piece. Out: the cells of each row and the line that it begins at. The end of a cell in
 * quotes is found by searching for quotes, which is several times as fast as going through its characters.
 */

import { JsonlError, type RowLocation } from "./jsonl_error.ts";
import { MAX_ROW_BYTES, tooLong } from "./raw_row.ts";

/** A row of a table. */
export interface CsvRecord {
  readonly cells: readonly string[];
  /** The line that it begins at, from 1 on. */
  readonly line: number;
}

/** What a table is written with. */
export interface CsvParserOptions {
  /** The file, for errors. */
  readonly path: string;
  /** The character between cells. */
  readonly delimiter: string;
  /** What ends a line; before `\n` a `\r` belongs to it. */
  readonly lineBreak: "\n" | "\r";
}

/** A cell's end in the text. */
interface CellEnd {
  readonly cell: string;
  /** Where what comes after it begins. */
  readonly next: number;
  /** Whether it is the last of its row. */
  readonly endsRow: boolean;
  readonly quoted: boolean;
}

const QUOTE = 0x22;
const NEWLINE = 0x0a;
const RETURN = 0x0d;
const BYTE_ORDER_MARK = 0xfeff;
const QUOTED = 'write a cell with quotes inside as "a ""word"" here"';
/** Most bytes of UTF-8 that one unit of a string stands for. */
const MOST_BYTES = 3;

/** Parses one table. Memory is that of the longest row and a piece. */
export class CsvParser {
  readonly #path: string;
  readonly #delimiter: number;
  readonly #lineBreak: string;
  readonly #break: number;
  /** The text from the beginning of a cell on whose end is not there. */
  #rest = "";
  /** How far that was searched. */
  #searched = 0;
  #isFirst = true;
  #cells: string[] = [];
  /** Units of those cells. */
  #length = 0;
  /** The line that the row begins at. */
  #rowLine = 1;
  /** The line that the cell begins at. */
  #line = 1;

  constructor({ path, delimiter, lineBreak }: CsvParserOptions) {
    this.#path = path;
    this.#delimiter = delimiter.charCodeAt(0);
    this.#lineBreak = lineBreak;
    this.#break = lineBreak.charCodeAt(0);
  }

  /** The line that the text so far ends in. */
  get lastLine(): number {
    return this.#line + this.#countLines(this.#rest);
  }

  /**
   * Goes on with a piece.
   *
   * @param last whether no other comes, so that its end is the last row's too
   * @throws {JsonlError} where a quote stands where none may, or a row is too long
   */
  *push(piece: string, last = false): Generator<CsvRecord, void, undefined> {
    const skipsMark = this.#isFirst && piece.charCodeAt(0) === BYTE_ORDER_MARK;
    this.#isFirst &&= piece === "";
    const text = this.#rest + (skipsMark ? piece.slice(1) : piece);
    let at = 0;
    while (at < text.length || last) {
      const end = text.charCodeAt(at) === QUOTE
        ? this.#endQuoted(text, at, last)
        : this.#endPlain(text, at, last);
      if (end === undefined) break;
      const { cell, next, endsRow, quoted } = end;
      this.#searched = 0;
      const isBlank = endsRow && !quoted && cell === "" && this.#cells.length === 0;
      const line = this.#rowLine;
      if (quoted) this.#line += this.#countLines(cell);
      if (!isBlank) {
        this.#cells.push(cell);
        this.#length += cell.length;
      }
      if (endsRow) {
        this.#rowLine = ++this.#line;
        this.#assertSize("", line);
        const cells = this.#cells;
        [this.#cells, this.#length] = [[], 0];
        if (!isBlank) yield { cells, line };
        // The end of the file, which ends a row without a line break.
        if (last && next > text.length) break;
      }
      at = next;
    }
    this.#rest = text.slice(at);
    this.#assertSize(this.#rest, this.#rowLine);
  }

  /** A cell that begins with a quote; undefined where its end is not there. */
  #endQuoted(text: string, at: number, last: boolean): CellEnd | undefined {
    let from = at + Math.max(1, this.#searched);
    for (;;) {
      const quote = text.indexOf('"', from);
      if (quote === -1 && last) {
        this.#fail((n) =>
          `expected a closing quote of cell ${n}, got the end of the file; close it, or`
        );
      }
      if (quote === -1 || quote + 1 === text.length && !last) {
        return this.#goOnAt(quote === -1 ? text.length - at : quote - at);
      }
      if (text.charCodeAt(quote + 1) === QUOTE) {
        from = quote + 2;
        continue;
      }
      const cell = text.slice(at + 1, quote).replaceAll('""', '"');
      const end = quote + 1;
      const code = text.charCodeAt(end);
      if (code === this.#delimiter) return { cell, next: end + 1, endsRow: false, quoted: true };
      if (code === this.#break || end === text.length) {
        return { cell, next: end + 1, endsRow: true, quoted: true };
      }
      if (code === RETURN && end + 1 === text.length && !last) return this.#goOnAt(quote - at);
      if (code === RETURN && text.charCodeAt(end + 1) === NEWLINE) {
        return { cell, next: end + 2, endsRow: true, quoted: true };
      }
      this.#fail((n) => `expected the end of cell ${n} after its closing quote, got more;`);
    }
  }

  /** A cell without quotes; undefined where its end is not there. */
  #endPlain(text: string, at: number, last: boolean): CellEnd | undefined {
    for (let end = at + this.#searched; end < text.length; end++) {
      const code = text.charCodeAt(end);
      if (code === this.#delimiter) {
        return { cell: text.slice(at, end), next: end + 1, endsRow: false, quoted: false };
      }
      if (code === this.#break) {
        const isReturn = code === NEWLINE && end > at && text.charCodeAt(end - 1) === RETURN;
        const cell = text.slice(at, isReturn ? end - 1 : end);
        return { cell, next: end + 1, endsRow: true, quoted: false };
      }
      if (code === QUOTE) {
        this.#fail((n) => `expected no quote inside cell ${n}, which does not begin with one;`);
      }
    }
    if (!last) return this.#goOnAt(text.length - at);
    return { cell: text.slice(at), next: text.length + 1, endsRow: true, quoted: false };
  }

  /** Keeps how much of the cell needs no second look. */
  #goOnAt(searched: number): undefined {
    this.#searched = searched;
    return undefined;
  }

  #countLines(text: string): number {
    let lines = 0;
    for (let at = text.indexOf(this.#lineBreak); at !== -1; lines++) {
      at = text.indexOf(this.#lineBreak, at + 1);
    }
    return lines;
  }

  #assertSize(rest: string, line: number): void {
    if (MOST_BYTES * (this.#length + rest.length) <= MAX_ROW_BYTES) return;
    const encoder = new TextEncoder();
    const bytes = [...this.#cells, rest]
      .reduce((sum, text) => sum + encoder.encode(text).length, 0);
    if (bytes > MAX_ROW_BYTES) throw tooLong({ file: this.#path, line });
  }

  /** A file is not read on, as its quotes no longer tell cells apart. */
  #fail(problem: (cell: number) => string): never {
    const where: RowLocation = { file: this.#path, line: this.#rowLine };
    throw new JsonlError(where, `${problem(this.#cells.length + 1)} ${QUOTED}`);
  }
}
