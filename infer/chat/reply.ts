/** Answers one question: think and answer apart, streamed to an output and whole. */

import type { Message, Tool } from "../../data/text/message.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { chat, type ChatReply } from "./chat.ts";
import type { Generator } from "../generate/generator.ts";
import type { GenerateOptions } from "../generate/generation.ts";
import { renderTerminal } from "./render_terminal.ts";

/** Where a reply is streamed to, such as standard output. */
export interface Output {
  /** Takes text as it comes. */
  readonly write: (text: string) => Promise<void>;
  /** Whether it is a terminal, which takes colors. */
  readonly isTty: boolean;
  /** Leaves colors out. @default false */
  readonly noColor?: boolean;
}

/** What was said. */
export interface Reply {
  /** The thinking, without its tags. */
  readonly think: string;
  /** The answer. */
  readonly answer: string;
  /** Tokens that were made. */
  readonly newTokens: number;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Seconds that it took, the prompt included. */
  readonly seconds: number;
  /** Why it ended. */
  readonly finishReason: ChatReply["finishReason"];
}

/**
 * Streams the reply to the messages and answers it whole.
 *
 * @example
 * ```ts
 * import {
 *   byteTokenizerFiles, openChatModel, parseConfig, reply, Runtime, writeSafetensors,
 * } from "@ortune/ortune";
 * import { layoutParameters, modelParameters, ParameterStore } from "@ortune/ortune/model";
 * import { TorchGenerator } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const json = { model_type: "qwen3", hidden_size: 16, intermediate_size: 32, vocab_size: 261,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, eos_token_id: 258 };
 * using runtime = new Runtime({ threads: 1 });
 * using random = new ParameterStore(runtime, layoutParameters(modelParameters(parseConfig(json))));
 * new TorchGenerator(42).normal(random.flat.float32(), 0, 0.1);
 * await writeFile(`${folder}/config.json`, JSON.stringify(json));
 * await writeSafetensors(`${folder}/model.safetensors`, random);
 * const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
 * await writeFile(`${folder}/tokenizer.json`, JSON.stringify(tokenizerJson));
 * await writeFile(`${folder}/tokenizer_config.json`, JSON.stringify(tokenizerConfig));
 *
 * using model = await openChatModel(folder, { runtime });
 * let streamed = "";
 * const { newTokens } = await reply(model, {
 *   messages: [{ role: "user", content: "Hi" }],
 *   maxNewTokens: 4,
 *   greedy: true,
 *   output: { write: (text) => Promise.resolve(void (streamed += text)), isTty: false },
 * });
 * assert.ok(newTokens <= 4);
 * await rm(folder, { recursive: true });
 * ```
 */
export async function reply(
  { generator, tokenizer }: { readonly generator: Generator; readonly tokenizer: Tokenizer },
  { messages, output, ...options }: GenerateOptions & {
    readonly messages: readonly Message[];
    /** Whether the prompt asks for thinking. @default as the chat template has it */
    readonly enableThinking?: boolean;
    /** Tools that the prompt tells of. @default none */
    readonly tools?: readonly Tool[];
    readonly output: Output;
  },
): Promise<Reply> {
  const began = performance.now();
  const pieces = chat(generator, tokenizer, { messages, ...options });
  const said = { think: "", answer: "" };
  async function* gathered(): AsyncGenerator<{ kind: "think" | "answer"; text: string }> {
    for await (const piece of pieces) {
      said[piece.kind] += piece.text;
      yield piece;
    }
  }
  await renderTerminal(gathered(), output);
  const { newTokens, promptTokens, finishReason } = pieces;
  const seconds = (performance.now() - began) / 1000;
  return { ...said, newTokens, promptTokens, finishReason, seconds };
}
