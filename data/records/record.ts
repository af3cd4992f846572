/**
 * Training records, from rows of all shapes, and the chat they stand for.
 *
 * In: one JSON object of a shape in row_shapes.ts. Out: a TrainingRecord, and from it the messages of
 * a chat.
 *
 * @module
 */

import { listFields } from "../../internal/json/field_table.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { parseString } from "./field_values.ts";
import { JsonlError, type JsonlErrorPlace, type RowLocation } from "./jsonl_error.ts";
import type { Message } from "../text/message.ts";
import { parseTools } from "./parse_tools.ts";
import type { AnyRecord, ReplyRecord, TextRecord, TrainingRecord } from "./record_types.ts";
import type { ShapedRow } from "./row_shape.ts";
import { type ParseRecordOptions, shapeRow } from "./shape_row.ts";
import { splitThinking, trimLineBreaks } from "../text/thinking.ts";

/**
 * Parses one row of training data: a chat in `messages` or ShareGPT's `conversations`, Alpaca's
 * `instruction` and `output`, TRL's `prompt` and `completion`, its `chosen` and `rejected`, or a question and its
 * answer under the names of well-known data sets, with thinking, `system`, `tools`, `input` and `history` beside them.
 * Names of columns may be in any letter case.
 *
 * @throws {JsonlError} naming the field that is at fault, or the shapes between which nobody chose.
 *
 * @example
 * ```ts
 * import { parseRecord } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const where = { file: "train.jsonl", line: 1 };
 * const unread: string[] = [];
 * const row = { question: "1+1?", Reasoning: "Easy.", answer: "2", hint: "add" };
 * const record = parseRecord(row, where, { onUnread: (column) => unread.push(column) });
 * assert.deepEqual(record, { kind: "question", question: "1+1?", think: "Easy.", answer: "2" });
 * assert.deepEqual(unread, ["hint"]);
 * assert.throws(() => parseRecord({ question: "1+1?", answer: 2 }, where), {
 *   message: "train.jsonl:1:answer: expected a string, got number 2",
 * });
 *
 * const columns = { question: "q", answer: "a" };
 * const named = parseRecord({ q: "1+1?", a: "2" }, where, { columns });
 * assert.deepEqual(named, { kind: "question", question: "1+1?", think: null, answer: "2" });
 * ```
 */
export function parseRecord(
  value: Record<string, unknown>,
  where: RowLocation,
  options: ParseRecordOptions = {},
): TrainingRecord {
  const { shape, shaped, recognized } = shapeRow(value, where, options);
  const record = shape.parse(shaped);
  const withShared = <Any extends ReplyRecord>(one: Any): Any =>
    one.kind === "text" ? one : { ...one, ...parseShared(one, shaped) };
  const whole = record.kind === "pair"
    ? {
      ...record,
      chosen: withShared(record.chosen),
      rejected: withShared(record.rejected),
    }
    : withShared(record);
  options.onShape?.(recognized);
  return whole;
}

/** What rows of all chats may say. */
function parseShared(
  record: Exclude<ReplyRecord, TextRecord>,
  { values, where, nameOf }: ShapedRow,
): AnyRecord {
  const system = values.system == null
    ? undefined
    : parseString(values.system, where, nameOf("system"));
  const tools = parseTools(values.tools, where, nameOf("tools"));
  if (record.kind === "chat") {
    assertOneSystem(record.messages, system, { ...where, field: nameOf("system") });
  }
  return {
    ...system === undefined ? {} : { system },
    ...parseTemplateArguments(values.chat_template_kwargs, where),
    ...tools === undefined ? {} : { tools },
  };
}

