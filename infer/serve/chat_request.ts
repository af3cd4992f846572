/**
 * The body of a chat completion request.
 *
 * In: parsed JSON, of which nothing is known. Out: a checked `ChatRequest`, or an `ApiError` that
 * names the field. Every field changes the reply as its definition says, or is known to change
 * none, or is refused: `request_fields.ts` has the lists.
 */

import { defined } from "../../internal/json/defined.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import type { Message } from "../../data/text/message.ts";
import { type SchemaError, schemaGrammar } from "../constrain/schema_language.ts";
import type { GenerateOptions } from "../generate/generation.ts";
import { ApiError } from "./api_error.ts";
import {
  assertFields,
  BODY_FIELDS,
  FORMAT_FIELDS,
  SCHEMA_FORMAT_FIELDS,
  STREAM_FIELDS,
} from "./request_fields.ts";
import { parseMessages } from "./request_messages.ts";
import { parseSampling } from "./request_sampling.ts";
import { parseThinking } from "./request_thinking.ts";
import {
  type Fields,
  invalid,
  optional,
  optionalBoolean,
  optionalCount,
} from "./request_values.ts";

/** A chat completion that is asked for. */
export interface ChatRequest {
  /** The name of the model that is to answer. */
  readonly model: string;
  /** The chat so far; none where there are prompts. */
  readonly messages: readonly Message[];
  /**
   * Texts, or their tokens, that replies go on with as they are, in place of a chat.
   * @default {the messages, by the chat template}
   */
  readonly prompts?: readonly (string | readonly number[])[];
  /** Whether the reply is to come piece by piece. */
  readonly stream: boolean;
  /** Whether a stream ends with the count of tokens. */
  readonly includeUsage: boolean;
  /** How many replies are wanted, to each prompt. */
  readonly choices: number;
  /** Texts that end a reply and are no part of it. */
  readonly stop: readonly string[];
  /** Whether they are a part of it nevertheless, and so the token that ends it. @default {false} */
  readonly includeStop?: boolean;
  /** Qwen3's switch; `undefined` leaves it to the template. */
  readonly enableThinking: boolean | undefined;
  /** Whether thinking is left out of the answer. @default {false} */
  readonly hideThinking?: boolean;
  /** Whether the prompt ends where the assistant is to speak. @default {true} */
  readonly addGenerationPrompt?: boolean;
  /** Whether the reply goes on with the last message. @default {false} */
  readonly continueFinalMessage?: boolean;
  /** Whether the answer begins with the prompt, or the last message where that has the reply's role. @default {false} */
  readonly echo?: boolean;
  /** Whether special tokens are left out of the text. @default {true} */
  readonly skipSpecialTokens?: boolean;
  /** Words that are not generated. @default {[]} */
  readonly badWords?: readonly string[];
  /** What the answer is held to. @default {free text} */
  readonly format?: RequestedFormat;
  /** How tokens are chosen; what is left out is the model's default. */
  readonly options: GenerateOptions;
}

/** A format that replies are held to. */
export interface RequestedFormat {
  /** The JSON schema, checked; none for any JSON object. */
  readonly schema?: Readonly<Record<string, unknown>>;
}

/** Most replies to one request: each takes a row of the batch. */
const MAX_CHOICES = 8;
/** As in the OpenAI API. */
const MAX_STOPS = 4;
/** As in the OpenAI API. */
export const MAX_LOGPROBS = 20;
/** Longest schema: one of this many characters takes up to 90 ms to read. */
const MAX_SCHEMA_LENGTH = 32 * 1024;
/** A stop text is compared at each token. */
const MAX_STOP_LENGTH = 256;
/** Each of them is tokenized twice. */
const MAX_BAD_WORDS = 256;

/** Checks a request's body. */
export function parseChatRequest(body: unknown): ChatRequest {
  if (!isRecord(body)) throw invalid("The body must be a JSON object");
  // Tools that are not to be called are none.
  const noTools = body.tool_choice === "none" && Array.isArray(body.tools);
  assertFields(noTools ? { ...body, tools: null } : body, BODY_FIELDS);
  const format = parseFormat(body);
  const stream = optionalBoolean(body, "stream") ?? false;
  const { enableThinking, hideThinking } = parseThinking(body);
  return {
    model: parseModel(body),
    messages: parseMessages(body.messages),
    stream,
    includeUsage: parseStreamOptions(body, stream),
    choices: optionalCount(body, "n", [1, MAX_CHOICES]) ?? 1,
    stop: parseStop(body.stop),
    enableThinking,
    ...defined({
      ...promptEnd(body),
      hideThinking: hideThinking || undefined,
      echo: optionalBoolean(body, "echo") || undefined,
      includeStop: optionalBoolean(body, "include_stop_str_in_output") || undefined,
      skipSpecialTokens: optionalBoolean(body, "skip_special_tokens") ?? undefined,
      badWords: parseBadWords(body),
    }),
    ...defined({ format }),
    options: { ...parseSampling(body), ...defined({ topLogprobs: parseLogprobs(body) }) },
  };
}

