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
import type { GenerateOptions } from "../generate/generation.ts";
import { assertFields, BODY_FIELDS, FORMAT_FIELDS, STREAM_FIELDS } from "./request_fields.ts";
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
  /** The chat so far. */
  readonly messages: readonly Message[];
  /** Whether the reply is to come piece by piece. */
  readonly stream: boolean;
  /** Whether a stream ends with the count of tokens. */
  readonly includeUsage: boolean;
  /** How many replies are wanted. */
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
  /** Whether the answer begins with the last message, where that has the reply's role. @default {false} */
  readonly echo?: boolean;
  /** Whether special tokens are left out of the text. @default {true} */
  readonly skipSpecialTokens?: boolean;
  /** Words that are not generated. @default {[]} */
  readonly badWords?: readonly string[];
  /** How tokens are chosen; what is left out is the model's default. */
  readonly options: GenerateOptions;
}

/** Most replies to one request: each takes a row of the batch. */
const MAX_CHOICES = 8;
/** As in the OpenAI API. */
const MAX_STOPS = 4;
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
  assertTextFormat(body);
  const model = body.model;
  if (typeof model !== "string" || model === "") {
    throw invalid("you must provide a model: one of GET /v1/models", "model");
  }
  const stream = optionalBoolean(body, "stream") ?? false;
  const { enableThinking, hideThinking } = parseThinking(body);
  return {
    model,
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
    options: parseSampling(body),
  };
}

function assertTextFormat(body: Fields): void {
  const format = optional(body, "response_format", isRecord, "an object of type text");
  if (format === undefined) return;
  if (format.type !== "text") {
    throw invalid(
      "response_format must be of type text: this server does not constrain replies",
      "response_format",
    );
  }
  assertFields(format, FORMAT_FIELDS, "response_format");
}

function parseStreamOptions(body: Fields, stream: boolean): boolean {
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

function parseBadWords(body: Fields): readonly string[] | undefined {
  const holds = (value: unknown): value is string[] =>
    Array.isArray(value) && value.length <= MAX_BAD_WORDS &&
    value.every((word) =>
      typeof word === "string" && word.trim() !== "" && word.length <= MAX_STOP_LENGTH
    );
  const expected = `a list of up to ${MAX_BAD_WORDS} words of 1 to ${MAX_STOP_LENGTH} characters`;
  const words = optional(body, "bad_words", holds, expected);
  return words?.length === 0 ? undefined : words;
}
