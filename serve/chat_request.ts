/**
 * The body of a chat completion request.
 *
 * In: parsed JSON, of which nothing is known. Out: a checked `ChatRequest`, or an `ApiError` that
 * names the field. Fields that are not known are ignored; those that would change the reply and
 * cannot be honoured are refused.
 */

import { isRecord } from "../json/is_record.ts";
import type { Message } from "../data/message.ts";
import type { GenerateOptions } from "../infer/generator.ts";
import { assertSampling } from "../infer/sampling.ts";
import { ApiError } from "./api_error.ts";

/** A chat completion that is asked for. */
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly Message[];
  /** Whether the reply is to come piece by piece. */
  readonly stream: boolean;
  /** Whether a stream ends with the count of tokens. */
  readonly includeUsage: boolean;
  /** How many replies are wanted. */
  readonly choices: number;
  /** Texts that end a reply and are no part of it. */
  readonly stop: readonly string[];
  /** Qwen3's switch; `undefined` leaves it to the template. */
  readonly enableThinking: boolean | undefined;
  /** How tokens are chosen; what is left out is the model's default. */
  readonly options: GenerateOptions;
}

/** Most messages of a chat: far more than people and agents write. */
const MAX_MESSAGES = 1024;
/** Most replies to one request: each takes a row of the batch. */
const MAX_CHOICES = 8;
/** As in the OpenAI API. */
const MAX_STOPS = 4;
/** A stop text is compared at each token. */
const MAX_STOP_LENGTH = 256;
/** OpenAI's own limit; beyond it is noise. */
const MAX_TEMPERATURE = 2;

type Fields = Readonly<Record<string, unknown>>;

/** Checks a request's body. */
export function parseChatRequest(body: unknown): ChatRequest {
  if (!isRecord(body)) throw invalid("The body must be a JSON object");
  refuseUnsupported(body);
  const model = body.model;
  if (typeof model !== "string" || model === "") {
    throw invalid("you must provide a model: one of GET /v1/models", "model");
  }
  const stream = optional(body, "stream", isBoolean, "true or false") ?? false;
  const streamOptions = optional(body, "stream_options", isRecord, "an object") ?? {};
  return {
    model,
    messages: parseMessages(body.messages),
    stream,
    includeUsage: optional(streamOptions, "include_usage", isBoolean, "true or false") ?? false,
    choices: optional(body, "n", isCount(MAX_CHOICES), `a whole number from 1 to ${MAX_CHOICES}`) ??
      1,
    stop: parseStop(body.stop),
    enableThinking: parseThinking(body),
    options: parseSampling(body),
  };
}

function parseMessages(value: unknown): Message[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_MESSAGES) {
    throw invalid(`messages must be an array of 1 to ${MAX_MESSAGES} messages`, "messages");
  }
  return value.map((each: unknown, index) => {
    const at = `messages[${index}]`;
    if (!isRecord(each)) throw invalid(`${at} must be an object`, at);
    const role = ROLES[String(each.role)];
    if (role === undefined || typeof each.role !== "string") {
      throw invalid(
        `${at}.role must be system, developer, user or assistant; tools are not supported`,
        `${at}.role`,
      );
    }
    const content = parseContent(each.content, `${at}.content`, role);
    const thinking = each.reasoning_content ?? each.reasoning;
    return role === "assistant" && typeof thinking === "string"
      ? { role, content, reasoning_content: thinking }
      : { role, content };
  });
}

const ROLES: Readonly<Record<string, Message["role"]>> = Object.assign(Object.create(null), {
  system: "system",
  developer: "system",
  user: "user",
  assistant: "assistant",
});

/** Text, or a list of parts of text. */
function parseContent(value: unknown, at: string, role: Message["role"]): string {
  if (typeof value === "string") return value;
  // Clients write an assistant's turn without an answer so.
  if (value == null && role === "assistant") return "";
  if (!Array.isArray(value)) throw invalid(`${at} must be text or an array of text parts`, at);
  return value.map((part: unknown, index) => {
    if (isRecord(part) && part.type === "text" && typeof part.text === "string") return part.text;
    throw invalid(`${at}[${index}] must be a part of type text: the model reads text only`, at);
  }).join("");
}

