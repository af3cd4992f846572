/**
 * What a shape of rows is: the columns that tell it, and what it makes of them.
 *
 * Types and names only; each shape is a file of `shapes/`, and `row_shapes.ts` lists them.
 */

import type { TrainingRecord } from "./record_types.ts";
import type { RowLocation } from "./jsonl_error.ts";

/** Is told of a field that is not read; `remedy` is why, where the field is a known one. */
export type OnUnread = (field: string, remedy?: string) => void;

/** A row whose columns are known by their meaning. */
export interface ShapedRow {
  readonly where: RowLocation;
  readonly onUnread?: OnUnread;
  /** What its columns hold, by their meaning. */
  readonly values: Readonly<Record<string, unknown>>;
  /** What the columns hold that mean nothing to the shape, by their own names. */
  readonly rest: Readonly<Record<string, unknown>>;
  /** The row's own name of a column, for errors. */
  nameOf(column: string): string;
}

/** A way in which data sets write what was said. */
export interface RowShape {
  /** As users call it. */
  readonly name: string;
  /** Columns without which a row is none of this shape. */
  readonly needs: readonly string[];
  /** Names of each column in lower case, by its meaning. */
  readonly columns: Readonly<Record<string, readonly string[]>>;
  /** Reads a row; throws a {@linkcode JsonlError} where it cannot. */
  parse(row: ShapedRow): TrainingRecord;
}

/** Names of thinking in data sets and APIs, in lower case; the first is ours. */
export const THINK_NAMES: readonly string[] = [
  ...["think", "thinking", "thought", "thoughts", "reasoning", "reasoning_content"],
  ...["reasoning_trace", "cot", "complex_cot", "chain_of_thought"],
];

/** Columns that rows of all shapes may have. */
export const SHARED_COLUMNS: Readonly<Record<string, readonly string[]>> = {
  system: ["system", "system_prompt", "system_message"],
  tools: ["tools", "functions"],
  chat_template_kwargs: ["chat_template_kwargs"],
};
