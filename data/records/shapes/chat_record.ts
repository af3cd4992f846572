/** A row that holds a whole chat in one column. In: the row. Out: its ChatRecord. */

import { showValue } from "../../../internal/json/field_table.ts";
import { saysNothing } from "../field_values.ts";
import { JsonlError } from "../jsonl_error.ts";
import { parseMessages } from "../parse_messages.ts";
import type { ChatRecord } from "../record_types.ts";
import { type ShapedRow, THINK_NAMES } from "../row_shape.ts";

/** Columns that would be lost beside a chat. */
export const BESIDE_CHAT: Readonly<Record<string, readonly string[]>> = {
  think: THINK_NAMES,
  history: ["history"],
};

/**
 * Reads the chat of a column.
 *
 * @throws {JsonlError} where the row says more than the chat, or the chat has nothing to learn
 */
export function chatRecord(row: ShapedRow, column: string): ChatRecord {
  const { values, where, onUnread } = row;
  const field = row.nameOf(column);
  refuseBeside(row, field);
  return { kind: "chat", messages: parseMessages(values[column], field, { where, onUnread }) };
}

/** Refuses what would be lost beside the messages of a field. */
export function refuseBeside({ values, where, nameOf }: ShapedRow, field: string): void {
  for (const beside of Object.keys(BESIDE_CHAT)) {
    const value = values[beside];
    if (saysNothing(value)) continue;
    const name = nameOf(beside);
    throw new JsonlError(
      { ...where, field: name },
      `${name} is ${
        showValue(value)
      }: beside ${field} it would be lost; put it into the messages, ` +
        `or remove the column, or leave it out with --columns ${beside}=`,
    );
  }
}
