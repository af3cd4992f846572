/**
 * Replies to chats by the models that a server has.
 *
 * In: checked requests. Out: for each choice a stream of pieces, cut at stop strings, with its count
 * of tokens.
 */

import type { Message, ToolCall } from "../../data/text/message.ts";
import { formatPythonJson, type PythonJson } from "../../internal/json/python_json.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { BatchFullError } from "../generate/batch_generator.ts";
import { chat, type ChatReply } from "../chat/chat.ts";
import {
  type ChatPromptOptions,
  encodeChatPrompt,
  type EncodedPrompt,
} from "../chat/chat_prompt.ts";
import { ReplyFormat } from "../constrain/reply_format.ts";
import { objectGrammar, schemaGrammar } from "../constrain/schema_language.ts";
import { TokenTrie } from "../constrain/token_trie.ts";
import type { Generator } from "../generate/generator.ts";
import type { ChatPiece } from "../chat/think_splitter.ts";
import type { TokenConstraintSource } from "../sampling/token_constraint.ts";
import type { ChosenLogprob } from "../sampling/token_logprobs.ts";
import { ApiError, stopping } from "./api_error.ts";
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
/** Most characters of a request: hostile ones take the tokenizer 4 µs each. */
const MAX_CHARACTERS = 128 * 1024;

/** Most formats that are kept, some MiB each. */
const MAX_FORMATS = 8;
/** States of a format that is not used again. */
const MAX_STATES = 100_000;

/** A format that was asked for. */
interface KnownFormat {
  /** Its schema as JSON; none for any object. */
  readonly key: string | undefined;
  readonly tokenizer: Tokenizer;
  readonly format: ReplyFormat;
}

/** A piece of a choice; empty only where it has tokens, which no text of its own shows. */
export interface ChoicePiece extends ChatPiece {
  /** The prompt's tokens, with the piece that echoes it, where its log probabilities are asked for. */
  readonly prompt?: {
    readonly ids: ArrayLike<number>;
    /** One entry a token from the second one on. */
    readonly logprobs: readonly ChosenLogprob[];
  };
}

/** One choice of a completion, being made. */
export interface ChoiceReply extends AsyncIterableIterator<ChoicePiece, void> {
  /** Its place among the choices, from 0. */
  readonly index: number;
  /** Tokens made so far. */
  readonly newTokens: number;
  /** Those of them that were thinking. */
  readonly thinkTokens: number;
  /** Why it ended: by itself or at a stop string, or at the limit of tokens. */
  readonly finishReason: "stop" | "length";
}

/** A request as tokens. */
export interface PreparedChat {
  /** The prompts, encoded: of a chat one. */
  readonly prompts: readonly EncodedPrompt[];
  /** The words that are not generated. */
  readonly bannedIds: readonly (readonly number[])[];
  /** Holds replies to a prompt to a format. @default {they are free} */
  readonly constraint?: (prompt: EncodedPrompt) => TokenConstraintSource;
}

/** Makes replies until it is closed. */
export class ChatService {
  readonly #options: ChatServiceOptions;
  readonly #running = new Set<AbortController>();
  readonly #preparing = new Set<AbortController>();
  readonly #slices = new SliceQueue();
  /** Formats that were asked for last: what is known of their states helps the next reply. */
  #formats: readonly KnownFormat[] = [];
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

  /** The tokenizer of a model. */
  tokenizerOf({ tokenizer = this.#options.tokenizer }: ServedModel): Tokenizer {
    return tokenizer;
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
    const { generator } = model;
    const tokenizer = this.tokenizerOf(model);
    const controller = new AbortController();
    const { signal } = controller;
    const { options } = request;
    const { prompts, bannedIds, constraint } = prepared;
    const replies: ChatReply[] = [];
    try {
      for (const prompt of prompts) {
        for (let choice = 0; choice < request.choices; choice++) {
          replies.push(chat(generator, tokenizer, {
            ...promptOf(request, model),
            prompt,
            includeEndToken: request.includeStop,
            skipSpecialTokens: request.skipSpecialTokens,
            ...options,
            ...(constraint && { constraint: constraint(prompt) }),
            ...(bannedIds.length === 0 ? {} : { badWordsIds: bannedIds }),
            atMostNewTokens: maxNewTokens,
            ...(options.seed === undefined ? {} : { seed: toSeed(options.seed + choice) }),
            signal,
          }));
        }
      }
    } catch (cause) {
      controller.abort();
      throw refusal(cause, request);
    }
    this.#running.add(controller);
    return new Completion(request, replies, {
      prompts,
      tokenizer,
      controller,
      metrics: this.#options.metrics,
      onEnd: () => this.#running.delete(controller),
    });
  }

  /** The work of making tokens of a request; what costs nothing is looked at first, and at once. */
  #steps(request: ChatRequest): Slices<PreparedChat> {
    if (this.#closed) throw stopping();
    const model = this.model(request.model);
    const tokenizer = this.tokenizerOf(model);
    this.#assertLength(request);
    assertThinkingSwitch(request, tokenizer);
    try {
      this.#options.assertRoom?.();
    } catch (cause) {
      throw refusal(cause, request);
    }
    return this.#encode(request, model, tokenizer);
  }

  *#encode(request: ChatRequest, model: ServedModel, tokenizer: Tokenizer): Slices<PreparedChat> {
    const encoded = yield* encodeRequest(request, model, tokenizer);
    if (!request.format) return encoded;
    const { enableThinking = model.enableThinking, format: { schema } } = request;
    const format = yield* this.#format(schema, tokenizer);
    const mayThink = enableThinking !== false;
    return {
      ...encoded,
      constraint: ({ state }) => (ends) => format.constraint({ ends, state, mayThink }),
    };
  }

