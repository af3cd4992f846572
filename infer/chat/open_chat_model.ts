/**
 * A model to chat with, from folders. In: a model's folder, perhaps an adapter's. Out: its generator,
 * and how it is to be asked: as it was trained, unless options say otherwise.
 */

import { loadAdapter } from "../../lora/load_adapter.ts";
import { trainedRounding } from "../../lora/trained_base.ts";
import { loadModel } from "../../model/engine/load_model.ts";
import type { Precision } from "../../model/precision.ts";
import { checkDevice, describeWebGpu } from "../../model/engine/check_webgpu.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { readGenerationConfig } from "../generate/generation_config.ts";
import { createGenerator, type Generator } from "../generate/generator.ts";
import {
  type ChatContext,
  type ChatContextOptions,
  openChat,
  withTaughtEnds,
} from "./chat_context.ts";

/** A generator over weights that it owns. */
export interface LoadedGenerator extends Disposable {
  /** Makes replies. */
  readonly generator: Generator;
  /** What a user should know of the model's files, a sentence each. */
  readonly notes: readonly string[];
}

/** How a generator is loaded. */
export interface LoadGeneratorOptions {
  /** Where it runs. */
  readonly runtime: Runtime;
  /** The folder of an adapter on the model, which is not merged. @default none */
  readonly adapter?: string;
  /** What the model computes in. @default float32 on the CPU, bfloat16 on CUDA */
  readonly precision?: Precision;
  /** Stops the load between two chunks. */
  readonly signal?: AbortSignal;
}

/** How a chat model is opened. */
export interface OpenChatModelOptions
  extends LoadGeneratorOptions, Omit<ChatContextOptions, "model" | "tokenizer"> {}

/** A model that can be asked; dispose of it to free its weights. */
export interface ChatModel extends ChatContext, LoadedGenerator {}

/**
 * Opens a model's folder, and an adapter's on it.
 *
 * @example
 * ```ts
 * import {
 *   byteTokenizerFiles, chat, openChatModel, parseConfig, Runtime, writeSafetensors,
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
 * const messages = [{ role: "user", content: "Hi" }] as const;
 * const said = chat(model.generator, model.tokenizer, { messages, maxNewTokens: 4, greedy: true });
 * for await (const { kind } of said) assert.ok(kind === "think" || kind === "answer");
 * assert.ok(said.newTokens <= 4);
 * await rm(folder, { recursive: true });
 * ```
 *
 * @throws {Error} naming the file that is missing or does not fit
 */
export async function openChatModel(
  model: string,
  options: OpenChatModelOptions,
): Promise<ChatModel> {
  const context = await openChat({ ...options, model });
  const loaded = await loadGenerator(model, context, options);
  return { ...context, ...loaded, notes: [...context.notes, ...loaded.notes] };
}

/**
 * Loads the weights of an opened chat, the adapter's too.
 *
 * @throws {Error} where the device's driver computes wrongly
 */
export async function loadGenerator(
  model: string,
  { tokenizer, eosTokenIds }: Pick<ChatContext, "tokenizer" | "eosTokenIds">,
  { runtime, adapter, precision, signal }: LoadGeneratorOptions,
): Promise<LoadedGenerator> {
  using resources = new DisposableStack();
  const device = checkDevice(runtime);
  const rounded = await trainedRounding(adapter);
  const { config, weights: base } = await loadModel(runtime, model, { precision, rounded, signal });
  resources.use(base);
  const adapted = adapter === undefined
    ? undefined
    : resources.use(await loadAdapter(runtime, adapter, { config, base, signal }));
  const own = await readGenerationConfig(model, { config, tokenizer });
  const generation = withTaughtEnds(own, eosTokenIds);
  const generator = resources.use(createGenerator({
    runtime,
    config,
    weights: adapted?.weights ?? base,
    linear: adapted?.linear,
    generation,
  }));
  const owned = resources.move();
  return {
    generator,
    notes: [
      ...device ? [describeWebGpu(device)] : [],
      ...config.notes,
      ...generation.notes,
    ],
    [Symbol.dispose]: () => owned.dispose(),
  };
}
