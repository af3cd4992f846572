/**
 * The body of a request to the Responses API.
 *
 * In: parsed JSON, of which nothing is known. Out: the same request as a `ChatRequest`, or an
 * `ApiError` that names the field.
 */

import { defined } from "../../../internal/json/defined.ts";
import { isRecord } from "../../../internal/json/is_record.ts";
import { type ChatRequest, MAX_LOGPROBS, parseChatRequest } from "../chat_request.ts";
import { assertFields } from "../request_fields.ts";
import { type Fields, invalid, optional, optionalCount } from "../request_values.ts";
import {
  RESPONSE_FIELDS,
  RESPONSE_REASONING_FIELDS,
  RESPONSE_STREAM_FIELDS,
  TEXT_CONFIG_FIELDS,
} from "./response_fields.ts";
import { responseMessages } from "./response_input.ts";

/** What of `include` can be given. */
const LOGPROBS = "message.output_text.logprobs";
/** Nothing is encrypted: the thinking itself is in its item. */
const ENCRYPTED = "reasoning.encrypted_content";

/** Checks a request's body. */
export function parseResponseRequest(body: unknown): ChatRequest {
  if (!isRecord(body)) throw invalid("The body must be a JSON object");
  const noTools = body.tool_choice === "none" && Array.isArray(body.tools);
  assertFields(noTools ? { ...body, tools: null } : body, RESPONSE_FIELDS);
  const streamOptions = optional(body, "stream_options", isRecord, "an object") ?? {};
  assertFields(streamOptions, RESPONSE_STREAM_FIELDS, "stream_options");
  const reasoning = optional(body, "reasoning", isRecord, "an object") ?? {};
  assertFields(reasoning, RESPONSE_REASONING_FIELDS, "reasoning");
  const { model, stream, temperature, top_p, top_k, min_p, repetition_penalty, seed, stop } = body;
  const { ignore_eos, stop_token_ids, chat_template_kwargs, enable_thinking } = body;
  const isText = (value: unknown): value is string => typeof value === "string";
  const instructions = optional(body, "instructions", isText, "text");
  const messages = responseMessages(body.input);
  const topLogprobs = parseLogprobs(body);
  return parseChatRequest(defined({
    model,
    stream,
    temperature,
    top_p,
    top_k,
    min_p,
    repetition_penalty,
    seed,
    stop,
    ignore_eos,
    stop_token_ids,
    chat_template_kwargs,
    enable_thinking,
    messages: instructions === undefined
      ? messages
      : [{ role: "system", content: instructions }, ...messages],
    max_completion_tokens: optionalCount(body, "max_output_tokens", [1, Infinity]),
    reasoning: reasoning.effort == null ? undefined : { effort: reasoning.effort },
    response_format: responseFormat(body),
    logprobs: topLogprobs === undefined ? undefined : true,
    top_logprobs: topLogprobs,
  }));
}

/** As `response_format` of chat completions, where the schema lies one level deeper. */
function responseFormat(body: Fields): unknown {
  const text = optional(body, "text", isRecord, "an object") ?? {};
  assertFields(text, TEXT_CONFIG_FIELDS, "text");
  const format = optional(text, "format", isRecord, "an object with a type");
  if (format?.type !== "json_schema") return format;
  const { type, ...json_schema } = format;
  return { type, json_schema };
}

function parseLogprobs(body: Fields): number | undefined {
  const isTexts = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((each) => typeof each === "string");
  const include = optional(body, "include", isTexts, "a list of names") ?? [];
  const other = include.find((each) => each !== LOGPROBS && each !== ENCRYPTED);
  if (other !== undefined) {
    throw invalid(
      `include may have ${LOGPROBS}: ${JSON.stringify(other.slice(0, 100))} is not made here`,
      "include",
    );
  }
  const top = optionalCount(body, "top_logprobs", [0, MAX_LOGPROBS]);
  return include.includes(LOGPROBS) || top ? top ?? 0 : undefined;
}
