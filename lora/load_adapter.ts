/**
 * An adapter on a model that is loaded already. In: the model's weights and an adapter folder. Out:
 * weights and graph that a generator or an engine runs on, without merging.
 *
 * @module
 */

import { layeredWeights, type NamedWeights } from "../model/engine/layered_weights.ts";
import { loadWeights } from "../model/engine/load_weights.ts";
import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import type { BaseMatrices } from "../model/engine/quantized_store.ts";
import type { BlockAdapter } from "../model/graphs/block.ts";
import type { ModelConfig } from "../model/config.ts";
import type { DecodeBlockOptions } from "../model/graphs/decode_graphs.ts";
import type { ParameterSpec } from "../model/parts/parameter_spec.ts";
import type { Runtime } from "../ort/runtime/runtime.ts";
import type { TensorSource } from "../ort/tensor/tensor_source.ts";
import {
  adapterConstants,
  createLoraAdapter,
  inEveryLayer,
  loraParameters,
} from "./block_adapter.ts";
import type { LoraOptions } from "./lora_options.ts";
import { openAdapter, openAdapterWeights } from "./open_adapter.ts";
import { resizedSource } from "./resized_source.ts";
import { WeightNorms } from "./weight_norms.ts";

/** A model with an adapter on it. */
export interface AdaptedModel extends Disposable {
  /** The adapter's settings. */
  readonly lora: LoraOptions;
  /** What of its file is not honoured, a sentence each; nothing of a new adapter. */
  readonly notes: readonly string[];
  /** What it makes of a block. */
  readonly block: BlockAdapter;
  /** Its weights as they are saved: without what only makes all blocks alike. */
  readonly parameters: readonly ParameterSpec[];
  /** Its own weights. */
  readonly trained: ParameterStore;
  /** Its weights, and what is derived of them, over the model's. */
  readonly weights: NamedWeights;
  /** Makes a block's linear layers from its weights, the adapter's among them, for generation. */
  readonly linear: NonNullable<DecodeBlockOptions["linear"]>;
  /** Computes anew what DoRA derives of the weights: to be called whenever they have changed. */
  refresh(): Promise<void>;
}

/** Puts an adapter with the given settings on a model; its weights are left to be filled. */
export function adaptModel(
  runtime: Runtime,
  { config, base, lora }: {
    readonly config: ModelConfig;
    readonly base: ParameterStore & BaseMatrices;
    readonly lora: LoraOptions & { readonly notes?: readonly string[] };
  },
): AdaptedModel {
  const block = createLoraAdapter(config, lora);
  const specs = inEveryLayer(config, block.parameters);
  const trained = new ParameterStore(runtime, layoutParameters(specs));
  const norms = lora.dora ? new WeightNorms(runtime, { config, base, lora, trained }) : undefined;
  const constants = constantStore(runtime, adapterConstants(config, lora));
  const linear: AdaptedModel["linear"] = (b, weights) =>
    block.wrap(b, weights, { training: false }).linear;
  const derived = [norms?.store, constants].filter((store) => store !== undefined);
  return {
    lora,
    notes: lora.notes ?? [],
    block,
    parameters: loraParameters(config, lora),
    trained,
    weights: layeredWeights([trained, ...derived, base]),
    linear,
    refresh: () => norms?.update() ?? Promise.resolve(),
    [Symbol.dispose]: () => {
      constants?.[Symbol.dispose]();
      norms?.[Symbol.dispose]();
      trained[Symbol.dispose]();
    },
  };
}

/** Numbers by name, each a tensor of its own; none where there are no numbers. */
function constantStore(
  runtime: Runtime,
  constants: ReadonlyMap<string, number>,
): ParameterStore | undefined {
  if (constants.size === 0) return undefined;
  const specs = [...constants.keys()].map((name) => ({ name, shape: [1], decays: false }));
  const store = new ParameterStore(runtime, layoutParameters(specs));
  for (const [name, value] of constants) store.tensor(name).write(Float32Array.of(value));
  return store;
}

/** Reads the weights of an adapter folder into an adapter of the same settings. */
export async function readAdapterWeights(
  runtime: Runtime,
  adapted: AdaptedModel,
  directory: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  await using file = await openAdapterWeights(directory, adapted.parameters);
  await fill(runtime, adapted, file, { from: directory, ...options });
}

async function fill(
  runtime: Runtime,
  adapted: AdaptedModel,
  weights: TensorSource,
  options: { readonly from: string; readonly signal?: AbortSignal },
): Promise<void> {
  const { trained } = adapted;
  const source = resizedSource(weights, trained.layout.specs, { fillAbsent: true });
  await loadWeights(runtime, trained, source, options);
  await adapted.refresh();
}

/**
 * Opens an adapter folder, PEFT's or ortune's, on a loaded model.
 *
 * @example
 * ```ts
 * import {
 *   createLoraTrainer, DEFAULT_LORA, loadAdapter, loadModel, parseConfig, Runtime,
 *   writeSafetensors,
 * } from "@ortune/ortune";
 * import { layoutParameters, modelParameters, ParameterStore } from "@ortune/ortune/model";
 * import { TorchGenerator } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 * import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
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
 * const lora = { ...DEFAULT_LORA, rank: 2 };
 * {
 *   await using trainer = await createLoraTrainer(folder, { runtime, lora });
 *   await mkdir(`${folder}/adapter`);
 *   await trainer.save(`${folder}/adapter`);
 * }
 *
 * const { config, weights: base } = await loadModel(runtime, folder);
 * using adapted = await loadAdapter(runtime, `${folder}/adapter`, { config, base });
 * assert.equal(adapted.lora.rank, 2);
 * base[Symbol.dispose]();
 * await rm(folder, { recursive: true });
 * ```
 *
 * @throws {Error} naming together all tensors that do not fit the model
 */
export async function loadAdapter(
  runtime: Runtime,
  directory: string,
  { config, base, signal }: {
    readonly config: ModelConfig;
    readonly base: ParameterStore;
    readonly signal?: AbortSignal;
  },
): Promise<AdaptedModel> {
  await using files = await openAdapter(directory, config);
  const adapted = adaptModel(runtime, { config, base, lora: files.lora });
  try {
    await fill(runtime, adapted, files.weights, { from: directory, signal });
    return adapted;
  } catch (cause) {
    adapted[Symbol.dispose]();
    throw cause;
  }
}