  *#format(schema: unknown, tokenizer: Tokenizer): Slices<ReplyFormat> {
    const key = JSON.stringify(schema);
    const known = this.#formats.find((each) => each.key === key && each.tokenizer === tokenizer);
    if (known && known.format.states < MAX_STATES) return known.format;
    const trie = yield* TokenTrie.of(tokenizer);
    const grammar = schema === undefined ? objectGrammar() : schemaGrammar(schema);
    const format = new ReplyFormat(grammar, trie, tokenizer);
    const others = this.#formats.filter((each) => each !== known).slice(0, MAX_FORMATS - 1);
    this.#formats = [{ key, tokenizer, format }, ...others];
    return format;
  }

  #assertLength({ messages, prompts }: ChatRequest): void {
    const window = CHARACTERS_PER_TOKEN * this.#options.window;
    const assertAtMost = (most: number, length: number, param: "prompt" | "messages"): void => {
      if (length <= most) return;
      throw new ApiError(
        400,
        `The ${param} ${param === "prompt" ? "has" : "have"} ${length} characters; there may be ` +
          `${most}: shorten it`,
        { code: "context_length_exceeded", param },
      );
    };
    if (prompts) {
      const lengths = prompts.map(({ length }) => length);
      assertAtMost(window, Math.max(...lengths), "prompt");
      assertAtMost(MAX_CHARACTERS, lengths.reduce((sum, each) => sum + each, 0), "prompt");
      return;
    }
    const length = messages.reduce(
      (sum, { content, reasoning_content = "", tool_calls = [] }) =>
        sum + content.length + reasoning_content.length +
        tool_calls.reduce((all, call) => all + callLength(call), 0),
      0,
    );
    assertAtMost(Math.min(window, MAX_CHARACTERS), length, "messages");
  }
}

/** Characters of a call, about as a template writes it. */
function callLength({ function: called }: ToolCall): number {
  return called.name.length + formatPythonJson(called.arguments as PythonJson).length;
}

function* encodeRequest(
  request: ChatRequest,
  model: ServedModel,
  tokenizer: Tokenizer,
): Slices<PreparedChat> {
  try {
    const bannedIds: (readonly number[])[] = [];
    for (const word of request.badWords ?? []) {
      bannedIds.push(...badWordsIds([word], tokenizer));
      yield;
    }
    if (!request.prompts) {
      const { messages, ...how } = promptOf(request, model);
      return { prompts: [yield* encodeChatPrompt(tokenizer, messages, how)], bannedIds };
    }
    const prompts: EncodedPrompt[] = [];
    for (const prompt of request.prompts) {
      const ids = typeof prompt === "string"
        ? yield* tokenizer.encodeInSlices(prompt)
        : Int32Array.from(prompt);
      prompts.push({ ids, state: "answer" });
    }
    return { prompts, bannedIds };
  } catch (cause) {
    throw refusal(cause, request);
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

/** Whose words a reply to a request is. */
export function replyRole({ messages, addGenerationPrompt = true }: ChatRequest): Message["role"] {
  // Without a new turn the reply goes on with the last one.
  return addGenerationPrompt ? "assistant" : messages[messages.length - 1].role;
}

/** What a choice begins with besides what is generated. */
function echoOf(request: ChatRequest, index: number, tokenizer: Tokenizer): string {
  if (!request.echo) return "";
  const prompt = request.prompts?.[Math.floor(index / request.choices)];
  if (prompt !== undefined) return typeof prompt === "string" ? prompt : tokenizer.decode(prompt);
  const last = request.messages[request.messages.length - 1];
  return last.role === replyRole(request) ? last.content : "";
}

/** What the generator or the chat template says of a request. */
function refusal(cause: unknown, { prompts }: ChatRequest): ApiError {
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
    param: long ? prompts ? "prompt" : "messages" : undefined,
    cause,
  });
}

/** A request's replies, under way. */
export class Completion {
  /** What was asked for. */
  readonly request: ChatRequest;
  /** The replies: all choices of the first prompt, of the next one, and so on. */
  readonly choices: readonly ChoiceReply[];
  /** The tokenizer of the model. */
  readonly tokenizer: Tokenizer;
  /** Tokens of all prompts. */
  readonly promptTokens: number;
  readonly #controller: AbortController;

