/**
 * Full fine-tuning: every parameter is trained with AdamW.
 *
 * In: a model folder. Out: a `Trainer`.
 *
 * @module
 */

import { loadWeights } from "../../model/engine/load_weights.ts";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { openModel, readConfig } from "../../model/weights/open_model.ts";
import { modelParameters } from "../../model/parameters.ts";
import type { Precision } from "../../model/precision.ts";
import { writeSafetensorsSharded } from "../../ort/tensor/safetensors_writer.ts";
import { ModelTrainer, type TrainerOptions } from "./model_trainer.ts";
import { savedConfig } from "../checkpoints/saved_config.ts";
import type { Trainer } from "../trainer.ts";
import { loadTrainingKernels } from "./training_kernels.ts";
import { computePrecision, optimizerKind, resolvePrecision } from "./training_precision.ts";

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
  const { runtime, onLoad, deferLoad = false, signal } = options;
  const precision = resolvePrecision(runtime.device, options.precision);
  const config = await readConfig(directory);
  const kind = optimizerKind(precision, options);
  const { gpu, optimizer } = options;
  const kernels = gpu && await loadTrainingKernels(gpu, {
    config,
    kind,
    precision: computePrecision(precision),
    optimizer,
  });
  using owned = new DisposableStack();
  const store = (dtype: Precision): ParameterStore =>
    owned.use(new ParameterStore(runtime, layoutParameters(modelParameters(config)), { dtype }));
  const weights = store(computePrecision(precision));
  // What the optimizer updates; the model runs on a rounded copy of it.
  const master = kind === "adamw" ? store("float32") : undefined;
  const trained = master ?? weights;
  const load = async (from: string): Promise<void> => {
    await using model = await openModel(from);
    const onProgress = onLoad && ((bytes: number) => onLoad(bytes, trained.flat.byteLength));
    await loadWeights(runtime, trained, model.weights, { from, onProgress, signal });
  };
  const trainer = new ModelTrainer({
    method: "full",
    config,
    trained,
    rounded: master && weights,
    kind,
    kernels,
    weights,
    owned: master ? [weights, master] : [weights],
    save: async (to, saved) => {
      await Deno.writeTextFile(`${to}/config.json`, savedConfig(config, options.eosTokenIds));
      return await writeSafetensorsSharded(to, saved);
    },
    load,
  }, options);
  owned.move();
  try {
    if (!deferLoad) await trainer.load(directory);
    return trainer;
  } catch (cause) {
    await trainer[Symbol.asyncDispose]();
    throw cause;
  }
}
