/**
 * A row as the chat that it becomes, a line a message. In: a record and its messages. Out: lines with
 * role, beginning of the text, and what is learned of it.
 */

import { taughtTurns } from "../../data/examples/taught_turns.ts";
import type { Message, Tool } from "../../data/text/message.ts";
import type { TrainingRecord } from "../../data/records/record_types.ts";
import { listFields } from "../../internal/json/field_table.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** Most messages that are shown, from the first. */
const SHOWN = 12;
/** Characters of a text that are shown. */
const HEAD = 72;

/** Describes the chat of a row. */
export function describeChat(
  record: TrainingRecord,
  { messages, teach, line }: Pick<TrainingArguments, "teach"> & {
    readonly messages: readonly Message[];
    readonly line: number | undefined;
  },
): string[] {
  const title = `first row${line === undefined ? "" : ` (line ${line})`}`;
  if (record.kind === "text") {
    return [
      `${title}, as text without a chat template:`,
      shown("prompt", head(record.prompt)),
      shown("completion", `${head(record.completion)}  (learned)`),
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
    ...tools.length === 0 ? [] : [shown("tools", listFields(tools.map(nameOf)))],
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
    ...content === "" ? [] : [head(content)],
    ...tool_calls.map((call) => `[calls ${call.function.name}]`),
    ...role !== "assistant" ? [] : [learned ? " (learned)" : " (not learned)"],
  ];
  return parts.join(" ");
}

function shown(role: string, text: string): string {
  return `  ${role.padEnd(10)} ${text}`;
}

/** The beginning of a text on one line, without what a terminal would take for its own. */
function head(text: string): string {
  const start = text.slice(0, HEAD).toWellFormed().replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ");
  return text.length > HEAD ? `${start}…` : start;
}

function nameOf(tool: Tool): string {
  const described = tool instanceof Map ? tool.get("function") : undefined;
  const name = described instanceof Map ? described.get("name") : undefined;
  return typeof name === "string" ? name : "?";
}