  /** Starts counting; the replies are read by who sends them. */
  constructor(request: ChatRequest, replies: readonly ChatReply[], options: {
    /** The prompts, each of which `request.choices` replies in a row go on with. */
    readonly prompts: readonly EncodedPrompt[];
    readonly tokenizer: Tokenizer;
    readonly controller: AbortController;
    readonly metrics: Metrics;
    readonly onEnd: () => void;
  }) {
    const { prompts, tokenizer, controller, metrics, onEnd } = options;
    const promptTokens = prompts.reduce((sum, { ids }) => sum + ids.length, 0);
    this.request = request;
    this.tokenizer = tokenizer;
    this.promptTokens = promptTokens;
    this.#controller = controller;
    const { model } = request;
    const began = performance.now();
    const seconds = (): number => (performance.now() - began) / 1000;
    let running = replies.length;
    const ended = (choice: ChoiceReply): void => {
      metrics.add("ortune_completion_tokens_total", "Tokens made.", { model }, choice.newTokens);
      if (--running > 0) return;
      onEnd();
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
        promptIds: prompts[Math.floor(index / request.choices)].ids,
        echo: echoOf(request, index, tokenizer),
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

function choiceReply(index: number, reply: ChatReply, options: {
  /** What was asked for. */
  readonly request: ChatRequest;
  /** What it goes on with. */
  readonly promptIds: ArrayLike<number>;
  /** What it begins with. */
  readonly echo: string;
  readonly signal: AbortSignal;
  readonly onPiece: () => void;
  readonly onEnd: () => void;
}): ChoiceReply {
  const { request, promptIds, echo, signal, onPiece, onEnd } = options;
  const { stop, includeStop: include, hideThinking = false } = request;
  const { minNewTokens = 0 } = request.options;
  const stops = new StopStrings(stop, { include });
  let thinkTokens = 0;
  let counted = 0;
  let over = false;
  const end = (): void => {
    if (over) return;
    over = true;
    onEnd();
  };
  async function* pieces(): AsyncGenerator<ChoicePiece, void> {
    const withPrompt = request.options.promptLogprobs !== undefined;
    if (echo !== "" && !withPrompt) yield { kind: "answer", text: echo };
    // Log probabilities of the prompt are there with the first piece of the reply, or at its end.
    let echoed = !withPrompt;
    function* echoOnce(): Iterable<ChoicePiece> {
      if (echoed) return;
      echoed = true;
      const logprobs = reply.promptLogprobs ?? [];
      yield { kind: "answer", text: echo, prompt: { ids: promptIds, logprobs } };
    }
    // A token goes with the text that it begins, which may be held back or cut off.
    const waiting: { readonly at: number; readonly token: ChosenLogprob }[] = [];
    let known = 0;
    let taken = 0;
    let given = 0;
    const answer = (text: string): ChatPiece => {
      given += text.length;
      const held = waiting.findIndex(({ at }) => at >= given);
      const tokens = waiting.splice(0, held < 0 ? waiting.length : held);
      if (tokens.length === 0) return { kind: "answer", text };
      return { kind: "answer", text, tokens: tokens.map(({ token }) => token) };
    };
    for await (const { kind, text, tokens = [] } of reply) {
      onPiece();
      yield* echoOnce();
      if (kind === "think") {
        thinkTokens += reply.newTokens - counted;
        counted = reply.newTokens;
        if (!hideThinking) yield { kind, text };
        continue;
      }
      // The tag between them is counted with the thinking.
      counted = reply.newTokens;
      // As in vLLM, stop strings end no reply that has not its least length yet.
      for (const token of tokens) waiting.push({ at: taken, token });
      known += tokens.length;
      taken += text.length;
      const certain = reply.newTokens < minNewTokens ? text : stops.push(text);
      if (certain !== "") yield answer(certain);
      if (stops.stopped) return;
    }
    const aborted = reply.finishReason === "aborted";
    if (!aborted) yield* echoOnce();
    const rest = stops.end();
    if (rest !== "") yield answer(rest);
    // Ended by neither the model nor its reader: the server is stopping, and says so.
    if (aborted) signal.throwIfAborted();
    // As in OpenAI's legacy API, the token that ended a text and those without a text are told, too.
    const untold = request.prompts ? reply.logprobs?.slice(known) ?? [] : [];
    if (untold.length > 0) yield { kind: "answer", text: "", tokens: untold };
  }
  const source = pieces();
  const choice: ChoiceReply = {
    index,
    get newTokens(): number {
      return reply.newTokens;
    },
    get thinkTokens(): number {
      return thinkTokens;
    },
    get finishReason(): "stop" | "length" {
      return !stops.stopped && reply.finishReason === "length" ? "length" : "stop";
    },
    async next(): Promise<IteratorResult<ChoicePiece, void>> {
      try {
        const result = await source.next();
        if (result.done) end();
        return result;
      } catch (cause) {
        end();
        throw cause;
      }
    },
    async return(): Promise<IteratorResult<ChoicePiece, void>> {
      // Before its first next() an async generator runs no cleanup of its own.
      await reply.return?.();
      end();
      return await source.return();
    },
    [Symbol.asyncIterator]: () => choice,
  };
  return choice;
}
