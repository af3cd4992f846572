/**
 * Rows of ShareGPT: `{conversations: [{from, value}]}`, with roles human, gpt, system, observation and
 * function_call; messages of role and content are read too. In: a row. Out: a chat.
 */

import { type RowShape, SHARED_COLUMNS } from "../row_shape.ts";
import { BESIDE_CHAT, chatRecord } from "./chat_record.ts";

/** The shape. */
export const shareGpt: RowShape = {
  name: "ShareGPT",
  needs: ["conversations"],
  columns: {
    conversations: ["conversations", "conversation"],
    ...BESIDE_CHAT,
    ...SHARED_COLUMNS,
  },
  parse: (row) => chatRecord(row, "conversations"),
};
