/**
 * The shapes of rows that are read, and the names of columns that a user may give.
 *
 * In: nothing. Out: a table, in the order in which a row that lacks a column is compared with them.
 */

import type { RowShape } from "./row_shape.ts";
import { alpaca } from "./shapes/alpaca.ts";
import { messages } from "./shapes/messages.ts";
import { promptCompletion } from "./shapes/prompt_completion.ts";
import { preference } from "./shapes/preference.ts";
import { questions } from "./shapes/question.ts";
import { shareGpt } from "./shapes/share_gpt.ts";

/** All shapes; a naming of columns more is a shape more. */
export const ROW_SHAPES: readonly RowShape[] = [
  messages,
  shareGpt,
  alpaca,
  promptCompletion,
  preference,
  ...questions,
];

/**
 * Which column of a row means what: `{question: "Question", think: "Complex_CoT"}`. A column that is
 * empty (`{system: ""}`) is not read.
 */
export type RowColumns = Readonly<Record<string, string>>;

/** What `RowColumns` may name. */
export const COLUMN_MEANINGS: readonly string[] = [
  ...new Set(ROW_SHAPES.flatMap(({ columns }) => Object.keys(columns))),
];

/**
 * Refuses columns that no shape has, or no shape has together.
 *
 * @throws {RangeError} saying which there are
 */
export function assertRowColumns(columns: RowColumns): void {
  const named = Object.keys(columns);
  const unknown = named.filter((name) => !COLUMN_MEANINGS.includes(name));
  if (unknown.length > 0) {
    throw new RangeError(
      `Cannot read ${unknown[0]} from a column: what a row may hold is ${
        COLUMN_MEANINGS.join(", ")
      }`,
    );
  }
  const given = Object.values(columns).filter((column) => column !== "");
  const twice = given.find((column, index) => given.indexOf(column) !== index);
  if (twice !== undefined) {
    throw new RangeError(`Cannot read two things from the column ${twice}: name it once`);
  }
  const read = named.filter((name) => columns[name] !== "");
  if (ROW_SHAPES.some((shape) => read.every((name) => name in shape.columns))) return;
  throw new RangeError(
    `Cannot read ${
      read.join(" and ")
    } from one row: no shape of row has them together; of one are ${
      [...new Set(ROW_SHAPES.map(({ needs }) => needs.join(" and ")))].join(", or ")
    }`,
  );
}
