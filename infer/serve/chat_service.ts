/**
 * Replies to chats by the models that a server has.
 *
 * In: checked requests. Out: for each choice a stream of pieces, cut at stop strings, with its count
 * of tokens.
 */

import type { Message } from "../../data/text/message.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { BatchFullError } from "../generate/batch_generator.ts";
import { chat, type ChatReply } from "../chat/chat.ts";
import {
  type ChatPromptOptions,
  encodeChatPrompt,
  type EncodedPrompt,
} from "../chat/chat_prompt.ts";
import type { Generator } from "../generate/generator.ts";
import type { ChatPiece } from "../chat/think_splitter.ts";
import { ApiError } from "./api_error.ts";
import { badWordsIds } from "./bad_words.ts";
import type { ChatRequest } from "./chat_request.ts";
import type { Metrics } from "./metrics.ts";
import { toSeed } from "./request_sampling.ts";
import { atOnce, SliceQueue, type Slices } from "./slice_queue.ts";
import { StopStrings } from "./stop_strings.ts";

/** A model that requests can name. */
export interface ServedModel {
  /** Its name. */
  readonly id: string;
  /** The base model's name, of an adapter. */
  readonly parent?: string;
  /** Makes its replies, several at once. */
  readonly generator: Generator;
  /** Its tokenizer. @default {the service's} */
  readonly tokenizer?: Tokenizer;
  /** The system prompt of chats that have none of their own; empty for none. @default {""} */
  readonly system?: string;
  /** Whether its prompts ask for thinking where a request does not say. @default {undefined} */
  readonly enableThinking?: boolean;
}

/** What a chat service is made with. */
export interface ChatServiceOptions {
  /** The models; the first one is the base. */
  readonly models: readonly ServedModel[];
  /** The tokenizer of models that have none of their own. */
  readonly tokenizer: Tokenizer;
  /** Positions that a prompt and its reply have together at most. */
  readonly window: number;
  /** Most tokens of a reply, whatever a request or the model asks for. */
  readonly maxNewTokens: number;
  /** Takes the figures of each request. */
  readonly metrics: Metrics;
  /**
   * Throws a {@linkcode BatchFullError} where no reply would be taken in now: asked before a prompt
   * is made.
   * @default {there is room}
   */
  readonly assertRoom?: () => void;
}

/** Seconds after which a client may try again where the queue is full. */
const RETRY_AFTER = 2;
/** No text has more characters a token than this on average. */
const CHARACTERS_PER_TOKEN = 16;
/** Most characters of a chat: hostile ones take the tokenizer 4 µs each. */
const MAX_CHARACTERS = 128 * 1024;

/** One choice of a completion, being made. */
export interface ChoiceReply extends AsyncIterableIterator<ChatPiece, void> {
  /** Its place among the choices, from 0. */
  readonly index: number;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Tokens made so far. */
  readonly newTokens: number;
  /** Those of them that were thinking. */
  readonly thinkTokens: number;
  /** Why it ended: by itself or at a stop string, or at the limit of tokens. */
  readonly finishReason: "stop" | "length";
}

/** A request as tokens. */
export interface PreparedChat {
  /** The prompt, encoded. */
  readonly prompt: EncodedPrompt;
  /** The words that are not generated. */
  readonly bannedIds: readonly (readonly number[])[];
}

/** Makes replies until it is closed. */
export class ChatService {
  readonly #options: ChatServiceOptions;
  readonly #running = new Set<AbortController>();
  readonly #preparing = new Set<AbortController>();
  readonly #slices = new SliceQueue();
  #closed = false;

  /** Serves the models; nothing runs before a request comes. */
  constructor(options: ChatServiceOptions) {
    this.#options = options;
  }

  /** The models, the base first. */
  get models(): readonly ServedModel[] {
    return this.#options.models;
  }

  /** Positions that a prompt and its reply have together at most. */
  get window(): number {
    return this.#options.window;
  }

  /** Whether new requests are refused. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Chats being answered. */
  get running(): number {
    return this.#running.size;
  }

