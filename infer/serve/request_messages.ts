/**
 * The messages of a request.
 *
 * In: a parsed value, of which nothing is known. Out: checked messages, or an `ApiError` that names
 * the message and its field.
 */

import type { Message } from "../../data/text/message.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { assertFields, ASSISTANT_FIELDS, MESSAGE_FIELDS, PART_FIELDS } from "./request_fields.ts";
import { type Fields, invalid } from "./request_values.ts";

/** Most messages of a chat: far more than people and agents write. */
const MAX_MESSAGES = 1024;

const ROLES: Readonly<Record<string, Message["role"]>> = Object.assign(Object.create(null), {
  system: "system",
  developer: "system",
  user: "user",
  assistant: "assistant",
});

/** Checks messages. */
export function parseMessages(value: unknown): Message[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_MESSAGES) {
    throw invalid(`messages must be an array of 1 to ${MAX_MESSAGES} messages`, "messages");
  }
  return value.map((each: unknown, index) => parseMessage(each, `messages[${index}]`));
}

function parseMessage(message: unknown, at: string): Message {
  if (!isRecord(message)) throw invalid(`${at} must be an object`, at);
  const role = typeof message.role === "string" ? ROLES[message.role] : undefined;
  if (role === undefined) {
    throw invalid(
      `${at}.role must be system, developer, user or assistant; tools are not supported`,
      `${at}.role`,
    );
  }
  assertFields(message, role === "assistant" ? ASSISTANT_FIELDS : MESSAGE_FIELDS, at);
  const content = parseContent(message.content, `${at}.content`, role);
  const thinking = role === "assistant" ? parseReasoning(message, at) : undefined;
  return thinking === undefined
    ? { role, content }
    : { role, content, reasoning_content: thinking };
}

/** Text, or a list of parts of text. */
function parseContent(value: unknown, at: string, role: Message["role"]): string {
  if (typeof value === "string") return value;
  // Clients write an assistant's turn without an answer so.
  if (value == null && role === "assistant") return "";
  if (!Array.isArray(value)) throw invalid(`${at} must be text or an array of text parts`, at);
  return value.map((part: unknown, index) => {
    if (!isRecord(part) || part.type !== "text" || typeof part.text !== "string") {
      throw invalid(`${at}[${index}] must be a part of type text: the model reads text only`, at);
    }
    assertFields(part, PART_FIELDS, `${at}[${index}]`);
    return part.text;
  }).join("");
}

/** Thinking by either of its names; servers give it out by both. */
function parseReasoning(message: Fields, at: string): string | undefined {
  const given = ["reasoning_content", "reasoning"].flatMap((name) => {
    const value = message[name];
    if (value == null) return [];
    if (typeof value === "string") return [value];
    throw invalid(`${at}.${name} must be text`, `${at}.${name}`);
  });
  if (given.length === 2 && given[0] !== given[1]) {
    throw invalid(
      `${at}.reasoning and ${at}.reasoning_content differ: leave one out`,
      `${at}.reasoning`,
    );
  }
  return given[0];
}
