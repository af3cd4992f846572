/**
 * LoRA fine-tuning: small matrices beside frozen weights are trained, in float32 on a base of any
 * precision. The base is held once, and has no gradients and no moments.
 *
 * In: a model folder and settings, or an adapter to go on from. Out: a `Trainer`.
 *
 * @module
 */

import { readModelOrigin } from "../../internal/json/model_origin.ts";
import type { BaseDtype } from "../../model/base_storage.ts";
import { loadModel } from "../../model/engine/load_model.ts";
import type { Rounding } from "../../model/engine/rounding_tally.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, formatAdapterConfig } from "../../lora/adapter_config.ts";
import { createLoraAdapter, loraA, loraMagnitude, loraNorm } from "../../lora/block_adapter.ts";
import { type AdaptedModel, adaptModel, readAdapterWeights } from "../../lora/load_adapter.ts";
import { DEFAULT_LORA, type LoraOptions } from "../../lora/lora_options.ts";
import { withLayerNames } from "../../lora/lora_targets.ts";
import { openAdapter } from "../../lora/open_adapter.ts";
import { toPeft } from "../../lora/peft_source.ts";
import { resizedSource } from "../../lora/resized_source.ts";
import type { ModelConfig } from "../../model/config.ts";
import { readConfig } from "../../model/weights/open_model.ts";
import type { ParameterSpec } from "../../model/parts/parameter_spec.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { StateFormat } from "../optimizers/state_format.ts";
import { resolveBaseStorage } from "../resolve_base_storage.ts";
import type { Trainer } from "../trainer.ts";
import { computePrecision, resolvePrecision } from "../training_precision.ts";
import { assembleTrainer, openCollectives, type TrainerOptions } from "./assemble_trainer.ts";
import type { TrainedParameters } from "./trained_parameters.ts";
import { loadTrainingKernels } from "./training_kernels.ts";

/** An adapter is float32, whatever the base and the optimizer. */
const FORMAT: StateFormat = "float32";

/** How a LoRA trainer works. */
export interface LoraTrainerOptions extends TrainerOptions {
  /** Settings of the adapter. @default rank 8, alpha 32, dropout 0.1, all linear layers */
  readonly lora?: LoraOptions;
  /** An adapter folder to start from, whose settings then count. @default a new adapter */
  readonly initAdapter?: string;
  /** Seed of the new adapter and of dropout. @default 42 */
  readonly seed?: number;
  /** What the base's matrices are kept in. @default fp32; on CUDA what `precision` computes in */
  readonly baseDtype?: BaseDtype;
  /** Told what keeping the base in fewer bits did to it, where it is. @default nobody is */
  readonly onRounding?: (rounding: Rounding) => void;
}

/**
 * Loads a model folder, frozen, and puts an adapter on it to be trained.
 *
 * @example
 * ```ts
 * import {
 *   collate, createLoraTrainer, DEFAULT_LORA, parseConfig, Runtime, writeSafetensors,
 * } from "@ortune/ortune";
 * import { joinExample } from "@ortune/ortune/data";
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
 *
 * await using trainer = await createLoraTrainer(folder, { runtime, lora: { ...DEFAULT_LORA, rank: 2 } });
 * const [prompt, reply] = [Int32Array.of(257, 72, 258), Int32Array.of(79, 75, 258)];
 * const example = joinExample(prompt, reply, { maxLength: 8, terminated: true });
 * const batch = collate([example], { padId: 256 });
 * const before = await trainer.trainStep([batch], { learningRate: 0.01 });
 * const after = await trainer.trainStep([batch], { learningRate: 0.01 });
 * assert.ok(after.loss < before.loss);
 * await rm(folder, { recursive: true });
 * ```
 */