  /** Refuses new requests from now on, and those still being read; replies under way go on. */
  close(): void {
    this.#closed = true;
    for (const controller of this.#preparing) controller.abort(stopping());
  }

  /** Ends all replies under way. */
  abort(): void {
    for (const controller of this.#running) controller.abort(stopping());
  }

  /**
   * A model by its name.
   *
   * @throws {ApiError} 404
   */
  model(id: string): ServedModel {
    const model = this.models.find((each) => each.id === id);
    if (model) return model;
    throw new ApiError(
      404,
      `The model ${JSON.stringify(id.slice(0, 100))} does not exist; there is: ` +
        this.models.map((each) => each.id).join(", "),
      { code: "model_not_found", param: "model" },
    );
  }

  /**
   * Makes tokens of a request that may be taken in; of a long one while others are answered.
   *
   * @param signal aborted when the client is gone
   * @throws {ApiError} 400, 404, 429 or 503
   */
  async prepare(request: ChatRequest, signal?: AbortSignal): Promise<PreparedChat> {
    const steps = this.#steps(request);
    const controller = new AbortController();
    this.#preparing.add(controller);
    try {
      return await this.#slices.run(steps, controller.signal, ...(signal ? [signal] : []));
    } finally {
      this.#preparing.delete(controller);
    }
  }

  /**
   * Starts the replies of a request, or refuses it before the first byte.
   *
   * @param prepared the request's tokens; @default made now, however long it takes
   * @throws {ApiError} 400, 404, 429 or 503
   */
  start(request: ChatRequest, prepared: PreparedChat = atOnce(this.#steps(request))): Completion {
    const { maxNewTokens } = this.#options;
    if (this.#closed) throw stopping();
    const model = this.model(request.model);
    const { generator, tokenizer = this.#options.tokenizer } = model;
    const controller = new AbortController();
    const { signal } = controller;
    const { options } = request;
    const { prompt, bannedIds } = prepared;
    const replies: ChatReply[] = [];
    try {
      for (let index = 0; index < request.choices; index++) {
        replies.push(chat(generator, tokenizer, {
          ...promptOf(request, model),
          prompt,
          includeEndToken: request.includeStop,
          skipSpecialTokens: request.skipSpecialTokens,
          ...options,
          ...(bannedIds.length === 0 ? {} : { badWordsIds: bannedIds }),
          atMostNewTokens: maxNewTokens,
          ...(options.seed === undefined ? {} : { seed: toSeed(options.seed + index) }),
          signal,
        }));
      }
    } catch (cause) {
      controller.abort();
      throw refusal(cause);
    }
    this.#running.add(controller);
    return new Completion(request, replies, {
      controller,
      metrics: this.#options.metrics,
      onEnd: () => this.#running.delete(controller),
    });
  }

  /** The work of making tokens of a request; what costs nothing is looked at first, and at once. */
  #steps(request: ChatRequest): Slices<PreparedChat> {
    if (this.#closed) throw stopping();
    const model = this.model(request.model);
    const { tokenizer = this.#options.tokenizer } = model;
    this.#assertLength(request);
    assertThinkingSwitch(request, tokenizer);
    try {
      this.#options.assertRoom?.();
    } catch (cause) {
      throw refusal(cause);
    }
    return encodeRequest(request, model, tokenizer);
  }

  #assertLength({ messages }: ChatRequest): void {
    const { window } = this.#options;
    const most = Math.min(CHARACTERS_PER_TOKEN * window, MAX_CHARACTERS);
    const length = messages.reduce(
      (sum, { content, reasoning_content = "" }) => sum + content.length + reasoning_content.length,
      0,
    );
    if (length <= most) return;
    throw new ApiError(
      400,
      `The messages have ${length} characters; a chat may have ${most}: shorten it`,
      { code: "context_length_exceeded", param: "messages" },
    );
  }
}

function* encodeRequest(
  request: ChatRequest,
  model: ServedModel,
  tokenizer: Tokenizer,
): Slices<PreparedChat> {
  try {
    const { messages, ...how } = promptOf(request, model);
    const bannedIds: (readonly number[])[] = [];
    for (const word of request.badWords ?? []) {
      bannedIds.push(...badWordsIds([word], tokenizer));
      yield;
    }
    return { prompt: yield* encodeChatPrompt(tokenizer, messages, how), bannedIds };
  } catch (cause) {
    throw refusal(cause);
  }
}

/** A template without the switch would think nevertheless. */
function assertThinkingSwitch(
  { enableThinking }: ChatRequest,
  { chatTemplate = "" }: Tokenizer,
): void {
  if (enableThinking !== false || chatTemplate.includes("enable_thinking")) return;
  throw new ApiError(
    400,
    "Thinking cannot be turned off: the model's chat template has no switch enable_thinking; " +
      "leave enable_thinking, reasoning_effort and the like out",
    { code: "unsupported_value", param: "enable_thinking" },
  );
}

/** The prompt that is asked for, and where a request is silent the one that the model was taught. */
function promptOf(
  request: ChatRequest,
  { system = "", enableThinking: taught }: ServedModel,
): ChatPromptOptions & Pick<ChatRequest, "messages"> {
  const { enableThinking = taught, addGenerationPrompt, continueFinalMessage } = request;
  const own = request.messages.some(({ role }) => role === "system");
  // As in training, an empty system message is none.
  const said = request.messages.filter(({ role, content }) => role !== "system" || content !== "");
  const messages = own || system === ""
    ? said
    : [{ role: "system" as const, content: system }, ...said];
  return { messages, enableThinking, addGenerationPrompt, continueFinalMessage };
}

function stopping(): ApiError {
  return new ApiError(503, "The server is stopping", { code: "stopping", retryAfter: 5 });
}

/** Whose words a reply to a request is. */
export function replyRole({ messages, addGenerationPrompt = true }: ChatRequest): Message["role"] {
  // Without a new turn the reply goes on with the last one.
  return addGenerationPrompt ? "assistant" : messages[messages.length - 1].role;
}

/** What the answer begins with besides what is generated. */
function echoOf(request: ChatRequest): string {
  const last = request.messages[request.messages.length - 1];
  return request.echo && last.role === replyRole(request) ? last.content : "";
}

/** What the generator or the chat template says of a request. */
function refusal(cause: unknown): ApiError {
  if (cause instanceof BatchFullError) {
    return new ApiError(429, cause.message, {
      code: "queue_full",
      retryAfter: RETRY_AFTER,
      cause,
    });
  }
  const message = cause instanceof Error ? cause.message : String(cause);
  const long = cause instanceof RangeError && message.includes("the prompt has");
  return new ApiError(400, message, {
    code: long ? "context_length_exceeded" : "invalid_value",
    param: long ? "messages" : undefined,
    cause,
  });
}

/** A request's replies, under way. */
export class Completion {
  /** What was asked for. */
  readonly request: ChatRequest;
  /** The replies, one a choice. */
  readonly choices: readonly ChoiceReply[];
  readonly #controller: AbortController;

  /** Starts counting; the replies are read by who sends them. */
  constructor(request: ChatRequest, replies: readonly ChatReply[], { controller, metrics, onEnd }: {
    readonly controller: AbortController;
    readonly metrics: Metrics;
    readonly onEnd: () => void;
  }) {
    this.request = request;
    this.#controller = controller;
    const { model } = request;
    const began = performance.now();
    const seconds = (): number => (performance.now() - began) / 1000;
    let running = replies.length;
    const ended = (choice: ChoiceReply): void => {
      metrics.add("ortune_completion_tokens_total", "Tokens made.", { model }, choice.newTokens);
      if (--running > 0) return;
      onEnd();
      const { promptTokens } = this.choices[0];
      metrics.add("ortune_prompt_tokens_total", "Tokens of prompts.", { model }, promptTokens);
      metrics.observe(
        "ortune_request_seconds",
        "Time from a request to the end of its reply.",
        { model },
        seconds(),
      );
    };
    this.choices = replies.map((reply, index) => {
      let first = true;
      const choice = choiceReply(index, reply, {
        request,
        signal: controller.signal,
        onPiece: () => {
          if (first && index === 0) {
            const help = "Time from a request to the first text of its reply.";
            metrics.observe("ortune_first_text_seconds", help, { model }, seconds());
          }
          first = false;
        },
        onEnd: () => ended(choice),
      });
      return choice;
    });
  }

  /** Ends all choices within one token. */
  abort(): void {
    this.#controller.abort(new DOMException("The client is gone", "AbortError"));
    // A choice that nobody reads any more has no other way to its end.
    for (const choice of this.choices) choice.return?.().catch(() => {});
  }
}

function choiceReply(index: number, reply: ChatReply, { request, signal, onPiece, onEnd }: {
  /** What was asked for. */
  readonly request: ChatRequest;
  readonly signal: AbortSignal;
  readonly onPiece: () => void;
  readonly onEnd: () => void;
}): ChoiceReply {
  const { stop, includeStop: include, hideThinking = false, options } = request;
  const { minNewTokens = 0 } = options;
  const stops = new StopStrings(stop, { include });
  let thinkTokens = 0;
  let counted = 0;
  let over = false;
  const end = (): void => {
    if (over) return;
    over = true;
    onEnd();
  };
  async function* pieces(): AsyncGenerator<ChatPiece, void> {
    const echo = echoOf(request);
    if (echo !== "") yield { kind: "answer", text: echo };
    for await (const { kind, text } of reply) {
      onPiece();
      if (kind === "think") {
        thinkTokens += reply.newTokens - counted;
        counted = reply.newTokens;
        if (!hideThinking) yield { kind, text };
        continue;
      }
      // The tag between them is counted with the thinking.
      counted = reply.newTokens;
      // As in vLLM, stop strings end no reply that has not its least length yet.
      const certain = reply.newTokens < minNewTokens ? text : stops.push(text);
      if (certain !== "") yield { kind, text: certain };
      if (stops.stopped) return;
    }
    const rest = stops.end();
    if (rest !== "") yield { kind: "answer", text: rest };
    // Ended by neither the model nor its reader: the server is stopping, and says so.
    if (reply.finishReason === "aborted") signal.throwIfAborted();
  }
  const source = pieces();
  const choice: ChoiceReply = {
    index,
    promptTokens: reply.promptTokens,
    get newTokens(): number {
      return reply.newTokens;
    },
    get thinkTokens(): number {
      return thinkTokens;
    },
    get finishReason(): "stop" | "length" {
      return !stops.stopped && reply.finishReason === "length" ? "length" : "stop";
    },
    async next(): Promise<IteratorResult<ChatPiece, void>> {
      try {
        const result = await source.next();
        if (result.done) end();
        return result;
      } catch (cause) {
        end();
        throw cause;
      }
    },
    async return(): Promise<IteratorResult<ChatPiece, void>> {
      // Before its first next() an async generator runs no cleanup of its own.
      await reply.return?.();
      end();
      return await source.return();
    },
    [Symbol.asyncIterator]: () => choice,
  };
  return choice;
}
