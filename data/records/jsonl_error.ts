/**
 * The error of a bad row, and where a row stands.
 *
 * In: a file, a line (1-based, blank lines counted, as an editor counts them) and a field.
 * Out: an Error whose message starts `file:line:field: `.
 */

/** Where a row stands: its file as the caller named it, and its 1-based line. */
export interface RowLocation {
  /** The path as the caller gave it. */
  readonly file: string;
  /** 1-based line; blank lines count, so it is the line an editor shows. */
  readonly line: number;
}

/** What is known of the place of an error; a file alone when the file itself is at fault. */
export interface JsonlErrorPlace {
  /** The path as the caller gave it. */
  readonly file: string;
  /** 1-based line, when one line is at fault. */
  readonly line?: number;
  /** The field at fault, such as `answer` or `messages[1].role`. */
  readonly field?: string;
}

/**
 * A row, or a file of rows, that cannot be used.
 *
 * @example
 * ```ts
 * import { JsonlError } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const error = new JsonlError(
 *   { file: "data/train.jsonl", line: 12, field: "answer" },
 *   "expected a string, got number 4",
 * );
 * assert.equal(error.message, "data/train.jsonl:12:answer: expected a string, got number 4");
 * ```
 */
export class JsonlError extends Error {
  /** `"JsonlError"`. */
  override readonly name: string = "JsonlError";
  /** The path as the caller gave it. */
  readonly file: string;
  /** 1-based line, when one line is at fault. */
  readonly line: number | undefined;
  /** The field at fault, when one is. */
  readonly field: string | undefined;

  /** Builds the message `file:line:field: problem`, leaving out what is unknown. */
  constructor(place: JsonlErrorPlace, problem: string, options?: ErrorOptions) {
    const { file, line, field } = place;
    super(
      `${[file, line, field].filter((part) => part !== undefined).join(":")}: ${problem}`,
      options,
    );
    this.file = file;
    this.line = line;
    this.field = field;
  }
}
