/**
 * A row as the chat that it becomes, a line a message. In: a record and its messages. Out: lines with
 * role, beginning of the text, and what is learned of it.
 */

import { taughtTurns } from "../../data/examples/taught_turns.ts";
import type { Message } from "../../data/text/message.ts";
import { toolName } from "../../data/text/tool_name.ts";
import { describePlace, type RowLocation } from "../../data/records/jsonl_error.ts";
import type { ReplyRecord } from "../../data/records/record_types.ts";
import { listFields } from "../../internal/json/field_table.ts";
import { oneLine } from "./one_line.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** Most messages that are shown, from the first. */
const SHOWN = 12;
/** Characters of a text that are shown. */
const WIDTH = 72;

/** Describes the chat of a row. */
export function describeChat(
  record: ReplyRecord,
  { messages, teach, source }: Pick<TrainingArguments, "teach"> & {
    readonly messages: readonly Message[];
    readonly source: RowLocation | undefined;
  },
): string[] {
  const title = `first row${source === undefined ? "" : ` (${describePlace(source)})`}`;
  if (record.kind === "text") {
    return [
      `${title}, as text without a chat template:`,
      shown("prompt", oneLine(record.prompt, WIDTH)),
      shown("completion", `${oneLine(record.completion, WIDTH)}  (learned)`),
    ];
  }
  const taught = new Set(taughtTurns(messages, teach));
  const lines = messages.slice(0, SHOWN).map((message, turn) =>
    shown(message.role, describeMessage(message, taught.has(turn)))
  );
  const more = messages.length - SHOWN;
  const { tools = [] } = record;
  return [
    `${title}, as the chat that it becomes:`,
    ...tools.length === 0
      ? []
      : [shown("tools", listFields(tools.map((tool) => toolName(tool) ?? "?")))],
    ...lines,
    ...more > 0 ? [shown("", `and ${more} messages more`)] : [],
  ];
}

function describeMessage(
  { role, content, reasoning_content: think = "", tool_calls = [] }: Message,
  learned: boolean,
): string {
  const parts = [
    ...think === "" ? [] : [`[thinking: ${Array.from(think).length} characters]`],
    ...content === "" ? [] : [oneLine(content, WIDTH)],
    ...tool_calls.map((call) => `[calls ${call.function.name}]`),
    ...role !== "assistant" ? [] : [learned ? " (learned)" : " (not learned)"],
  ];
  return parts.join(" ");
}

function shown(role: string, text: string): string {
  return `  ${role.padEnd(10)} ${text}`;
}
