/** A model folder's weights on the device, for generation. */

import type { ModelConfig } from "../model/config.ts";
import { openModel } from "../model/open_model.ts";
import { modelParameters } from "../model/parameters.ts";
import type { Runtime } from "../ort/runtime.ts";
import { loadWeights } from "./load_weights.ts";
import { layoutParameters, ParameterStore } from "./parameter_store.ts";

/** A loaded model; dispose of the weights. */
export interface LoadedModel {
  /** The folder's config.json. */
  readonly config: ModelConfig;
  /** All weights in float32, under their Hugging Face names. */
  readonly weights: ParameterStore;
}

/** Loads a model folder in float32. */
export async function loadModel(
  runtime: Runtime,
  directory: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<LoadedModel> {
  await using model = await openModel(directory);
  const { config } = model;
  const weights = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
  try {
    await loadWeights(runtime, weights, model.weights, { from: directory, ...options });
    return { config, weights };
  } catch (cause) {
    weights[Symbol.dispose]();
    throw cause;
  }
}
