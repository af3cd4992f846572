/**
 * Tools that the assistant calls, from a row.
 *
 * In: `tool_calls` or `function_call` of a message, or the text of ShareGPT's function_call. Out:
 * ToolCall[], arguments as a JSON object, whatever the row wrote.
 */

import { describeValue } from "../../internal/json/describe_value.ts";
import { defined } from "../../internal/json/defined.ts";
import { FieldTable } from "../../internal/json/field_table.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import type { ToolCall } from "../text/message.ts";
import { parseToolArguments } from "../text/tool_arguments.ts";
import { parseString, parseText, saysNothing } from "./field_values.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";
import { parseRowJson } from "./parse_row_json.ts";
import type { OnUnread } from "./row_shape.ts";

/** Most calls of one message: far more than agents make at once. */
const MAX_CALLS = 128;
const CALL = new FieldTable({
  honoured: ["id", "type", "function", "name", "arguments"],
  ignored: ["index"],
});
const FUNCTION = new FieldTable({ honoured: ["name", "arguments"] });

/** Where calls stand. */
export interface ParseCallsOptions {
  readonly where: RowLocation;
  /** Such as `messages[1].tool_calls`. */
  readonly place: string;
  readonly onUnread?: OnUnread;
}

/** Calls as OpenAI's API has them, or each a bare function; none where nothing stands there. */
export function parseToolCalls(value: unknown, options: ParseCallsOptions): readonly ToolCall[] {
  const { where, place } = options;
  if (saysNothing(value)) return [];
  const calls = typeof value === "string" ? parseJson(value, options) : value;
  if (!Array.isArray(calls)) {
    throw new JsonlError(
      { ...where, field: place },
      `expected an array of calls, got ${describeValue(calls)}`,
    );
  }
  if (calls.length > MAX_CALLS) {
    throw new JsonlError(
      { ...where, field: place },
      `expected up to ${MAX_CALLS} calls, got ${calls.length}`,
    );
  }
  return calls.map((call: unknown, index) =>
    parseCall(call, { ...options, place: `${place}[${index}]` })
  );
}

/** A call as a text: the JSON of `{name, arguments}`, or of a list of them. */
export function parseCallText(text: string, options: ParseCallsOptions): readonly ToolCall[] {
  const value = parseJson(text, options);
  const calls = parseToolCalls(isRecord(value) ? [value] : value, options);
  if (calls.length > 0) return calls;
  throw new JsonlError(
    { ...options.where, field: options.place },
    "expected a call, got none; write the JSON of {name, arguments}",
  );
}

/** One call. */
export function parseCall(value: unknown, options: ParseCallsOptions): ToolCall {
  const { where, place } = options;
  const fail = (field: string, problem: string): never => {
    throw new JsonlError({ ...where, field }, problem);
  };
  if (!isRecord(value)) return fail(place, `expected a call, got ${describeValue(value)}`);
  tellUnknown(CALL, value, options);
  const { id, type = "function" } = value;
  if (type !== "function" && type !== null) {
    fail(
      `${place}.type`,
      `expected function, got ${describeValue(type)}; only functions are called`,
    );
  }
  // Bare, as TRL and Qwen's templates take it too.
  const nested = value.function != null;
  const called = nested ? value.function : value;
  const at = nested ? `${place}.function` : place;
  if (!isRecord(called)) {
    return fail(at, `expected {name, arguments}, got ${describeValue(called)}`);
  }
  if (nested) {
    for (const name of ["name", "arguments"]) {
      if (value[name] != null) fail(`${place}.${name}`, "expected it in function alone; keep one");
    }
    tellUnknown(FUNCTION, called, { ...options, place: at });
  }
  const name = parseText(called.name, where, `${at}.name`);
  const made = parseToolArguments(called.arguments);
  if (made === undefined) {
    fail(
      `${at}.arguments`,
      `expected a JSON object, or its text, got ${describeValue(called.arguments)}`,
    );
  }
  return {
    ...defined({ id: id == null ? undefined : parseString(id, where, `${place}.id`) }),
    type: "function",
    function: { name, arguments: made },
  };
}

function tellUnknown(
  table: FieldTable,
  record: Readonly<Record<string, unknown>>,
  { place, onUnread }: ParseCallsOptions,
): void {
  for (const field of table.review(record).unknown) {
    onUnread?.(`${place.replace(/\[\d+\]/g, "[]")}.${field}`);
  }
}

function parseJson(text: string, { where, place }: ParseCallsOptions): unknown {
  try {
    return parseRowJson(text);
  } catch (cause) {
    throw new JsonlError(
      { ...where, field: place },
      `expected JSON of {name, arguments}, got ${describeValue(text)}`,
      { cause },
    );
  }
}
