/**
 * One turn of a chat.
 *
 * In: messages. Out: the assistant's reply in pieces of text, thinking and answer told apart, no
 * character ever cut.
 *
 * @module
 */

import type { Message } from "../../data/text/message.ts";
import { StreamingDecoder } from "../../data/text/streaming_decoder.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import {
  type ChatPrompt,
  chatPrompt,
  type ChatPromptOptions,
  type EncodedPrompt,
} from "./chat_prompt.ts";
import type { FinishReason, GenerateOptions, Generation } from "../generate/generation.ts";
import type { Generator } from "../generate/generator.ts";
import type { ChosenLogprob } from "../sampling/token_logprobs.ts";
import { type ChatPiece, ThinkSplitter } from "./think_splitter.ts";

/** What to reply to, and how. */
export interface ChatOptions extends GenerateOptions, ChatPromptOptions {
  /** The chat so far; the last message is the one to reply to, or to go on with. */
  readonly messages: readonly Message[];
  /**
   * The messages as tokens, where {@linkcode encodeChatPrompt} has made them with the same options:
   * several replies to one chat can share them.
   * @default {made anew}
   */
  readonly prompt?: EncodedPrompt;
  /** Whether special tokens, such as `<|im_end|>`, are left out of the text. @default {true} */
  readonly skipSpecialTokens?: boolean;
  /** Whether the token that ends the reply is a part of its text. @default {false} */
  readonly includeEndToken?: boolean;
}

/** A reply being made: its pieces, in order. */
export interface ChatReply extends AsyncIterableIterator<ChatPiece, void> {
  /** Why the reply ended; `undefined` until then. */
  readonly finishReason: FinishReason | undefined;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Tokens made so far, without the one that ends the reply. */
  readonly newTokens: number;
  /** As {@linkcode Generation.logprobs}, those that belong to no piece among them. */
  readonly logprobs?: Generation["logprobs"];
  /** As {@linkcode Generation.promptLogprobs}. */
  readonly promptLogprobs?: Generation["promptLogprobs"];
}

/**
 * Replies to a chat. Work is done as the iterator is read; leaving it early ends the reply.
 *
 * Thinking stands between the tokens `<think>` and `</think>`, which are not given out, nor are the
 * blanks around them. For a tokenizer without these tokens the same tags as text count.
 *
 * @example
 * ```ts
 * import {
 *   byteTokenizerFiles, chat, createGenerator, createTokenizer, parseConfig, Runtime,
 * } from "@ortune/ortune";
 * import { layoutParameters, modelParameters, ParameterStore } from "@ortune/ortune/model";
 * import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * using runtime = new Runtime({ threads: 1 });
 * using weights = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
 * new TorchGenerator(42).normal(weights.flat.float32(), 0, 0.1);
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * using generator = createGenerator({ runtime, config, weights });
 * const messages = [{ role: "user", content: "Hello" }] as const;
 * const reply = chat(generator, tokenizer, { messages, maxNewTokens: 8, seed: 42 });
 * let answer = ""; // of random weights: gibberish
 * for await (const { kind, text } of reply) if (kind === "answer") answer += text;
 * assert.ok(answer.length > 0);
 * assert.ok(reply.newTokens <= 8);
 * ```
 *
 * @throws {Error} where the model has no chat template or the template refuses the messages
 * @throws {RangeError} as {@linkcode Generator.generate}
 */
