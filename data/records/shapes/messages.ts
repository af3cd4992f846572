/** Rows of OpenAI's messages: `{messages: [{role, content}]}`. In: a row. Out: a chat. */

import { type RowShape, SHARED_COLUMNS } from "../row_shape.ts";
import { BESIDE_CHAT, chatRecord } from "./chat_record.ts";

/** The shape. */
export const messages: RowShape = {
  name: "messages",
  needs: ["messages"],
  columns: { messages: ["messages"], ...BESIDE_CHAT, ...SHARED_COLUMNS },
  parse: (row) => chatRecord(row, "messages"),
};
