/**
 * LoRA fine-tuning: small matrices beside frozen weights are trained, in float32 on a base of any
 * precision. The base is held once, and has no gradients and no moments.
 *
 * In: a model folder and settings, or an adapter to go on from. Out: a `Trainer`.
 *
 * @module
 */

import { readModelOrigin } from "../../internal/json/model_origin.ts";
import { loadModel } from "../../model/engine/load_model.ts";
import type { Rounding } from "../../model/engine/rounding_tally.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, formatAdapterConfig } from "../../lora/adapter_config.ts";
import { createLoraAdapter, loraA, loraMagnitude, loraNorm } from "../../lora/block_adapter.ts";
import { type AdaptedModel, adaptModel, readAdapterWeights } from "../../lora/load_adapter.ts";
import { DEFAULT_LORA, type LoraOptions } from "../../lora/lora_options.ts";
import { withLayerNames } from "../../lora/lora_targets.ts";
import { PissaHalves, type PissaProgress } from "../../lora/pissa.ts";
import { adapterSettings, type InitLoraWeights } from "../../lora/init_lora_weights.ts";
import type { BaseStorage } from "../../model/base_storage.ts";
import { deviceName, deviceTraits } from "../../ort/runtime/device.ts";
import { openAdapter } from "../../lora/open_adapter.ts";
import { toPeft } from "../../lora/peft_source.ts";
import { resizedSource } from "../../lora/resized_source.ts";
import type { ModelConfig } from "../../model/config.ts";
import { readConfig } from "../../model/weights/open_model.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { StateFormat } from "../optimizers/state_format.ts";
import { type BaseOptions, resolveBaseStorage } from "../resolve_base_storage.ts";
import type { Trainer } from "../trainer.ts";
import { computePrecision, resolvePrecision } from "../training_precision.ts";
import { assembleTrainer, openCollectives, type TrainerOptions } from "./assemble_trainer.ts";
import type { TrainedParameters } from "./trained_parameters.ts";
import { loadTrainingKernels } from "./training_kernels.ts";

/** An adapter is float32, whatever the base and the optimizer. */
const FORMAT: StateFormat = "float32";

/** How a LoRA trainer works. */
export interface LoraTrainerOptions extends TrainerOptions, BaseOptions {
  /** Settings of the adapter. @default rank 8, alpha 32, dropout 0.1, all linear layers */
  readonly lora?: LoraOptions;
  /**
   * How a new adapter starts: `pissa` from the largest singular values of the base's weights, and is then saved
   * with twice the rank. In the host's memory, without dropout.
   * @default "default": A at random, B zero
   */
  readonly initLoraWeights?: InitLoraWeights;
  /** An adapter folder to start from, whose settings then count. @default a new adapter */
  readonly initAdapter?: string;
  /**
   * LoRA+: the learning rate of B, and of DoRA's magnitudes, is that of A times this. Hayou et al. 2024,
   * https://arxiv.org/abs/2402.12354, as PEFT's create_loraplus_optimizer has it.
   * @default 1
   */
  readonly loraPlusRatio?: number;
  /** Seed of the new adapter and of dropout. @default 42 */
  readonly seed?: number;
  /** Told what keeping the base in fewer bits did to it, where it is. @default nobody is */
  readonly onRounding?: (rounding: Rounding) => void;
  /** Told before the singular values of each matrix are computed, and after the last ones. @default nobody is */
  readonly onPissa?: (progress: PissaProgress) => void;
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
  const precision = computePrecision(resolvePrecision(runtime.device, options.precision));
  const config = await readConfig(directory);
  const pissa = options.initLoraWeights === "pissa";
  const lora = initAdapter === undefined
    ? adapterSettings(withLayerNames(config, options.lora ?? DEFAULT_LORA), options.initLoraWeights)
    : await readSettings(initAdapter, config);
  const storage = resolveBaseStorage(runtime.device, options, lora);
  if (pissa) assertPissa(options, storage);
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
  const halves = pissa ? new PissaHalves(config, adapted) : undefined;
  const parameters = adapterParameters({
    ...options,
    ...{ config, baseModel, base, adapted, halves, seed },
  });
  const trainer = await assembleTrainer(parameters, {
    ...options,
    collectives,
    format: FORMAT,
    kernels,
  });
  owned.move();
  try {
    if (deferLoad) return trainer;
    if (halves) {
      await halves.initialize(runtime, base, { onProgress: options.onPissa, signal });
    } else if (initAdapter === undefined) await initialize(adapted, seed);
    else await parameters.load(initAdapter);
    return trainer;
  } catch (cause) {
    await trainer[Symbol.asyncDispose]();
    throw cause;
  }
}