export async function createLoraTrainer(
  directory: string,
  options: LoraTrainerOptions,
): Promise<Trainer> {
  const { runtime, gpu, initAdapter, seed = 42, deferLoad = false, signal } = options;
  const storage = resolveBaseStorage(runtime.device, options.baseDtype);
  const precision = computePrecision(resolvePrecision(runtime.device, options.precision));
  const config = await readConfig(directory);
  const lora = initAdapter === undefined
    ? withLayerNames(config, options.lora ?? DEFAULT_LORA)
    : await readSettings(initAdapter, config);
  const kernels = gpu && await loadTrainingKernels(gpu, {
    ...options,
    config,
    precision,
    format: FORMAT,
    adapter: createLoraAdapter(config, lora),
  });
  using owned = new DisposableStack();
  // A library that is missing is told of before gigabytes are loaded.
  const collectives = await openCollectives(options);
  if (collectives) owned.use(collectives);
  const how = { precision, storage, signal };
  const { weights: base, rounding } = await loadModel(runtime, directory, how);
  owned.use(base);
  if (rounding) options.onRounding?.(rounding);
  const adapted = owned.use(adaptModel(runtime, { config, base, lora }));
  const baseModel = (await readModelOrigin(directory)).id ?? directory;
  const parameters = adapterParameters({ ...options, config, baseModel, base, adapted, seed });
  const trainer = await assembleTrainer(parameters, {
    ...options,
    collectives,
    format: FORMAT,
    kernels,
  });
  owned.move();
  try {
    if (deferLoad) return trainer;
    if (initAdapter === undefined) await initialize(adapted, seed);
    else await parameters.load(initAdapter);
    return trainer;
  } catch (cause) {
    await trainer[Symbol.asyncDispose]();
    throw cause;
  }
}

/** An adapter's parameters over a frozen base; both are released with them. */
function adapterParameters({ runtime, config, baseModel, base, adapted, seed, signal }: {
  readonly runtime: Runtime;
  readonly config: ModelConfig;
  /** The base model's id on a hub, or its folder. */
  readonly baseModel: string;
  readonly base: ParameterStore;
  readonly adapted: AdaptedModel;
  readonly seed: number;
  readonly signal?: AbortSignal;
}): TrainedParameters {
  const { lora, block, weights, trained: store, linear } = adapted;
  return {
    method: "lora",
    config,
    store,
    count: sumOf(adapted.parameters),
    weights,
    adapter: { block, weights },
    linear,
    seed,
    updated: () => adapted.refresh(),
    async save(to, saved) {
      const text = formatAdapterConfig(lora, { baseModel });
      await Deno.writeTextFile(`${to}/${ADAPTER_CONFIG}`, text);
      const weights = toPeft(resizedSource(saved, adapted.parameters));
      const file = await writeSafetensors(`${to}/${ADAPTER_WEIGHTS}`, weights);
      return [{ name: ADAPTER_WEIGHTS, ...file }];
    },
    load: (from) => readAdapterWeights(runtime, adapted, from, { signal }),
    [Symbol.dispose]() {
      adapted[Symbol.dispose]();
      base[Symbol.dispose]();
    },
  };
}

/** An adapter's settings, once all of its files fit the model: before any weight is read. */
async function readSettings(directory: string, config: ModelConfig): Promise<LoraOptions> {
  await using adapter = await openAdapter(directory, config);
  return adapter.lora;
}

function sumOf(specs: readonly ParameterSpec[]): number {
  return specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

/** PEFT's init: A uniform within ±1/√in (He et al. 2015 with a = √5), B zero, magnitudes ‖W‖. */
async function initialize(
  { parameters, trained, weights, refresh }: AdaptedModel,
  seed: number,
): Promise<void> {
  const random = new TorchGenerator(seed);
  const own = new Map(parameters.map(({ name, shape }) => [name, shape]));
  for (const { name, shape } of trained.layout.specs) {
    const values = new Float32Array(elementCount(shape));
    const bound = 1 / Math.sqrt(shape[1]);
    // What is not saved, and only makes all blocks alike, stays zero for good.
    const drawn = values.subarray(0, elementCount(own.get(name) ?? [0]));
    if (name.endsWith(loraA(""))) random.uniform(drawn, -bound, bound);
    trained.tensor(name).write(values);
  }
  await refresh();
  for (const name of trained.names()) {
    if (!name.endsWith(loraMagnitude("")) || !own.has(name)) continue;
    const layer = name.slice(0, -loraMagnitude("").length);
    trained.tensor(name).copyFrom(weights.tensor(loraNorm(layer)));
  }
}
