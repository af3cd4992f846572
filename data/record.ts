/**
 * Training records, from rows of two kinds, and the chat they stand for.
 *
 * In: one JSON object, either { question, think, answer } or { messages: [{ role, content }] };
 * other columns are ignored. Out: a TrainingRecord, and from it the messages of a chat.
 *
 * @module
 */

import { describeValue } from "../json/describe_value.ts";
import { JsonlError } from "./jsonl_error.ts";
import type { RowLocation } from "./jsonl_error.ts";
import type { Message, Role } from "./message.ts";
import { splitThinking } from "./thinking.ts";

/** A row with the columns of the medical think/answer data. */
export interface QuestionRecord {
  /** Tells the two kinds of record apart. */
  readonly kind: "question";
  /** What the user asks. */
  readonly question: string;
  /** The thinking; `null` where the column is missing or null. */
  readonly think: string | null;
  /** What the assistant answers. */
  readonly answer: string;
}

/** A row that holds a whole chat; its last message is the assistant's. */
export interface ChatRecord {
  /** Tells the two kinds of record apart. */
  readonly kind: "chat";
  /** What was said, in order. */
  readonly messages: readonly Message[];
}

/** One row of training data. */
export type TrainingRecord = QuestionRecord | ChatRecord;

/**
 * Most messages of one chat: the template is rendered once a turn, so the work grows with the
 * square.
 */
const MAX_MESSAGES = 1024;

/**
 * Parses one row of training data. A row with `messages` is a chat; any other must have `question`
 * and `answer`, and may have `think`.
 *
 * @throws {JsonlError} naming the field that is at fault.
 *
 * @example
 * ```ts
 * import { parseRecord } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const where = { file: "train.jsonl", line: 1 };
 * const record = parseRecord({ question: "1+1?", think: null, answer: "2", metrics: 4 }, where);
 * assert.deepEqual(record, { kind: "question", question: "1+1?", think: null, answer: "2" });
 * assert.throws(() => parseRecord({ question: "1+1?", answer: 2 }, where), {
 *   message: "train.jsonl:1:answer: expected a string, got number 2",
 * });
 * ```
 */
export function parseRecord(value: Record<string, unknown>, where: RowLocation): TrainingRecord {
  if (value.messages !== undefined && value.messages !== null) {
    return { kind: "chat", messages: parseMessages(value.messages, where) };
  }
  if (value.question === undefined && value.answer === undefined) {
    const columns = Object.keys(value).slice(0, 8).map((name) => name.slice(0, 32)).join(", ");
    throw new JsonlError(
      where,
      `expected the columns question and answer, or messages, got ${
        columns || "no columns"
      }; rename the columns`,
    );
  }
  const { think: rawThink = null } = value;
  const question = parseText(value.question, where, "question");
  const think = rawThink === null ? null : parseString(rawThink, where, "think");
  const answer = parseText(value.answer, where, "answer");
  if (!think) requireAnswer(answer, where, "answer");
  return { kind: "question", question, think, answer };
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
  const { system = "" } = options;
  const messages: Message[] = record.kind === "chat" ? record.messages.map(withThinkingApart) : [
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
 */
function withThinkingApart(message: Message): Message {
  const { role, content, reasoning_content = "" } = message;
  if (role !== "assistant") return message;
  if (reasoning_content !== "") return { role, content, reasoning_content };
  const { think, answer } = splitThinking(content);
  return { role, content: answer, reasoning_content: think };
}

/** A think column may hold its own tags. */
function withoutTags(think: string): string {
  const { think: inner, answer } = splitThinking(think);
  return inner !== "" && answer === "" ? inner : think;
}

function parseMessages(value: unknown, where: RowLocation): Message[] {
  if (!Array.isArray(value)) {
    throw new JsonlError(
      { ...where, field: "messages" },
      `expected an array of messages, got ${describeValue(value)}`,
    );
  }
  if (value.length === 0 || value.length > MAX_MESSAGES) {
    throw new JsonlError(
      { ...where, field: "messages" },
      `expected 2 to ${MAX_MESSAGES} messages, got ${value.length}`,
    );
  }
  const messages = value.map((item, index) => parseMessage(item, where, `messages[${index}]`));
  if (messages[0].role === "assistant") {
    throw new JsonlError(
      { ...where, field: "messages[0].role" },
      "expected system or user to speak first, got assistant",
    );
  }
  const last = messages.length - 1;
  if (messages[last].role !== "assistant") {
    throw new JsonlError(
      { ...where, field: `messages[${last}].role` },
      `expected the last message to be the assistant's, got ${messages[last].role}`,
    );
  }
  return messages;
}

function parseMessage(value: unknown, where: RowLocation, field: string): Message {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new JsonlError({ ...where, field }, `expected a message, got ${describeValue(value)}`);
  }
  const { role: rawRole, content: rawContent, reasoning_content: rawThink = null, tool_calls } =
    value as Record<string, unknown>;
  const role = parseRole(rawRole, where, `${field}.role`);
  if (Array.isArray(tool_calls) ? tool_calls.length > 0 : tool_calls != null) {
    throw new JsonlError(
      { ...where, field: `${field}.tool_calls` },
      "expected no tool calls, got some; training on tool calls is not supported, drop the row",
    );
  }
  const content = parseText(rawContent, where, `${field}.content`);
  if (role !== "assistant") return { role, content };
  if (rawThink === null) {
    requireAnswer(content, where, `${field}.content`);
    return { role, content };
  }
  return {
    role,
    content,
    reasoning_content: parseString(rawThink, where, `${field}.reasoning_content`),
  };
}

/** Refuses a reply that is all thinking: training on it would teach the model to stop there. */
function requireAnswer(reply: string, where: RowLocation, field: string): void {
  if (splitThinking(reply).answer !== "") return;
  throw new JsonlError({ ...where, field }, "expected an answer after </think>, got none");
}

function parseRole(value: unknown, where: RowLocation, field: string): Role {
  if (value === "system" || value === "user" || value === "assistant") return value;
  throw new JsonlError(
    { ...where, field },
    `expected system, user or assistant, got ${describeValue(value)}` +
      (value === "tool" ? "; training on tool calls is not supported, drop the row" : ""),
  );
}

/** A string with something in it. */
function parseText(value: unknown, where: RowLocation, field: string): string {
  const text = parseString(value, where, field);
  if (text.trim() === "") {
    throw new JsonlError(
      { ...where, field },
      `expected some text, got ${text === "" ? "an empty string" : "only blank space"}`,
    );
  }
  return text;
}

function parseString(value: unknown, where: RowLocation, field: string): string {
  if (typeof value !== "string") {
    throw new JsonlError({ ...where, field }, `expected a string, got ${describeValue(value)}`);
  }
  // A lone surrogate has no UTF-8, so no tokenizer could give it back.
  if (!value.isWellFormed()) {
    throw new JsonlError({ ...where, field }, "expected valid Unicode, got a lone surrogate");
  }
  return value;
}
