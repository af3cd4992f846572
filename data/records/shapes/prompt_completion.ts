/**
 * Rows of `{prompt, completion}`, as TRL means them: two texts that no chat template goes around, or two
 * lists of messages, of which the second's replies are learned. In: a row. Out: a text or a chat.
 */

import { describeValue } from "../../../internal/json/describe_value.ts";
import type { Message } from "../../text/message.ts";
import { parseString, parseText, saysNothing } from "../field_values.ts";
import { JsonlError } from "../jsonl_error.ts";
import { assertReply, endWithReply, parseMessageList } from "../parse_messages.ts";
import type { ChatRecord, TextRecord } from "../record_types.ts";
import { type RowShape, type ShapedRow, SHARED_COLUMNS } from "../row_shape.ts";
import { BESIDE_CHAT, refuseBeside } from "./chat_record.ts";

const CHAT_INSTEAD =
  "name them with --columns question=prompt,answer=completion where they are a chat";

/** The shape. */
export const promptCompletion: RowShape = {
  name: "prompt and completion",
  needs: ["prompt", "completion"],
  columns: {
    prompt: ["prompt"],
    completion: ["completion"],
    ...BESIDE_CHAT,
    ...SHARED_COLUMNS,
  },
  parse(row) {
    const { values, rest, where } = row;
    if (rest.label === false) {
      throw new JsonlError(
        { ...where, field: "label" },
        "label is false: a completion that is marked as bad would be learned; drop the row",
      );
    }
    const lists = ["prompt", "completion"].filter((name) => Array.isArray(values[name]));
    if (lists.length === 2) return chatOf(row);
    if (lists.length === 0) return textOf(row);
    const [list] = lists;
    const text = list === "prompt" ? "completion" : "prompt";
    throw new JsonlError(
      { ...where, field: row.nameOf(text) },
      `expected messages, as ${row.nameOf(list)} has, got ${
        describeValue(values[text])
      }; write both ` +
        "as texts or both as messages",
    );
  },
};

function textOf(row: ShapedRow): TextRecord {
  const { values, where } = row;
  for (const name of [...Object.keys(BESIDE_CHAT), ...Object.keys(SHARED_COLUMNS)]) {
    if (saysNothing(values[name])) continue;
    throw new JsonlError(
      { ...where, field: row.nameOf(name) },
      "expected none beside a prompt and a completion of plain text, where it would be lost; " +
        CHAT_INSTEAD,
    );
  }
  return {
    kind: "text",
    prompt: parseString(values.prompt, where, row.nameOf("prompt")),
    completion: parseText(values.completion, where, row.nameOf("completion")),
  };
}

function chatOf(row: ShapedRow): ChatRecord {
  const { values, where, onUnread } = row;
  const [prompt, completion] = ["prompt", "completion"].map((name) =>
    parseMessageList(values[name], row.nameOf(name), { where, onUnread })
  );
  refuseBeside(row, row.nameOf("completion"));
  if (prompt.at(-1)?.role === "assistant") {
    throw new JsonlError(
      { ...where, field: row.nameOf("prompt") },
      "expected a last message of the user or a tool, got one of the assistant; join what the " +
        "assistant says in the completion",
    );
  }
  const unlearned = prompt.map((message): Message =>
    message.role === "assistant" ? { ...message, learn: false } : message
  );
  const field = row.nameOf("completion");
  assertReply(completion, field, where);
  return { kind: "chat", messages: endWithReply([...unlearned, ...completion], field, where) };
}
