/**
 * Training records, from rows of two kinds, and the chat they stand for.
 *
 * In: one JSON object, either { question, think, answer } or { messages: [{ role, content }] };
 * of other columns see row_fields.ts. Out: a TrainingRecord, and from it the messages of a chat.
 *
 * @module
 */

import { listFields } from "../../internal/json/field_table.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { parseString, parseText } from "./field_values.ts";
import { JsonlError } from "./jsonl_error.ts";
import type { RowLocation } from "./jsonl_error.ts";
import { knownFormat } from "./known_formats.ts";
import type { Message } from "../text/message.ts";
import { parseHistory, parseMessages } from "./parse_messages.ts";
import { type OnUnread, readColumns } from "./row_fields.ts";
import { splitThinking, trimLineBreaks } from "../text/thinking.ts";

/** What rows of both kinds may say besides. */
export interface AnyRecord {
  /** The row's own system prompt, where it has one: `""` asks for none. */
  readonly system?: string;
  /** Whether the row asks for a prompt with or without thinking, by `chat_template_kwargs`. */
  readonly enableThinking?: boolean;
}

/** A row with the columns of the medical think/answer data. */
export interface QuestionRecord extends AnyRecord {
  /** Tells the two kinds of record apart. */
  readonly kind: "question";
  /** What the user asks, with the text of an `input` column below it. */
  readonly question: string;
  /** The thinking; `null` where the column is missing or null. */
  readonly think: string | null;
  /** What the assistant answers. */
  readonly answer: string;
  /** The turns before the question, where there are some. */
  readonly history?: readonly Message[];
}

/** A row that holds a whole chat; its last message is the assistant's, or no reply is learned. */
export interface ChatRecord extends AnyRecord {
  /** Tells the two kinds of record apart. */
  readonly kind: "chat";
  /** What was said, in order. */
  readonly messages: readonly Message[];
}

/** One row of training data. */
export type TrainingRecord = QuestionRecord | ChatRecord;

/**
 * Parses one row of training data. A row with `messages` is a chat; any other must have `question`
 * and `answer`, and may have `think`, `system`, `input` and `history`. Names of columns may be in
 * any letter case, and thinking may be called `reasoning`, `thinking` or `reasoning_content`.
 *
 * @param onUnread is told of each column and field of a message that is not read.
 * @throws {JsonlError} naming the field that is at fault.
 *
 * @example
 * ```ts
 * import { parseRecord } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const where = { file: "train.jsonl", line: 1 };
 * const unread: string[] = [];
 * const row = { question: "1+1?", Reasoning: "Easy.", answer: "2", hint: "add" };
 * const record = parseRecord(row, where, (column) => unread.push(column));
 * assert.deepEqual(record, { kind: "question", question: "1+1?", think: "Easy.", answer: "2" });
 * assert.deepEqual(unread, ["hint"]);
 * assert.throws(() => parseRecord({ question: "1+1?", answer: 2 }, where), {
 *   message: "train.jsonl:1:answer: expected a string, got number 2",
 * });
 * ```
 */
export function parseRecord(
  value: Record<string, unknown>,
  where: RowLocation,
  onUnread?: OnUnread,
): TrainingRecord {
  const row = readColumns(value, where, onUnread);
  const shared = {
    ...row.system == null ? {} : { system: parseString(row.system, where, "system") },
    ...parseTemplateArguments(row.chat_template_kwargs, where),
  };
  if (row.messages !== undefined && row.messages !== null) {
    const messages = parseMessages(row.messages, { where, onUnread });
    assertOneSystem(messages, shared.system, where);
    return { kind: "chat", messages, ...shared };
  }
  if (row.question === undefined || row.answer === undefined) refuseFormat(value, row, where);
  const { think: rawThink = null, input = "" } = row;
  const question = parseText(row.question, where, "question");
  const think = rawThink === null ? null : parseString(rawThink, where, "think");
  const answer = parseText(row.answer, where, "answer");
  if (!think && splitThinking(answer).answer === "") {
    throw new JsonlError(
      { ...where, field: "answer" },
      "expected an answer after </think>, got none",
    );
  }
  const more = input === null ? "" : parseString(input, where, "input");
  const history = parseHistory(row.history, { where, onUnread });
  return {
    kind: "question",
    // As LLaMA-Factory joins them.
    question: more === "" ? question : `${question}\n${more}`,
    think,
    answer,
    ...history.length === 0 ? {} : { history },
    ...shared,
  };
}

/** Names a row of another format; a row that only lacks a column is told of that column later. */
function refuseFormat(
  value: Readonly<Record<string, unknown>>,
  row: Readonly<Record<string, unknown>>,
  where: RowLocation,
): void {
  const columns = Object.keys(value);
  const format = knownFormat(columns);
  if (format === undefined && (row.question !== undefined || row.answer !== undefined)) return;
  throw new JsonlError(
    where,
    `expected the columns question and answer, or messages, got ${
      columns.length > 0 ? listFields(columns, 8) : "no columns"
    }; ${format ?? "rename the columns"}`,
  );
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
  where: RowLocation,
): void {
  const own = messages.find(({ role }) => role === "system");
  if (system === undefined || system === "" || !own || own.content === system) return;
  throw new JsonlError(
    { ...where, field: "system" },
    "expected the system message of messages, got another text; keep one of the two",
  );
}

/** Options of {@linkcode toMessages}. */
export interface ToMessagesOptions {
  /** A system prompt to put first, unless the chat has a system message of its own. */
  readonly system?: string;
}

/**
 * The chat that a record stands for. Thinking ends up in `reasoning_content`, also where a row
 * holds it inside the content as `<think>…</think>`.
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
