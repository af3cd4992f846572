/**
 * Full fine-tuning: every parameter is trained, or every one of the last layers.
 *
 * In: a model folder. Out: a `Trainer`.
 *
 * @module
 */

import { loadWeights } from "../../model/engine/load_weights.ts";
import { layeredWeights } from "../../model/engine/layered_weights.ts";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import type { ModelConfig } from "../../model/config.ts";
import { openModel, readConfig } from "../../model/weights/open_model.ts";
import { blockParameters, layerName, modelParameters } from "../../model/parameters.ts";
import type { ParameterSpec } from "../../model/parts/parameter_spec.ts";
import type { Precision } from "../../model/precision.ts";
import { byteWidth, elementCount } from "../../ort/tensor/dtype.ts";
import { writeSafetensorsSharded } from "../../ort/tensor/safetensors_writer.ts";
import { missingTensorError } from "../../ort/tensor/tensor_errors.ts";
import type { TensorInfo, TensorSource } from "../../ort/tensor/tensor_source.ts";
import { savedConfig } from "../checkpoints/saved_config.ts";
import { formatOf } from "../optimizers/optimizer_description.ts";
import { findOptimizer } from "../optimizers/optimizers.ts";
import { STATE_TYPES, type StateFormat } from "../optimizers/state_format.ts";
import type { Trainer } from "../trainer.ts";
import { computePrecision, resolvePrecision } from "../training_precision.ts";
import { assembleTrainer, isSharded, type TrainerOptions } from "./assemble_trainer.ts";
import type { TrainedParameters } from "./trained_parameters.ts";
import { loadTrainingKernels } from "./training_kernels.ts";

/** How a full trainer works. */
export interface FullTrainerOptions extends TrainerOptions {
  /** Seed of noise on embeddings. @default 0 */
  readonly seed?: number;
  /**
   * Trains the last so many layers alone; embedding, norm and head are frozen with the others.
   * @default all weights
   */
  readonly lastLayers?: number;
  /** Called with the bytes of weights loaded so far, and of all. */
  readonly onLoad?: (bytes: number, total: number) => void;
}

/**
 * Loads a model folder and makes it trainable.
 *
 * @example
 * ```ts
 * import {
 *   collate, createFullTrainer, parseConfig, Runtime, writeSafetensors,
 * } from "@ortune/ortune";
 * import { joinExample } from "@ortune/ortune/data";
 * import { layoutParameters, modelParameters, ParameterStore } from "@ortune/ortune/model";
 * import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
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
 * await using trainer = await createFullTrainer(folder, { runtime });
 * const [prompt, reply] = [Int32Array.of(257, 72, 258), Int32Array.of(79, 75, 258)];
 * const example = joinExample(prompt, reply, { maxLength: 8, terminated: true });
 * const batch = collate([example], { padId: 256 });
 * const before = await trainer.trainStep([batch], { learningRate: 0.01 });
 * const after = await trainer.trainStep([batch], { learningRate: 0.01 });
 * assert.ok(after.loss < before.loss);
 * await rm(folder, { recursive: true });
 * ```
 */
export async function createFullTrainer(
  directory: string,
  options: FullTrainerOptions,
): Promise<Trainer> {
  const { runtime, gpu, deferLoad = false } = options;
  const asked = resolvePrecision(runtime.device, options.precision);
  const config = await readConfig(directory);
  const format = formatOf(findOptimizer(options.optim), asked);
  const precision = computePrecision(asked);
  const kernels = gpu && await loadTrainingKernels(gpu, { ...options, config, precision, format });
  using owned = new DisposableStack();
  const parameters = owned.use(ownParameters(config, { ...options, precision, format }));
  const trainer = await assembleTrainer(parameters, { ...options, format, kernels });
  owned.move();
  try {
    if (!deferLoad) await trainer.load(directory);
    return trainer;
  } catch (cause) {
    await trainer[Symbol.asyncDispose]();
    throw cause;
  }
}

