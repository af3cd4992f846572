/**
 * The messages of a chat, from a row.
 *
 * In: a list of messages of parsed JSON, as OpenAI's API or as ShareGPT writes them. Out: Message[],
 * each reply with whether it is to be learned.
 */

import { describeValue } from "../../internal/json/describe_value.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { parseString, parseText, saysNothing } from "./field_values.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";
import type { Message, Role, ToolCall } from "../text/message.ts";
import { parseCall, parseCallText, parseToolCalls } from "./parse_tool_calls.ts";
import { LEARN_FIELDS, MASK_FIELDS, readMessageFields } from "./row_fields.ts";
import { parseRowJson } from "./parse_row_json.ts";
import type { OnUnread } from "./row_shape.ts";
import { splitThinking, trimLineBreaks } from "../text/thinking.ts";

/**
 * Most messages of one chat: the template is rendered once a turn, so the work grows with the
 * square.
 */
const MAX_MESSAGES = 1024;

/** A message that is a call, as a text. */
const CALL = "call";
/** Roles as rows write them, in lower case. */
const ROLES: ReadonlyMap<string, Role | typeof CALL> = new Map([
  ["system", "system"],
  // OpenAI's newer name of it.
  ["developer", "system"],
  ["user", "user"],
  ["human", "user"],
  ["prompter", "user"],
  ["assistant", "assistant"],
  ["gpt", "assistant"],
  ["bot", "assistant"],
  ["model", "assistant"],
  ["ai", "assistant"],
  ["chatgpt", "assistant"],
  ["tool", "tool"],
  ["function", "tool"],
  ["observation", "tool"],
  ["ipython", "tool"],
  ["function_call", CALL],
]);
/** Thinking and answer in the tags of Sky-T1, Bespoke-Stratos and OpenThoughts. */
const TAGGED =
  /^\s*<\|begin_of_thought\|>([^]*?)<\|end_of_thought\|>\s*<\|begin_of_solution\|>([^]*?)<\|end_of_solution\|>\s*$/;

/** How messages are parsed. */
export interface ParseMessagesOptions {
  readonly where: RowLocation;
  readonly onUnread?: OnUnread;
}

/**
 * Parses the messages of a chat that ends with what can be learned.
 *
 * A message without text is none: an empty system message is left out, an empty reply is part of
 * the prompt only. What comes after the last reply that can be learned is left out, since nothing is
 * learned from it.
 *
 * @param field the column, such as `messages`
 * @throws {JsonlError} naming the message and the field at fault.
 */
export function parseMessages(
  value: unknown,
  field: string,
  options: ParseMessagesOptions,
): readonly Message[] {
  return endWithReply(parseMessageList(value, field, options), field, options.where);
}

/** Parses a list of messages, whoever speaks last. */
export function parseMessageList(
  value: unknown,
  field: string,
  { where, onUnread }: ParseMessagesOptions,
): readonly Message[] {
  // Columns of CSV and some of Parquet hold text alone.
  const list = typeof value === "string" ? parseList(value) : value;
  if (!Array.isArray(list)) {
    throw new JsonlError(
      { ...where, field },
      `expected an array of messages, got ${describeValue(value)}`,
    );
  }
  if (list.length === 0 || list.length > MAX_MESSAGES) {
    throw new JsonlError(
      { ...where, field },
      `expected 1 to ${MAX_MESSAGES} messages, got ${list.length}`,
    );
  }
  return list.map((each, index) =>
    parseMessage(each, { where, place: `${field}[${index}]`, onUnread })
  ).filter((message): message is Message => message !== undefined);
}

/**
 * A chat up to its last reply that can be learned.
 *
 * @throws {JsonlError} where there is none, or a tool answers a call that nobody made.
 */
export function endWithReply(
  messages: readonly Message[],
  field: string,
  where: RowLocation,
): readonly Message[] {
  assertReply(messages, field, where);
  const ids = new Set(messages.flatMap(({ tool_calls = [] }) => tool_calls.map(({ id }) => id)));
  ids.delete(undefined);
  for (const { tool_call_id: id } of messages) {
    if (id === undefined || ids.size === 0 || ids.has(id)) continue;
    throw new JsonlError(
      { ...where, field },
      `expected each tool_call_id to name a call, got ${describeValue(id)}, which no call has`,
    );
  }
  const last = messages.findLastIndex(({ role, learn }) => role === "assistant" && learn !== false);
  // Where no reply is to be learned the row gives no example; whoever encodes it counts that.
  return last === -1 ? messages : messages.slice(0, last + 1);
}

/** Refuses messages without a reply that could be learned. */
export function assertReply(
  messages: readonly Message[],
  field: string,
  where: RowLocation,
): void {
  const replies = messages.filter(({ role }) => role === "assistant");
  const isEmpty = ({ content, tool_calls }: Message): boolean =>
    content.trim() === "" && tool_calls === undefined;
  if (!replies.every(isEmpty)) return;
  throw new JsonlError(
    { ...where, field },
    `expected a reply of the assistant to learn, got ${
      replies.length === 0 ? "none" : "only empty ones"
    }; add it, or drop the row`,
  );
}

