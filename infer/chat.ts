/**
 * One turn of a chat.
 *
 * In: messages. Out: the assistant's reply in pieces of text, thinking and answer told apart, no
 * character ever cut.
 *
 * @module
 */

import type { Message } from "../data/message.ts";
import { StreamingDecoder } from "../data/streaming_decoder.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import type { FinishReason, GenerateOptions, Generation, Generator } from "./generator.ts";
import { type ChatPiece, ThinkSplitter } from "./think_splitter.ts";

/** What to reply to, and how. */
export interface ChatOptions extends GenerateOptions {
  /** The chat so far; the last message is the one to reply to. */
  readonly messages: readonly Message[];
  /** Qwen3's switch: `false` asks for an answer without thinking. `undefined` is as in training. */
  readonly enableThinking?: boolean;
}

/** A reply being made: its pieces, in order. */
export interface ChatReply extends AsyncIterableIterator<ChatPiece, void> {
  /** Why the reply ended; `undefined` until then. */
  readonly finishReason: FinishReason | undefined;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Tokens made so far, without the one that ends the reply. */
  readonly newTokens: number;
}

// What a template ends the prompt with where it opens the thinking itself, as DeepSeek R1's does.
const OPENED_BY_PROMPT = /<think>\s*$/;

/**
 * Replies to a chat. Work is done as the iterator is read; leaving it early ends the reply.
 *
 * Thinking stands between the tokens `<think>` and `</think>`, which are not given out, nor are the
 * blanks around them. For a tokenizer without these tokens the same tags as text count.
 *
 * @example
 * ```ts
 * import {
 *   byteTokenizerFiles, chat, createGenerator, createTokenizer, layoutParameters,
 *   modelParameters, ParameterStore, parseConfig, Runtime, TorchGenerator,
 * } from "@ortune/ortune";
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
  { messages, enableThinking, ...options }: ChatOptions,
): ChatReply {
  const prompt = tokenizer.render(messages, { addGenerationPrompt: true, enableThinking });
  const promptIds = tokenizer.encode(prompt);
  const generation = generator.generate(promptIds, options);
  const progress = { newTokens: 0 };
  const thinking = OPENED_BY_PROMPT.test(prompt);
  const pieces = split(generation, { tokenizer, thinking, progress });
  const reply: ChatReply = {
    get finishReason(): FinishReason | undefined {
      return generation.finishReason;
    },
    promptTokens: promptIds.length,
    get newTokens(): number {
      return progress.newTokens;
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

async function* split(
  generation: Generation,
  { tokenizer, thinking, progress }: {
    readonly tokenizer: Tokenizer;
    readonly thinking: boolean;
    readonly progress: { newTokens: number };
  },
): AsyncGenerator<ChatPiece, void> {
  const open = tokenizer.tokenToId("<think>");
  const close = tokenizer.tokenToId("</think>");
  const splitter = new ThinkSplitter({ thinking, textTags: close === undefined });
  const decoder = new StreamingDecoder(tokenizer, { skipSpecialTokens: true });
  for await (const id of generation) {
    progress.newTokens++;
    if (id === open || id === close) {
      yield* splitter.push(decoder.flush());
      yield* id === open ? splitter.open() : splitter.close();
    } else {
      yield* splitter.push(decoder.push(id));
    }
  }
  yield* splitter.push(decoder.flush());
  yield* splitter.end();
}