/** A model's parameters, all or those of its last layers, to be filled. */
function ownParameters(
  config: ModelConfig,
  { runtime, precision, format, lastLayers, eosTokenIds, seed, onLoad, signal, ...options }:
    & Omit<FullTrainerOptions, "precision">
    & {
      readonly precision: Precision;
      readonly format: StateFormat;
    },
): TrainedParameters {
  using made = new DisposableStack();
  const { trained, frozen, firstTrained } = splitParameters(config, lastLayers);
  const allocate = (specs: readonly ParameterSpec[], dtype: Precision): ParameterStore =>
    made.use(new ParameterStore(runtime, layoutParameters(specs), { dtype }));
  const own = allocate(trained, precision);
  // What the optimizer updates; the model runs on a rounded copy of it. Where processes share it out, the optimizer
  // has this one's part.
  const master = STATE_TYPES[format].parameters === "master" && !isSharded(options)
    ? allocate(trained, "float32")
    : undefined;
  const rest = frozen.length > 0 ? allocate(frozen, precision) : undefined;
  const store = master ?? own;
  const stores = [store, ...rest ? [rest] : []];
  const bytesOf = ({ layout: { specs }, dtype }: ParameterStore): number =>
    specs.reduce((sum, { shape }) => sum + byteWidth(dtype) * elementCount(shape), 0);
  const bytes = stores.reduce((sum, each) => sum + bytesOf(each), 0);
  const names = modelParameters(config).map(({ name }) => name);
  const owned = made.move();
  return {
    method: "full",
    config,
    store,
    rounded: master && own,
    weights: rest ? layeredWeights([own, rest]) : own,
    firstTrained,
    seed,
    async save(to, saved) {
      await Deno.writeTextFile(`${to}/config.json`, savedConfig(config, eosTokenIds));
      const all = rest ? joinedSource(names, [saved, rest]) : saved;
      return await writeSafetensorsSharded(to, all);
    },
    async load(from, also) {
      await using model = await openModel(from);
      let before = 0;
      for (const each of stores) {
        const onProgress = onLoad && ((loaded: number) => onLoad(before + loaded, bytes));
        const elsewhere = each === store ? frozen : trained;
        await loadWeights(runtime, each, model.weights, { from, elsewhere, onProgress, signal });
        before += bytesOf(each);
      }
      await also?.(model.weights);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/**
 * What is trained of a model, and what is frozen.
 *
 * @param lastLayers how many layers are trained; @default all weights
 * @throws {RangeError} where the model has not as many
 */
export function splitParameters(config: ModelConfig, lastLayers?: number): {
  readonly trained: readonly ParameterSpec[];
  readonly frozen: readonly ParameterSpec[];
  readonly firstTrained?: number;
} {
  const specs = modelParameters(config);
  if (lastLayers === undefined) return { trained: specs, frozen: [] };
  if (lastLayers > config.layers) {
    throw new RangeError(
      `Cannot train the last ${lastLayers} layers: the model has ${config.layers}; take fewer, or train all ` +
        "weights",
    );
  }
  const firstTrained = config.layers - lastLayers;
  const names = new Set(
    config.layerKinds.flatMap((kind, layer) =>
      layer < firstTrained
        ? []
        : blockParameters(config, kind).map(({ name }) => layerName(layer, name))
    ),
  );
  return {
    trained: specs.filter(({ name }) => names.has(name)),
    frozen: specs.filter(({ name }) => !names.has(name)),
    firstTrained,
  };
}

/** Several sources as one, in the order of the names. */
function joinedSource(names: readonly string[], sources: readonly TensorSource[]): TensorSource {
  const owners = new Map(
    sources.flatMap((source) => source.names().map((name) => [name, source] as const)),
  );
  const owner = (name: string): TensorSource => {
    const source = owners.get(name);
    if (!source) throw missingTensorError(name, names, "the model");
    return source;
  };
  return {
    names: (): readonly string[] => names,
    info: (name: string): TensorInfo => owner(name).info(name),
    read: (name: string, into: Uint8Array, offset?: number): Promise<void> =>
      owner(name).read(name, into, offset),
  };
}