export function chat(
  generator: Generator,
  tokenizer: Tokenizer,
  options: ChatOptions,
): ChatReply {
  const { messages, skipSpecialTokens = true, includeEndToken = false } = options;
  const { ids: promptIds, state } = options.prompt ?? encoded(tokenizer, messages, options);
  const generation = generator.generate(promptIds, generateOptions(options));
  const progress = { newTokens: 0 };
  const before = options.continueFinalMessage ? promptIds.at(-1) : undefined;
  const how = { tokenizer, state, before, progress, skipSpecialTokens, includeEndToken };
  const pieces = split(generation, how);
  const reply: ChatReply = {
    get finishReason(): FinishReason | undefined {
      return generation.finishReason;
    },
    promptTokens: promptIds.length,
    get newTokens(): number {
      return progress.newTokens;
    },
    get logprobs(): Generation["logprobs"] {
      return generation.logprobs;
    },
    get promptLogprobs(): Generation["promptLogprobs"] {
      return generation.promptLogprobs;
    },
    next: () => pieces.next(),
    async return(): Promise<IteratorResult<ChatPiece, void>> {
      // Before its first next() an async generator runs no cleanup of its own.
      await generation.return?.();
      return await pieces.return();
    },
    [Symbol.asyncIterator]: () => reply,
  };
  return reply;
}

function encoded(
  tokenizer: Tokenizer,
  messages: readonly Message[],
  options: ChatPromptOptions,
): EncodedPrompt {
  const { text, state } = chatPrompt(tokenizer, messages, options);
  return { ids: tokenizer.encode(text), state };
}

/** What is not the chat's. */
function generateOptions(options: ChatOptions): GenerateOptions {
  const {
    messages: _messages,
    prompt: _encoded,
    enableThinking: _thinking,
    tools: _tools,
    addGenerationPrompt: _prompt,
    continueFinalMessage: _continue,
    skipSpecialTokens: _special,
    includeEndToken: _end,
    ...rest
  } = options;
  return rest;
}

async function* split(
  generation: Generation,
  { tokenizer, state, before, progress, skipSpecialTokens, includeEndToken }: {
    readonly tokenizer: Tokenizer;
    readonly state: ChatPrompt["state"];
    /** The token that the text goes on from. */
    readonly before: number | undefined;
    readonly progress: { newTokens: number };
    readonly skipSpecialTokens: boolean;
    readonly includeEndToken: boolean;
  },
): AsyncGenerator<ChatPiece, void> {
  const open = tokenizer.tokenToId("<think>");
  const close = tokenizer.tokenToId("</think>");
  const thinking = state === "thinking";
  const splitter = new ThinkSplitter({ thinking, textTags: close === undefined });
  const decoder = new StreamingDecoder(tokenizer, { skipSpecialTokens });
  // So that the blank of a next word is not taken for one at the start of a text.
  if (before !== undefined) decoder.push(before);
  // Of an answer that has begun a tag is text.
  // Whether a token is told by now: the bytes of a part of a character wait for the others.
  let told = false;
  const push = (text: string): ChatPiece[] => {
    told = text !== "";
    if (state !== "answer") return splitter.push(text);
    return text === "" ? [] : [{ kind: "answer", text }];
  };
  // Tokens whose text is not given out yet.
  let waiting: ChosenLogprob[] = [];
  const withTokens = function* (pieces: Iterable<ChatPiece>): Iterable<ChatPiece> {
    for (const piece of pieces) {
      yield waiting.length === 0 ? piece : { ...piece, tokens: waiting };
      waiting = [];
    }
  };
  const take = function* (id: number): Iterable<ChatPiece> {
    if (state !== "answer" && (id === open || id === close)) {
      yield* push(decoder.flush());
      yield* id === open ? splitter.open() : splitter.close();
      told = true;
    } else {
      yield* push(decoder.push(id));
    }
  };
  const taken = function* (id: number, index: number): Iterable<ChatPiece> {
    const logprob = generation.logprobs?.[index];
    if (logprob) waiting.push(logprob);
    const pieces = [...take(id)];
    yield* withTokens(pieces);
    // Tags, and line breaks beside them, are no part of any piece.
    if (pieces.length === 0 && told && !splitter.holds) waiting = [];
  };
  for await (const id of generation) {
    yield* taken(id, progress.newTokens++);
  }
  if (includeEndToken && generation.endToken !== undefined) {
    yield* taken(generation.endToken, progress.newTokens);
  }
  yield* withTokens(push(decoder.flush()));
  if (state !== "answer") yield* withTokens(splitter.end());
}