/** What a row asks of the chat template, as TRL reads it. */
function parseTemplateArguments(
  value: unknown,
  where: RowLocation,
): { readonly enableThinking?: boolean } {
  if (value === null || value === undefined) return {};
  const field = "chat_template_kwargs";
  const { enable_thinking, ...others } = isRecord(value) ? value : { value };
  const unknown = Object.keys(others);
  if (unknown.length > 0 || (enable_thinking != null && typeof enable_thinking !== "boolean")) {
    throw new JsonlError(
      { ...where, field },
      `expected enable_thinking true or false and nothing else, got ${
        listFields(unknown.length > 0 ? unknown : ["enable_thinking"])
      }; remove the rest`,
    );
  }
  return enable_thinking == null ? {} : { enableThinking: enable_thinking };
}

/** A system prompt may stand in a column and in the messages, but not two of them. */
function assertOneSystem(
  messages: readonly Message[],
  system: string | undefined,
  place: JsonlErrorPlace,
): void {
  const own = messages.find(({ role }) => role === "system");
  if (system === undefined || system === "" || !own || own.content === system) return;
  throw new JsonlError(
    place,
    "expected the system message of messages, got another text; keep one of the two",
  );
}

/** The records of a row: of a pair both, the chosen one first. */
export function recordsOf(record: TrainingRecord): readonly ReplyRecord[] {
  return record.kind === "pair" ? [record.chosen, record.rejected] : [record];
}

/** Options of {@linkcode toMessages}. */
export interface ToMessagesOptions {
  /** A system prompt to put first, unless the chat has a system message of its own. */
  readonly system?: string;
}

/**
 * The chat that a record stands for; of a pair the one with the chosen reply. Thinking ends up in `reasoning_content`, also where a row
 * holds it inside the content as `<think>…</think>`.
 *
 * @throws {TypeError} if the record is of plain text, which is no chat.
 *
 * @example
 * ```ts
 * import { toMessages } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const messages = toMessages(
 *   { kind: "question", question: "1+1?", think: "Easy.", answer: "2" },
 *   { system: "Be brief." },
 * );
 * assert.deepEqual(messages, [
 *   { role: "system", content: "Be brief." },
 *   { role: "user", content: "1+1?" },
 *   { role: "assistant", content: "2", reasoning_content: "Easy." },
 * ]);
 * ```
 */
export function toMessages(record: TrainingRecord, options: ToMessagesOptions = {}): Message[] {
  if (record.kind === "pair") return toMessages(record.chosen, options);
  if (record.kind === "text") {
    throw new TypeError(
      "Cannot make messages of a prompt and a completion of plain text: no chat template goes " +
        "around them; use toTextExample",
    );
  }
  const { system = options.system ?? "" } = record;
  const messages: Message[] = record.kind === "chat" ? record.messages.map(withThinkingApart) : [
    ...(record.history ?? []).map(withThinkingApart),
    { role: "user", content: record.question },
    withThinkingApart({
      role: "assistant",
      content: record.answer,
      reasoning_content: withoutTags(record.think ?? ""),
    }),
  ];
  if (system !== "" && !messages.some(({ role }) => role === "system")) {
    messages.unshift({ role: "system", content: system });
  }
  return messages;
}

/**
 * An assistant's message always gets `reasoning_content`, so that no template splits its content.
 * Thinking that stands in both is taken once.
 *
 * @throws {RangeError} where they differ
 */
function withThinkingApart(message: Message): Message {
  const { role, content, reasoning_content = "" } = message;
  if (role !== "assistant") return message;
  const { think, answer } = splitThinking(content);
  if (reasoning_content === "") return { ...message, content: answer, reasoning_content: think };
  if (think === "" || answer === "") return message;
  if (trimLineBreaks(reasoning_content).trim() === think.trim()) {
    return { ...message, content: answer };
  }
  throw new RangeError(
    "Cannot take the thinking: it stands apart and, as another text, in <think> tags inside the " +
      "answer; keep one of the two",
  );
}

/** A think column may hold its own tags. */
function withoutTags(think: string): string {
  const { think: inner, answer } = splitThinking(think);
  return inner !== "" && answer === "" ? inner : think;
}