/** How many tokens are told beside each one. */
function parseLogprobs(body: Fields): number | undefined {
  const wanted = optionalBoolean(body, "logprobs") ?? false;
  const top = optionalCount(body, "top_logprobs", [0, MAX_LOGPROBS]);
  if (wanted) return top ?? 0;
  if (top === undefined || top === 0) return undefined;
  throw invalid(
    "top_logprobs is for logprobs only: set logprobs true, or leave it out",
    "top_logprobs",
  );
}

/** The model that is to answer. */
export function parseModel({ model }: Fields): string {
  if (typeof model === "string" && model !== "") return model;
  throw invalid("you must provide a model: one of GET /v1/models", "model");
}

/** What `response_format` holds replies to. */
function parseFormat(body: Fields): RequestedFormat | undefined {
  const name = "response_format";
  const format = optional(body, name, isRecord, "an object with a type");
  if (format === undefined) return undefined;
  assertFields(format, FORMAT_FIELDS, name);
  const { type } = format;
  if (type !== "text" && type !== "json_object" && type !== "json_schema") {
    throw invalid(`${name}.type must be text, json_object or json_schema`, name);
  }
  if (type !== "json_schema" && format.json_schema != null) {
    throw invalid(`${name}.json_schema is for the type json_schema only`, name);
  }
  if (type === "text") return undefined;
  if (body.continue_final_message === true) {
    throw invalid(
      `${name} cannot be with continue_final_message: its JSON would have begun already`,
      name,
    );
  }
  if (type === "json_object") return {};
  const given = optional(format, "json_schema", isRecord, "an object with a schema") ?? {};
  assertFields(given, SCHEMA_FORMAT_FIELDS, `${name}.json_schema`);
  const at = `${name}.json_schema.schema`;
  if (!isRecord(given.schema)) throw invalid(`${at} must be a JSON schema`, name);
  const { length } = JSON.stringify(given.schema);
  if (length > MAX_SCHEMA_LENGTH) {
    throw invalid(`${at} has ${length} characters; there may be ${MAX_SCHEMA_LENGTH}`, name);
  }
  try {
    schemaGrammar(given.schema);
  } catch (cause) {
    const { message, place = "" } = cause as Partial<SchemaError> & Error;
    const where = place === "" ? at : `${at}.${place}`;
    throw new ApiError(400, `${where}: ${message}`, {
      param: where,
      code: "unsupported_value",
      cause,
    });
  }
  return { schema: given.schema };
}

/** Whether a stream ends with the count of tokens. */
export function parseStreamOptions(body: Fields, stream: boolean): boolean {
  const options = optional(body, "stream_options", isRecord, "an object");
  if (options === undefined) return false;
  assertFields(options, STREAM_FIELDS, "stream_options");
  if (!stream) {
    throw invalid(
      "stream_options is for streams only: set stream, or leave it out",
      "stream_options",
    );
  }
  return optionalBoolean(options, "include_usage") ?? false;
}

/** Where the prompt ends. */
function promptEnd(
  body: Fields,
): Pick<ChatRequest, "addGenerationPrompt" | "continueFinalMessage"> {
  const add = optionalBoolean(body, "add_generation_prompt");
  const goOn = optionalBoolean(body, "continue_final_message") ?? false;
  if (goOn && add) {
    throw invalid(
      "continue_final_message and add_generation_prompt cannot both be true: the one goes on with " +
        "the last message, the other begins a new one",
      "continue_final_message",
    );
  }
  if (goOn) return { continueFinalMessage: true, addGenerationPrompt: false };
  return add === false ? { addGenerationPrompt: false } : {};
}

/** Texts that end a reply. */
export function parseStop(value: unknown): string[] {
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

/** Words that are not generated. */
export function parseBadWords(body: Fields): readonly string[] | undefined {
  const holds = (value: unknown): value is string[] =>
    Array.isArray(value) && value.length <= MAX_BAD_WORDS &&
    value.every((word) =>
      typeof word === "string" && word.trim() !== "" && word.length <= MAX_STOP_LENGTH
    );
  const expected = `a list of up to ${MAX_BAD_WORDS} words of 1 to ${MAX_STOP_LENGTH} characters`;
  const words = optional(body, "bad_words", holds, expected);
  return words?.length === 0 ? undefined : words;
}
