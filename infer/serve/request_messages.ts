/**
 * The messages of a request.
 *
 * In: a parsed value, of which nothing is known. Out: checked messages, or an `ApiError` that names
 * the message and its field.
 */

import type { Message, ToolCall } from "../../data/text/message.ts";
import { parseToolArguments } from "../../data/text/tool_arguments.ts";
import { defined } from "../../internal/json/defined.ts";
import type { FieldTable } from "../../internal/json/field_table.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import {
  assertFields,
  ASSISTANT_FIELDS,
  CALL_FIELDS,
  FUNCTION_FIELDS,
  MESSAGE_FIELDS,
  PART_FIELDS,
  TOOL_FIELDS,
} from "./request_fields.ts";
import { type Fields, invalid } from "./request_values.ts";

/** Most messages of a chat: far more than people and agents write. */
const MAX_MESSAGES = 1024;

const ROLES: Readonly<Record<string, Message["role"]>> = Object.assign(Object.create(null), {
  system: "system",
  developer: "system",
  user: "user",
  assistant: "assistant",
  tool: "tool",
});

const FIELDS: Readonly<Record<Message["role"], FieldTable>> = {
  system: MESSAGE_FIELDS,
  user: MESSAGE_FIELDS,
  assistant: ASSISTANT_FIELDS,
  tool: TOOL_FIELDS,
};

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
      `${at}.role must be system, developer, user, assistant or tool`,
      `${at}.role`,
    );
  }
  assertFields(message, FIELDS[role], at);
  const content = parseContent(message.content, `${at}.content`, role);
  if (role === "tool") return { role, content, ...parseAnswered(message, at) };
  if (role !== "assistant") return { role, content };
  return {
    role,
    content,
    ...defined({
      reasoning_content: parseReasoning(message, at),
      tool_calls: parseCalls(message.tool_calls, `${at}.tool_calls`),
    }),
  };
}

/** Which call a tool answers. */
function parseAnswered(
  message: Fields,
  at: string,
): Pick<Message, "name" | "tool_call_id"> {
  const text = (name: string): string | undefined => {
    const value = message[name];
    if (value == null || typeof value === "string") return value ?? undefined;
    throw invalid(`${at}.${name} must be text`, `${at}.${name}`);
  };
  return defined({ tool_call_id: text("tool_call_id"), name: text("name") });
}

/** Calls, with their arguments as templates take them: as a record, which clients send as JSON. */
function parseCalls(value: unknown, at: string): readonly ToolCall[] | undefined {
  if (value == null) return undefined;
  if (!Array.isArray(value)) throw invalid(`${at} must be an array of calls`, at);
  const calls = value.map((call: unknown, index): ToolCall => {
    const place = `${at}[${index}]`;
    if (!isRecord(call)) throw invalid(`${place} must be an object`, place);
    assertFields(call, CALL_FIELDS, place);
    const { id, type = "function", function: called } = call;
    if (type !== "function" || !isRecord(called)) {
      throw invalid(`${place} must be a call of type function`, place);
    }
    assertFields(called, FUNCTION_FIELDS, `${place}.function`);
    const { name } = called;
    if (typeof name !== "string" || !(id == null || typeof id === "string")) {
      throw invalid(`${place} must have a name, and an id that is text`, place);
    }
    const made = parseToolArguments(called.arguments);
    if (made === undefined) {
      const field = `${place}.function.arguments`;
      throw invalid(`${field} must be a JSON object, or its text`, field);
    }
    return { ...defined({ id: id ?? undefined }), type, function: { name, arguments: made } };
  });
  return calls.length === 0 ? undefined : calls;
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
