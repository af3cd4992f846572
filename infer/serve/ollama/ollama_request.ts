/**
 * The bodies of Ollama's requests for text.
 *
 * In: parsed JSON, of which nothing is known. Out: the same request as a `ChatRequest`, or an
 * `ApiError` that names the field.
 */

import { defined } from "../../../internal/json/defined.ts";
import type { FieldTable } from "../../../internal/json/field_table.ts";
import { isRecord } from "../../../internal/json/is_record.ts";
import { type ChatRequest, parseChatRequest } from "../chat_request.ts";
import { assertFields } from "../request_fields.ts";
import {
  type Fields,
  invalid,
  isInteger,
  optional,
  optionalBoolean,
  optionalNumber,
} from "../request_values.ts";
import { parseTextRequest } from "../text/text_request.ts";
import { CHAT_FIELDS, GENERATE_FIELDS, MESSAGE_FIELDS, OPTION_FIELDS } from "./ollama_fields.ts";

/** A request for text, or one that has a model loaded, as all are here. */
export type OllamaRequest = ChatRequest | { readonly load: string };

/** Reads the body of `/api/chat`. */
export function parseOllamaChat(body: unknown): OllamaRequest {
  const fields = checked(body, CHAT_FIELDS);
  const { messages } = fields;
  if (messages == null || (Array.isArray(messages) && messages.length === 0)) {
    return { load: modelOf(fields) };
  }
  if (!Array.isArray(messages)) throw invalid("messages must be an array", "messages");
  return parseChatRequest({
    ...shared(fields),
    messages: messages.map((each, i) => message(each, `messages[${i}]`)),
  });
}

/** Reads the body of `/api/generate`. */
export function parseOllamaGenerate(body: unknown): OllamaRequest {
  const fields = checked(body, GENERATE_FIELDS);
  const isText = (value: unknown): value is string => typeof value === "string";
  const prompt = optional(fields, "prompt", isText, "text") ?? "";
  const system = optional(fields, "system", isText, "text") ?? "";
  if (prompt === "") return { load: modelOf(fields) };
  if (!optionalBoolean(fields, "raw")) {
    const messages = [{ role: "user", content: prompt }];
    return parseChatRequest({
      ...shared(fields),
      messages: system === "" ? messages : [{ role: "system", content: system }, ...messages],
    });
  }
  const inRaw = ["system", "think", "format"].find((name) => fields[name]);
  if (inRaw) throw invalid(`${inRaw} cannot be with raw, which takes the prompt as it is`, inRaw);
  // Thinking that is off is what a text has anyway.
  const { logprobs, top_logprobs, think: _off, ...how } = shared(fields);
  if (logprobs !== true && top_logprobs) {
    throw invalid("top_logprobs is for logprobs only: set logprobs true", "top_logprobs");
  }
  return parseTextRequest({
    ...how,
    prompt,
    ...(logprobs === true ? { logprobs: top_logprobs ?? 0 } : {}),
    // Not 16, as OpenAI has it.
    max_tokens: how.max_tokens ?? Number.MAX_SAFE_INTEGER,
  });
}

function checked(body: unknown, table: FieldTable): Fields {
  if (!isRecord(body)) throw invalid("The body must be a JSON object");
  assertFields(body, table);
  return body;
}

function modelOf({ model }: Fields): string {
  if (typeof model === "string" && model !== "") return model;
  throw invalid("you must provide a model: one of GET /api/tags", "model");
}

/** What both requests have, by OpenAI's names. */
function shared(fields: Fields): Record<string, unknown> {
  const { format, think, logprobs, top_logprobs } = fields;
  return defined({
    model: modelOf(fields),
    stream: optionalBoolean(fields, "stream") ?? true,
    think: think ?? undefined,
    logprobs: logprobs ?? undefined,
    top_logprobs: top_logprobs ?? undefined,
    response_format: responseFormat(format),
    ...samplingOf(optional(fields, "options", isRecord, "an object") ?? {}),
  });
}

function responseFormat(format: unknown): Fields | undefined {
  if (format == null || format === "") return undefined;
  if (format === "json") return { type: "json_object" };
  if (isRecord(format)) {
    return { type: "json_schema", json_schema: { name: "format", schema: format } };
  }
  throw invalid("format must be json or a JSON schema", "format");
}

function samplingOf(options: Fields): Record<string, unknown> {
  assertFields(options, OPTION_FIELDS, "options");
  const isLimit = (value: unknown): value is number =>
    isInteger(value) && value >= -2 && value !== 0;
  const limit = optional(options, "num_predict", isLimit, "a whole number from 1, or -1 or -2");
  const { seed, stop, temperature, top_k, top_p, min_p, typical_p } = options;
  const noStop = Array.isArray(stop) && stop.length === 0;
  return {
    seed,
    temperature,
    top_k,
    top_p,
    min_p,
    typical_p,
    stop: noStop ? undefined : stop,
    repetition_penalty: optionalNumber(options, "repeat_penalty", [0, 10]),
    // As many as the context has.
    max_tokens: limit !== undefined && limit < 0 ? Number.MAX_SAFE_INTEGER : limit,
  };
}

function message(value: unknown, at: string): unknown {
  if (!isRecord(value)) throw invalid(`${at} must be an object`, at);
  assertFields(value, MESSAGE_FIELDS, at);
  const { thinking, tool_name, images: _none, ...rest } = value;
  return defined({
    ...rest,
    reasoning_content: thinking === "" ? undefined : thinking,
    name: tool_name,
  });
}