function parseList(text: string): unknown {
  try {
    return parseRowJson(text);
  } catch {
    return undefined;
  }
}

/**
 * The turns before a question: pairs of a question and its reply, as LLaMA-Factory writes them, or
 * messages.
 */
export function parseHistory(
  given: unknown,
  field: string,
  { where, onUnread }: ParseMessagesOptions,
): readonly Message[] {
  if (given === null || given === undefined || given === "") return [];
  const value = typeof given === "string" ? parseList(given) : given;
  if (!Array.isArray(value)) {
    throw new JsonlError(
      { ...where, field },
      `expected an array of [question, answer], got ${describeValue(given)}`,
    );
  }
  if (value.length > MAX_MESSAGES) {
    throw new JsonlError(
      { ...where, field },
      `expected up to ${MAX_MESSAGES} turns, got ${value.length}`,
    );
  }
  return value.flatMap((turn: unknown, index): Message[] => {
    const place = `${field}[${index}]`;
    if (isRecord(turn)) {
      const message = parseMessage(turn, { where, place, onUnread });
      return message ? [message] : [];
    }
    if (!Array.isArray(turn) || turn.length !== 2) {
      throw new JsonlError(
        { ...where, field: place },
        `expected [question, answer] or a message, got ${describeValue(turn)}`,
      );
    }
    const content = parseText(turn[0], where, `${place}[0]`);
    const answer = parseString(turn[1], where, `${place}[1]`);
    return [{ role: "user", content }, reply({ content: answer }, { where, place: `${place}[1]` })];
  });
}

/** A message; `undefined` where it says nothing and so is none. */
function parseMessage(
  value: unknown,
  { where, place, onUnread }: ParseMessagesOptions & { readonly place: string },
): Message | undefined {
  if (!isRecord(value)) {
    throw new JsonlError(
      { ...where, field: place },
      `expected a message, got ${describeValue(value)}`,
    );
  }
  const fields = readMessageFields(value, { where, place, onUnread });
  const isNamed = value.role !== undefined || value.from === undefined;
  const role = parseRole(fields.role, where, `${place}.${isNamed ? "role" : "from"}`);
  const learn = parseLearn(fields, where, place);
  const name = fields.name == null
    ? {}
    : { name: parseString(fields.name, where, `${place}.name`) };
  const at = `${place}.${"value" in value ? "value" : "content"}`;
  if (role !== CALL && role !== "assistant") {
    refuseReplyFields(fields, { where, place, onUnread });
    if (learn === true) {
      onUnread?.(
        "messages[]: a flag to train on a message that is not the assistant's",
        "only replies of the assistant are learned",
      );
    }
    if (role !== "tool" && fields.tool_call_id != null) {
      onUnread?.("messages[]: a tool_call_id of a message that is not a tool's");
    }
    if (role === "tool") {
      const content = parseResult(fields.content, where, at);
      const id = fields.tool_call_id;
      return {
        role,
        content,
        ...id == null ? {} : { tool_call_id: parseString(id, where, `${place}.tool_call_id`) },
        ...name,
      };
    }
    const content = parseContent(fields.content, where, at);
    if (role === "system" && content === "") return undefined;
    return { role, content: parseText(content, where, at), ...name };
  }
  const text = fields.content == null ? "" : parseContent(fields.content, where, at);
  const tagged = TAGGED.exec(text);
  if (tagged !== null) {
    onUnread?.(
      "messages[]: thinking in tags of its own",
      "<|begin_of_thought|> and <|begin_of_solution|> are read as thinking and answer, and not taught",
    );
  }
  const own = fields.reasoning_content == null
    ? ""
    : parseString(fields.reasoning_content, where, `${place}.reasoning_content`);
  const said = role === CALL
    ? callOf(text, { where, place: at, onUnread })
    : tagged === null
    ? { content: text, think: "" }
    : { content: trimLineBreaks(tagged[2]), think: trimLineBreaks(tagged[1]) };
  if (said.think !== "" && own !== "") {
    throw new JsonlError(
      { ...where, field: at },
      "expected thinking in one place, got it inside the text and apart; keep one",
    );
  }
  const calls = parseCalls(fields, { where, place, onUnread });
  if (role === CALL && calls.length > 0) {
    throw new JsonlError(
      { ...where, field: at },
      "expected the call in the text or in tool_calls, got both; keep one",
    );
  }
  const think = said.think || own;
  return { ...reply({ calls, learn, ...said, think }, { where, place: at }), ...name };
}

/** ShareGPT's function_call: the call as JSON, after thinking in tags where there is some. */
function callOf(
  text: string,
  options: ParseMessagesOptions & { readonly place: string },
): { readonly content: string; readonly think: string; readonly calls: readonly ToolCall[] } {
  const { think, answer } = splitThinking(text);
  return { content: "", think, calls: parseCallText(answer, options) };
}

