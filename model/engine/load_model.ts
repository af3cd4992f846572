/**
 * A model folder's weights, for generation, or frozen under an adapter that is trained.
 *
 * In: a path in Hugging Face's layout. Out: its config and a `ParameterStore` on the runtime's device.
 *
 * @module
 */

import { assertDevice } from "./assert_device.ts";
import type { ModelConfig } from "../config.ts";
import { openModel } from "../weights/open_model.ts";
import { roundedSource } from "../weights/rounded_source.ts";
import type { Quantization } from "../quantization.ts";
import { BASE_STORAGES, type BaseStorage, storedTypes } from "../base_storage.ts";
import { modelParameters } from "../parameters.ts";
import type { Precision } from "../precision.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { loadQuantized } from "./load_quantized.ts";
import { loadWeights } from "./load_weights.ts";
import { layoutParameters, ParameterStore } from "./parameter_store.ts";
import { type BaseMatrices, QuantizedStore } from "./quantized_store.ts";
import { type Rounding, RoundingTally } from "./rounding_tally.ts";
import { devicePrecision } from "./weights_precision.ts";

/** A loaded model; dispose of the weights. */
export interface LoadedModel {
  /** The folder's config.json. */
  readonly config: ModelConfig;
  /** All weights in one precision, but for matrices that are stored otherwise, under their Hugging Face names. */
  readonly weights: ParameterStore & BaseMatrices;
  /** What storing its matrices did to them; none where they are in the precision. */
  readonly rounding?: Rounding;
}

/** How a model is loaded. */
export interface LoadModelOptions {
  /** What its weights become. @default float32 on the CPU, bfloat16 on CUDA */
  readonly precision?: Precision;
  /** How its matrices are stored. @default in the precision */
  readonly storage?: BaseStorage;
  /**
   * Rounds its matrices as a base in 8 or 4 bits has them, and stores them as all others: for an adapter that was
   * trained over such a base. @default they are the file's
   */
  readonly rounded?: Quantization;
  /** Stops the load between two chunks. */
  readonly signal?: AbortSignal;
}

/**
 * Loads a model folder.
 *
 * @example
 * ```ts
 * import { loadModel, parseConfig, Runtime, writeSafetensors } from "@ortune/ortune";
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
 * const { config, weights } = await loadModel(runtime, folder);
 * assert.equal(config.hiddenSize, 16);
 * assert.deepEqual(weights.tensor("model.norm.weight").shape, [16]);
 * weights[Symbol.dispose]();
 * await rm(folder, { recursive: true });
 * ```
 */
export async function loadModel(
  runtime: Runtime,
  directory: string,
  { precision = devicePrecision(runtime.device), storage = BASE_STORAGES.fp32, rounded, signal }:
    LoadModelOptions = {},
): Promise<LoadedModel> {
  await using model = await openModel(directory);
  const { config } = model;
  const source = rounded ? roundedSource(model.weights, config, rounded) : model.weights;
  assertDevice(config, runtime.device);
  const specs = modelParameters(config);
  const tally = new RoundingTally();
  const how = { from: directory, tally, signal };
  if (storage.quantization) {
    const weights = new QuantizedStore(runtime, specs, { dtype: precision, storage });
    try {
      await loadQuantized(runtime, weights, source, { ...how, specs });
      return { config, weights, rounding: tally.result() };
    } catch (cause) {
      weights[Symbol.dispose]();
      throw cause;
    }
  }
  const dtypes = storedTypes(specs, storage);
  const weights = new ParameterStore(runtime, layoutParameters(specs), {
    dtype: precision,
    dtypes,
  });
  try {
    await loadWeights(runtime, weights, source, how);
    return { config, weights, rounding: tally.result() };
  } catch (cause) {
    weights[Symbol.dispose]();
    throw cause;
  }
}
