/**
 * The body of a text completion request: OpenAI's legacy API.
 *
 * In: parsed JSON, of which nothing is known. Out: a checked `ChatRequest` that has prompts in place
 * of messages, or an `ApiError` that names the field.
 */

import { isCount } from "../../../internal/json/is_count.ts";
import { isRecord } from "../../../internal/json/is_record.ts";
import { defined } from "../../../internal/json/defined.ts";
import {
  type ChatRequest,
  MAX_LOGPROBS,
  parseBadWords,
  parseModel,
  parseStop,
  parseStreamOptions,
} from "../chat_request.ts";
import { assertFields, TEXT_FIELDS } from "../request_fields.ts";
import { parseSampling } from "../request_sampling.ts";
import {
  type Fields,
  invalid,
  optional,
  optionalBoolean,
  optionalCount,
} from "../request_values.ts";

/** Most replies to one request: each takes a row of the batch. */
const MAX_REPLIES = 16;
/** Tokens of a reply where a request does not say, as in OpenAI's API. */
const DEFAULT_TOKENS = 16;

/** Checks a request's body. */
export function parseTextRequest(body: unknown): ChatRequest {
  if (!isRecord(body)) throw invalid("The body must be a JSON object");
  assertFields(body, TEXT_FIELDS);
  const stream = optionalBoolean(body, "stream") ?? false;
  const prompts = parsePrompts(body);
  const choices = optionalCount(body, "n", [1, MAX_REPLIES]) ?? 1;
  if (prompts.length * choices > MAX_REPLIES) {
    throw invalid(
      `prompt times n asks for ${prompts.length * choices} replies; there may be ${MAX_REPLIES}`,
      "prompt",
    );
  }
  const topLogprobs = optionalCount(body, "logprobs", [0, MAX_LOGPROBS]);
  const echo = optionalBoolean(body, "echo") || undefined;
  return {
    model: parseModel(body),
    messages: [],
    prompts,
    stream,
    includeUsage: parseStreamOptions(body, stream),
    choices,
    stop: parseStop(body.stop),
    enableThinking: undefined,
    continueFinalMessage: true,
    ...defined({
      echo,
      includeStop: optionalBoolean(body, "include_stop_str_in_output") || undefined,
      skipSpecialTokens: optionalBoolean(body, "skip_special_tokens"),
      badWords: parseBadWords(body),
    }),
    options: {
      maxNewTokens: DEFAULT_TOKENS,
      ...parseSampling(body, { leastTokens: 0 }),
      ...defined({ topLogprobs, promptLogprobs: echo && topLogprobs }),
    },
  };
}

/** One text or one list of ids, or a list of either. */
function parsePrompts(body: Fields): (string | readonly number[])[] {
  const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
  const isIds = (value: unknown): value is number[] =>
    Array.isArray(value) && value.length > 0 && value.every(isCount);
  const isPrompt = (value: unknown): value is string | number[] => isText(value) || isIds(value);
  const isList = (value: unknown): value is (string | number[])[] =>
    Array.isArray(value) && value.length > 0 && value.every(isPrompt);
  const holds = (value: unknown): value is string | number[] | (string | number[])[] =>
    isPrompt(value) || isList(value);
  const prompt = optional(
    body,
    "prompt",
    holds,
    "a text, a list of token ids, or a list of these, none empty",
  );
  if (prompt === undefined) throw invalid("you must provide a prompt", "prompt");
  return isPrompt(prompt) ? [prompt] : prompt;
}