/** An adapter's parameters over a frozen base; both are released with them. */
function adapterParameters({
  runtime,
  config,
  baseModel,
  base,
  adapted,
  halves,
  seed,
  loraPlusRatio = 1,
  signal,
}: {
  readonly runtime: Runtime;
  readonly config: ModelConfig;
  /** The base model's id on a hub, or its folder. */
  readonly baseModel: string;
  readonly base: ParameterStore;
  readonly adapted: AdaptedModel;
  /** What of it is frozen. @default nothing */
  readonly halves?: PissaHalves;
  readonly seed: number;
  readonly loraPlusRatio?: number;
  readonly signal?: AbortSignal;
}): TrainedParameters {
  const { lora, block, weights, trained: store, linear } = adapted;
  return {
    method: "lora",
    config,
    store,
    sizes: halves?.sizes ?? sizesOf(adapted),
    rates: loraPlusRatio === 1 ? undefined : new Map(
      store.names().filter((name) => !name.endsWith(loraA(""))).map((
        name,
      ) => [name, loraPlusRatio]),
    ),
    weights,
    adapter: { block, weights },
    linear,
    seed,
    prepare: halves && ((gradients) => halves.clear(gradients)),
    async updated() {
      halves?.restore();
      await adapted.refresh();
    },
    async save(to, saved) {
      const text = formatAdapterConfig(lora, { baseModel });
      await Deno.writeTextFile(`${to}/${ADAPTER_CONFIG}`, text);
      const weights = toPeft(resizedSource(saved, adapted.parameters));
      const file = await writeSafetensors(`${to}/${ADAPTER_WEIGHTS}`, weights);
      return [{ name: ADAPTER_WEIGHTS, ...file }];
    },
    async load(from) {
      await readAdapterWeights(runtime, adapted, from, { signal });
      halves?.keep();
    },
    [Symbol.dispose]() {
      adapted[Symbol.dispose]();
      base[Symbol.dispose]();
    },
  };
}

/**
 * Refuses what PiSSA cannot start from.
 *
 * @throws {RangeError}
 */
function assertPissa(
  { runtime: { device }, initAdapter, graphsOnly }: LoraTrainerOptions,
  { name }: BaseStorage,
): void {
  if (initAdapter !== undefined) {
    throw new RangeError(
      "Cannot start both from PiSSA and from an adapter: leave out --init-lora-weights or --init-adapter",
    );
  }
  if (!deviceTraits(device).hostMemory || graphsOnly) {
    throw new RangeError(
      `Cannot start from PiSSA on ${
        deviceName(device)
      }: its frozen half is kept in the host's memory; pass ` +
        "--device cpu",
    );
  }
  if (name !== "fp32") {
    throw new RangeError(
      "Cannot start from PiSSA on a base in fewer bits: its singular values are taken in float32; leave out " +
        "--base-dtype",
    );
  }
}

/** An adapter's settings, once all of its files fit the model: before any weight is read. */
async function readSettings(directory: string, config: ModelConfig): Promise<LoraOptions> {
  await using adapter = await openAdapter(directory, config);
  return adapter.lora;
}

/** Numbers of each of its weights that are saved: what only makes all blocks alike is not trained. */
function sizesOf({ parameters, trained }: AdaptedModel): ReadonlyMap<string, number> {
  const own = new Map(parameters.map(({ name, shape }) => [name, elementCount(shape)]));
  return new Map(trained.names().map((name) => [name, own.get(name) ?? 0]));
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