function parseStop(value: unknown): string[] {
  if (value == null) return [];
  const stops: unknown[] = Array.isArray(value) ? value : [value];
  const good = (stop: unknown): stop is string =>
    typeof stop === "string" && stop !== "" && stop.length <= MAX_STOP_LENGTH;
  if (stops.length > MAX_STOPS || !stops.every(good)) {
    throw invalid(
      `stop must be one text or up to ${MAX_STOPS}, each of 1 to ${MAX_STOP_LENGTH} characters`,
      "stop",
    );
  }
  return stops;
}

function parseThinking(body: Fields): boolean | undefined {
  const template = optional(body, "chat_template_kwargs", isRecord, "an object") ?? {};
  return optional(template, "enable_thinking", isBoolean, "true or false") ??
    optional(body, "enable_thinking", isBoolean, "true or false");
}

function parseSampling(body: Fields): GenerateOptions {
  const count = isCount(Number.MAX_SAFE_INTEGER);
  const limit = optional(body, "max_completion_tokens", count, "a whole number from 1 up") ??
    optional(body, "max_tokens", count, "a whole number from 1 up");
  const range = `a number from 0 to ${MAX_TEMPERATURE}`;
  const temperature = optional(body, "temperature", isNumber(0, MAX_TEMPERATURE), range);
  const topP = optional(body, "top_p", isNumber(0, 1), "a number above 0 and up to 1");
  const topK = optional(body, "top_k", isInteger, "a whole number; 0 or -1 for no limit");
  const penalty = optional(body, "repetition_penalty", isNumber(0, 10), "a number above 0");
  const seed = optional(body, "seed", isInteger, "a whole number");
  const options: GenerateOptions = {
    ...(limit === undefined ? {} : { maxNewTokens: limit }),
    // The likeliest token is the limit of ever lower temperatures.
    ...(temperature === undefined ? {} : temperature === 0 ? { greedy: true } : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK: Math.max(0, topK) }),
    ...(penalty === undefined ? {} : { repetitionPenalty: penalty }),
    ...(seed === undefined ? {} : { seed: toSeed(seed) }),
  };
  try {
    assertSampling(options);
  } catch (cause) {
    throw new ApiError(400, (cause as Error).message, { code: "invalid_value", cause });
  }
  return options;
}

/** Any whole number as one of 32 bits, as generators of random numbers take it. */
export function toSeed(value: number): number {
  return Number(BigInt.asUintN(32, BigInt(value)));
}

/** What changes a reply and is not there: silence would be a wrong answer. */
function refuseUnsupported(body: Fields): void {
  const given = (name: string): boolean => {
    const value = body[name];
    if (value == null || value === false || value === 0) return false;
    return typeof value !== "object" || Object.keys(value).length > 0;
  };
  for (
    const name of [
      "tools",
      "functions",
      "logprobs",
      "top_logprobs",
      "logit_bias",
      "frequency_penalty",
      "presence_penalty",
      "audio",
    ]
  ) {
    if (given(name)) throw invalid(`${name} is not supported by this server: leave it out`, name);
  }
  const format = body.response_format;
  if (isRecord(format) && format.type !== "text") {
    throw invalid(
      "response_format must be of type text: this server does not constrain replies",
      "response_format",
    );
  }
}

/** A field's value, `undefined` where it is missing or null. */
function optional<T>(
  fields: Fields,
  name: string,
  holds: (value: unknown) => value is T,
  expected: string,
): T | undefined {
  const value = fields[name];
  if (value == null) return undefined;
  if (holds(value)) return value;
  throw invalid(`${name} must be ${expected}`, name);
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === "boolean";
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isCount(most: number): (value: unknown) => value is number {
  return (value): value is number => isInteger(value) && value >= 1 && value <= most;
}

function isNumber(least: number, most: number): (value: unknown) => value is number {
  return (value): value is number => typeof value === "number" && value >= least && value <= most;
}

function invalid(message: string, param?: string): ApiError {
  return new ApiError(400, message, { param, code: "invalid_value" });
}
