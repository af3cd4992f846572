/**
 * Full fine-tuning: every parameter is trained.
 *
 * In: a model folder. Out: a `Trainer`.
 *
 * @module
 */

import { loadWeights } from "../../model/engine/load_weights.ts";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import type { ModelConfig } from "../../model/config.ts";
import { openModel, readConfig } from "../../model/weights/open_model.ts";
import { modelParameters } from "../../model/parameters.ts";
import type { Precision } from "../../model/precision.ts";
import { writeSafetensorsSharded } from "../../ort/tensor/safetensors_writer.ts";
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
  const parameters = owned.use(allParameters(config, { ...options, precision, format }));
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

/** All of a model's parameters, to be filled. */
function allParameters(
  config: ModelConfig,
  { runtime, precision, format, eosTokenIds, onLoad, signal, ...options }:
    & Omit<FullTrainerOptions, "precision">
    & {
      readonly precision: Precision;
      readonly format: StateFormat;
    },
): TrainedParameters {
  using made = new DisposableStack();
  const layout = layoutParameters(modelParameters(config));
  const allocate = (dtype: Precision): ParameterStore =>
    made.use(new ParameterStore(runtime, layout, { dtype }));
  const weights = allocate(precision);
  // What the optimizer updates; the model runs on a rounded copy of it. Where processes share it out, the optimizer
  // has this one's part.
  const master = STATE_TYPES[format].parameters === "master" && !isSharded(options)
    ? allocate("float32")
    : undefined;
  const store = master ?? weights;
  const owned = made.move();
  return {
    method: "full",
    config,
    store,
    rounded: master && weights,
    weights,
    async save(to, saved) {
      await Deno.writeTextFile(`${to}/config.json`, savedConfig(config, eosTokenIds));
      return await writeSafetensorsSharded(to, saved);
    },
    async load(from, also) {
      await using model = await openModel(from);
      const onProgress = onLoad && ((bytes: number) => onLoad(bytes, store.byteLength));
      await loadWeights(runtime, store, model.weights, { from, onProgress, signal });
      await also?.(model.weights);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}
