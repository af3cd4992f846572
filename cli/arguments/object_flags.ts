/** Flags whose value is an object in files. In: the argument's name and its object. Out: the flag's text. */

import type { RowColumns } from "../../data/records/row_shapes.ts";
import { formatColumns } from "./columns_flag.ts";

const TEXTS: Readonly<Record<string, (value: Readonly<Record<string, unknown>>) => string>> = {
  columns: (value) => formatColumns(value as RowColumns),
  lrSchedulerKwargs: (value) => JSON.stringify(value),
  rankPattern: (value) => JSON.stringify(value),
  alphaPattern: (value) => JSON.stringify(value),
};

/** The text; `undefined` of an argument that is never an object. */
export function objectText(
  name: string,
  value: Readonly<Record<string, unknown>>,
): string | undefined {
  return Object.hasOwn(TEXTS, name) ? TEXTS[name](value) : undefined;
}
