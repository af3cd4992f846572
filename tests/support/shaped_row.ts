/** A row whose columns are known by their meaning; for tests of shapes. */

import type { ShapedRow } from "../../data/records/row_shape.ts";

/** Row 3 of rows.jsonl, of columns that are called `the MEANING` in it; what is not read is added to `unread`. */
export function shapedRow(
  values: Readonly<Record<string, unknown>>,
  { rest = {}, unread = [] }: {
    readonly rest?: Readonly<Record<string, unknown>>;
    readonly unread?: string[];
  } = {},
): ShapedRow {
  return {
    where: { file: "rows.jsonl", line: 3 },
    onUnread: (field) => void unread.push(field),
    ...{ values, rest },
    nameOf: (column) => `the ${column}`,
  };
}