/** The calls of a reply, by OpenAI's name of today or by its older one. */
function parseCalls(
  { tool_calls: calls, function_call: old }: Readonly<Record<string, unknown>>,
  { where, place, onUnread }: ParseMessagesOptions & { readonly place: string },
): readonly ToolCall[] {
  const made = parseToolCalls(calls, { where, place: `${place}.tool_calls`, onUnread });
  if (saysNothing(old)) return made;
  const at = `${place}.function_call`;
  if (made.length > 0) {
    throw new JsonlError(
      { ...where, field: at },
      "expected tool_calls alone, of which function_call is the older name; keep one of the two",
    );
  }
  return [parseCall(old, { where, place: at, onUnread })];
}

/** Refuses calls of one who cannot call, and tells of thinking that is not the assistant's. */
function refuseReplyFields(
  fields: Readonly<Record<string, unknown>>,
  { where, place, onUnread }: ParseMessagesOptions & { readonly place: string },
): void {
  const calls = parseCalls(fields, { where, place, onUnread });
  if (calls.length > 0) {
    throw new JsonlError(
      { ...where, field: place },
      "expected calls of the assistant alone, got them in another's message",
    );
  }
  if (fields.reasoning_content != null && fields.reasoning_content !== "") {
    onUnread?.(
      "messages[]: thinking of a message that is not the assistant's",
      "thinking is read of the assistant only",
    );
  }
}

/** A reply; an empty one is not learned, and one of thinking alone is refused. */
function reply(
  { content, think = "", calls = [], learn }: {
    readonly content: string;
    readonly think?: string;
    readonly calls?: readonly ToolCall[];
    readonly learn?: boolean;
  },
  { where, place }: { readonly where: RowLocation; readonly place: string },
): Message {
  const empty = content.trim() === "" && calls.length === 0;
  const unanswered = empty
    ? think !== ""
    : calls.length === 0 && think === "" && splitThinking(content).answer === "";
  if (learn !== false && unanswered) {
    throw new JsonlError(
      { ...where, field: place },
      "expected an answer after the thinking, got none: learning it, the model would stop there",
    );
  }
  const learned = empty ? false : learn;
  return {
    role: "assistant",
    content,
    ...think === "" ? {} : { reasoning_content: think },
    ...calls.length === 0 ? {} : { tool_calls: calls },
    ...learned === undefined ? {} : { learn: learned },
  };
}

function parseRole(value: unknown, where: RowLocation, field: string): Role | typeof CALL {
  const role = typeof value === "string" ? ROLES.get(value.toLowerCase()) : undefined;
  if (role !== undefined) return role;
  throw new JsonlError(
    { ...where, field },
    `expected system, user, assistant or tool, got ${describeValue(value)}`,
  );
}

/** What a tool answers; data that are no text as their JSON. */
function parseResult(value: unknown, where: RowLocation, field: string): string {
  if (!isRecord(value)) return parseContent(value, where, field);
  return parseString(JSON.stringify(value), where, field);
}

/** Text, or a list of parts of text. */
function parseContent(value: unknown, where: RowLocation, field: string): string {
  if (!Array.isArray(value)) return parseString(value, where, field);
  return value.map((part: unknown, index) => {
    const at = `${field}[${index}]`;
    if (typeof part === "string") return parseString(part, where, at);
    if (!isRecord(part)) {
      throw new JsonlError(
        { ...where, field: at },
        `expected a part of text, got ${describeValue(part)}`,
      );
    }
    const { type, text, ...rest } = part;
    const isText = ["text", "input_text", "output_text", undefined].includes(
      type as string | undefined,
    );
    if (!isText || typeof text !== "string") {
      throw new JsonlError(
        { ...where, field: at },
        `expected a part of type text, got ${
          describeValue(type ?? text)
        }; the model reads text only`,
      );
    }
    const more = Object.keys(rest).filter((key) =>
      rest[key] != null && !["cache_control", "annotations", "id", "index"].includes(key)
    );
    if (more.length > 0) {
      throw new JsonlError(
        { ...where, field: `${at}.${more[0]}` },
        "expected type and text alone; the model reads text only",
      );
    }
    return parseString(text, where, at);
  }).join("");
}

/** Whether the message is to be learned; `undefined` where it does not say. */
function parseLearn(
  fields: Readonly<Record<string, unknown>>,
  where: RowLocation,
  place: string,
): boolean | undefined {
  let known: { readonly name: string; readonly learn: boolean } | undefined;
  for (const name of [...LEARN_FIELDS, ...MASK_FIELDS]) {
    const value = fields[name];
    if (value === undefined || value === null) continue;
    const flag = value === true || value === 1
      ? true
      : value === false || value === 0
      ? false
      : null;
    const field = `${place}.${name}`;
    if (flag === null) {
      throw new JsonlError(
        { ...where, field },
        `expected true or false, or 1 or 0, got ${
          describeValue(value)
        }; a reply is learned whole ` +
          "or not at all",
      );
    }
    const learn = MASK_FIELDS.includes(name) ? !flag : flag;
    if (known !== undefined && known.learn !== learn) {
      throw new JsonlError(
        { ...where, field },
        `expected what ${known.name} says, got ${
          describeValue(value)
        }: one has the reply learned ` +
          "and the other not; keep one",
      );
    }
    known ??= { name, learn };
  }
  return known?.learn;
}
