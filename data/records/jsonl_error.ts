/**
 * The error of a bad row, and where a row stands.
 *
 * In: a file, a line (1-based, blank lines counted, as an editor counts them) or a row of a file
 * without lines, and a field. Out: an Error whose message starts `file:line:field: `, or
 * `file:row 17:field: `.
 */

/** What rows of a file are counted in: lines, or where it has none (Parquet, JSON arrays) rows. */
export type RowUnit = "line" | "row";

/** Where a row stands: its file as the caller named it, and its 1-based line. */
export interface RowLocation {
  /** The path as the caller gave it. */
  readonly file: string;
  /**
   * 1-based line; blank lines count, so it is the line an editor shows. In a file without lines the
   * 1-based number of the row.
   */
  readonly line: number;
  /** What `line` counts. @default {"line"} */
  readonly unit?: RowUnit;
}

/** A place in words: `line 17`, or `row 17`. */
export function describePlace({ line, unit = "line" }: Omit<RowLocation, "file">): string {
  return `${unit} ${line}`;
}

/** What is known of the place of an error; a file alone when the file itself is at fault. */
export interface JsonlErrorPlace {
  /** The path as the caller gave it. */
  readonly file: string;
  /** 1-based line or row, when one is at fault. */
  readonly line?: number;
  /** What `line` counts. @default {"line"} */
  readonly unit?: RowUnit;
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
  /** 1-based line or row, when one is at fault. */
  readonly line: number | undefined;
  /** What `line` counts. */
  readonly unit: RowUnit;
  /** The field at fault, when one is. */
  readonly field: string | undefined;

  /** The problem without its place. */
  readonly problem: string;

  /** Builds the message `file:line:field: problem`, leaving out what is unknown. */
  constructor(place: JsonlErrorPlace, problem: string, options?: ErrorOptions) {
    const { file, line, unit = "line", field } = place;
    const row = line === undefined || unit === "line" ? line : describePlace({ line, unit });
    super(
      `${[file, row, field].filter((part) => part !== undefined).join(":")}: ${problem}`,
      options,
    );
    this.file = file;
    this.line = line;
    this.unit = unit;
    this.field = field;
    this.problem = problem;
  }
}
