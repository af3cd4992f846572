/**
 * The input of a request to the Responses API.
 *
 * In: a text or a list of items. Out: the same chat as messages of chat completions. What a model
 * said in one turn, its thinking, its text and its calls, comes as items and becomes one message.
 */

import { defined } from "../../../internal/json/defined.ts";
import { isRecord } from "../../../internal/json/is_record.ts";
import { assertFields } from "../request_fields.ts";
import { type Fields, invalid } from "../request_values.ts";
import { CONTENT_FIELDS, ITEM_FIELDS } from "./response_fields.ts";

/** A message of the assistant, being put together. */
interface Turn {
  role: "assistant";
  content: string | undefined;
  reasoning_content?: string;
  tool_calls?: unknown[];
}

/** The messages of an input. */
export function responseMessages(input: unknown): unknown[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  if (!Array.isArray(input) || input.length === 0) {
    throw invalid("input must be a text or a list of items, not empty", "input");
  }
  const messages: unknown[] = [];
  let turn: Turn | undefined;
  const begin = (): Turn => {
    messages.push(turn = { role: "assistant", content: undefined });
    return turn;
  };
  for (const [index, item] of input.entries()) {
    const at = `input[${index}]`;
    if (!isRecord(item)) throw invalid(`${at} must be an object`, at);
    const { type = "message" } = item;
    const table = typeof type === "string" && Object.hasOwn(ITEM_FIELDS, type)
      ? ITEM_FIELDS[type]
      : undefined;
    if (!table) {
      throw invalid(
        `${at}.type must be ${Object.keys(ITEM_FIELDS).join(", ")}: nothing else is read here`,
        `${at}.type`,
      );
    }
    assertFields(item, table, at);
    if (type === "reasoning") {
      const thinking = contentText(item.content ?? [], `${at}.content`, ["reasoning_text"]);
      // Reasoning opens a turn.
      if (thinking !== "") begin().reasoning_content = thinking;
    } else if (type === "function_call") {
      turn ??= begin();
      (turn.tool_calls ??= []).push(callOf(item));
    } else if (type === "function_call_output") {
      turn = undefined;
      messages.push(defined({
        role: "tool",
        tool_call_id: item.call_id ?? undefined,
        name: item.name ?? undefined,
        content: contentText(item.output, `${at}.output`, TEXTS),
      }));
    } else if (item.role === "assistant") {
      const content = contentText(item.content, `${at}.content`, TEXTS);
      if (!turn || turn.content !== undefined || turn.tool_calls) turn = begin();
      turn.content = content;
    } else {
      turn = undefined;
      messages.push({
        role: item.role,
        content: contentText(item.content, `${at}.content`, TEXTS),
      });
    }
  }
  return messages;
}

const TEXTS = ["input_text", "output_text", "text"];

function callOf({ call_id, name, arguments: given }: Fields): Fields {
  return { id: call_id, type: "function", function: { name, arguments: given } };
}

/** A text, or the texts of parts. */
function contentText(value: unknown, at: string, types: readonly string[]): string {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) throw invalid(`${at} must be text or an array of text parts`, at);
  return value.map((part: unknown, index) => {
    if (
      !isRecord(part) || typeof part.text !== "string" || !types.some((type) => type === part.type)
    ) {
      throw invalid(
        `${at}[${index}] must be a part of type ${types.join(" or ")}: the model reads text only`,
        at,
      );
    }
    assertFields(part, CONTENT_FIELDS, `${at}[${index}]`);
    return part.text;
  }).join("");
}
