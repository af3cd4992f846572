/**
 * The messages of a chat, from a row.
 *
 * In: the `messages` or the `history` of parsed JSON. Out: Message[], each reply with whether it is
 * to be learned.
 */

import { describeValue } from "../../internal/json/describe_value.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { parseString, parseText } from "./field_values.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";
import type { Message, Role } from "../text/message.ts";
import { LEARN_FIELDS, MASK_FIELDS, type OnUnread, readMessageFields } from "./row_fields.ts";
import { splitThinking } from "../text/thinking.ts";

/**
 * Most messages of one chat: the template is rendered once a turn, so the work grows with the
 * square.
 */
const MAX_MESSAGES = 1024;

/** Roles as rows write them. */
const ROLES: ReadonlyMap<unknown, Role> = new Map([
  ["system", "system"],
  // OpenAI's newer name of it.
  ["developer", "system"],
  ["user", "user"],
  ["assistant", "assistant"],
]);
/** Roles of other formats, and what to write in their place. */
const FOREIGN_ROLES: ReadonlyMap<string, Role> = new Map([
  ["human", "user"],
  ["gpt", "assistant"],
  ["bot", "assistant"],
  ["model", "assistant"],
  ["ai", "assistant"],
  ["chatgpt", "assistant"],
  ["prompter", "user"],
]);

/** How messages are parsed. */
export interface ParseMessagesOptions {
  readonly where: RowLocation;
  readonly onUnread?: OnUnread;
}

/**
 * Parses the messages of a chat that ends with what can be learned.
 *
 * A message without text is none: an empty system message is left out, an empty reply is part of
 * the prompt only. What comes after the last reply that is learned is left out, since nothing is
 * learned from it.
 *
 * @throws {JsonlError} naming the message and the field at fault.
 */
export function parseMessages(
  value: unknown,
  { where, onUnread }: ParseMessagesOptions,
): readonly Message[] {
  const field = "messages";
  if (!Array.isArray(value)) {
    throw new JsonlError(
      { ...where, field },
      `expected an array of messages, got ${describeValue(value)}`,
    );
  }
  if (value.length === 0 || value.length > MAX_MESSAGES) {
    throw new JsonlError(
      { ...where, field },
      `expected 2 to ${MAX_MESSAGES} messages, got ${value.length}`,
    );
  }
  const messages = value.map((each, index) =>
    parseMessage(each, { where, place: `messages[${index}]`, onUnread })
  ).filter((message): message is Message => message !== undefined);
  const replies = messages.filter(({ role }) => role === "assistant");
  if (replies.every(({ content }) => content.trim() === "")) {
    throw new JsonlError(
      { ...where, field },
      `expected a reply of the assistant to learn, got ${
        replies.length === 0 ? "none" : "only empty ones"
      }; add it, or drop the row`,
    );
  }
  const last = messages.findLastIndex(({ role, learn }) => role === "assistant" && learn !== false);
  // Where no reply is to be learned the row gives no example; whoever encodes it counts that.
  return last === -1 ? messages : messages.slice(0, last + 1);
}

/**
 * The turns before a question: pairs of a question and its reply, as LLaMA-Factory writes them, or
 * messages.
 */
export function parseHistory(
  value: unknown,
  { where, onUnread }: ParseMessagesOptions,
): readonly Message[] {
  const field = "history";
  if (value === null || value === undefined || value === "") return [];
  if (!Array.isArray(value)) {
    throw new JsonlError(
      { ...where, field },
      `expected an array of [question, answer], got ${describeValue(value)}`,
    );
  }
  if (value.length > MAX_MESSAGES) {
    throw new JsonlError(
      { ...where, field },
      `expected up to ${MAX_MESSAGES} turns, got ${value.length}`,
    );
  }
  return value.flatMap((turn: unknown, index): Message[] => {
    const place = `history[${index}]`;
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
  const role = parseRole(value, where, place);
  const fields = readMessageFields(value, { where, place, onUnread });
  const learn = parseLearn(fields, where, place);
  const name = fields.name == null
    ? {}
    : { name: parseString(fields.name, where, `${place}.name`) };
  const at = `${place}.content`;
  if (role !== "assistant") {
    if (learn === true) {
      onUnread?.(
        "messages[]: a flag to train on a message that is not the assistant's",
        "only replies of the assistant are learned",
      );
    }
    const content = parseContent(fields.content, where, at);
    if (role === "system" && content === "") return undefined;
    return { role, content: parseText(content, where, at), ...name };
  }
  const content = fields.content == null ? "" : parseContent(fields.content, where, at);
  const think = fields.reasoning_content == null
    ? ""
    : parseString(fields.reasoning_content, where, `${place}.reasoning_content`);
  return { ...reply({ content, think, learn }, { where, place: at }), ...name };
}

/** A reply; an empty one is not learned, and one of thinking alone is refused. */
function reply(
  { content, think = "", learn = true }: {
    readonly content: string;
    readonly think?: string;
    readonly learn?: boolean;
  },
  { where, place }: { readonly where: RowLocation; readonly place: string },
): Message {
  const empty = content.trim() === "";
  if (learn && (empty ? think !== "" : think === "" && splitThinking(content).answer === "")) {
    throw new JsonlError(
      { ...where, field: place },
      "expected an answer after the thinking, got none: learning it, the model would stop there",
    );
  }
  return {
    role: "assistant",
    content,
    ...think === "" ? {} : { reasoning_content: think },
    ...learn && !empty ? {} : { learn: false },
  };
}

function parseRole(
  message: Readonly<Record<string, unknown>>,
  where: RowLocation,
  place: string,
): Role {
  const value = message.role ?? message.Role;
  const role = ROLES.get(value);
  if (role !== undefined) return role;
  const field = `${place}.role`;
  if (value === undefined && typeof message.from === "string") {
    throw new JsonlError(
      { ...where, field },
      'expected system, user or assistant, got nothing beside "from": messages of ShareGPT; write ' +
        "role and content in place of from and value, and user and assistant in place of human and gpt",
    );
  }
  const word = typeof value === "string" ? value.toLowerCase() : "";
  const remedy = value === "tool" || value === "function" || value === "ipython"
    ? "training on tool calls is not supported, drop the row"
    : ROLES.has(word)
    ? `write ${ROLES.get(word)}`
    : FOREIGN_ROLES.has(word)
    ? `write ${FOREIGN_ROLES.get(word)}`
    : undefined;
  throw new JsonlError(
    { ...where, field },
    `expected system, user or assistant, got ${describeValue(value)}` +
      (remedy ? `; ${remedy}` : ""),
  );
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
