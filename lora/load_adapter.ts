/**
 * An adapter on a model that is loaded already. In: the model's weights and an adapter folder. Out:
 * weights and graph that a generator or an engine runs on, without merging.
 *
 * @module
 */

import { layeredWeights, type NamedWeights } from "../engine/layered_weights.ts";
import { loadWeights } from "../engine/load_weights.ts";
import { layoutParameters, ParameterStore } from "../engine/parameter_store.ts";
import type { Graph } from "../graph/ir.ts";
import type { BlockAdapter } from "../model/block.ts";
import type { ModelConfig } from "../model/config.ts";
import { decodeBlockGraph } from "../model/decode_graphs.ts";
import type { Runtime } from "../ort/runtime.ts";
import { openSafetensors } from "../tensor/safetensors_file.ts";
import { ADAPTER_WEIGHTS, readAdapterConfig } from "./adapter_config.ts";
import { createLoraAdapter, inEveryLayer } from "./block_adapter.ts";
import type { LoraOptions } from "./lora_options.ts";
import { fromPeft } from "./peft_source.ts";
import { WeightNorms } from "./weight_norms.ts";

/** A model with an adapter on it. */
export interface AdaptedModel extends Disposable {
  /** The adapter's settings. */
  readonly lora: LoraOptions;
  /** What it makes of a block. */
  readonly block: BlockAdapter;
  /** Its own weights. */
  readonly trained: ParameterStore;
  /** Its weights, and what is derived of them, over the model's. */
  readonly weights: NamedWeights;
  /** The graph that generation runs. */
  readonly decodeGraph: Graph;
  /** Computes anew what DoRA derives of the weights: to be called whenever they have changed. */
  refresh(): Promise<void>;
}

/** Puts an adapter with the given settings on a model; its weights are left to be filled. */
export function adaptModel(
  runtime: Runtime,
  { config, base, lora }: {
    readonly config: ModelConfig;
    readonly base: ParameterStore;
    readonly lora: LoraOptions;
  },
): AdaptedModel {
  const block = createLoraAdapter(config, lora);
  const specs = inEveryLayer(config, block.parameters);
  const trained = new ParameterStore(runtime, layoutParameters(specs));
  const norms = lora.dora ? new WeightNorms(runtime, { config, base, lora, trained }) : undefined;
  return {
    lora,
    block,
    trained,
    weights: layeredWeights([trained, ...norms ? [norms.store] : [], base]),
    decodeGraph: decodeBlockGraph(config, {
      linear: (b, weights) => block.wrap(b, weights, { training: false }).linear,
    }),
    refresh: () => norms?.update() ?? Promise.resolve(),
    [Symbol.dispose]: () => {
      norms?.[Symbol.dispose]();
      trained[Symbol.dispose]();
    },
  };
}

/** Reads the weights of an adapter folder into an adapter of the same settings. */
export async function readAdapterWeights(
  runtime: Runtime,
  adapted: AdaptedModel,
  directory: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  await using file = await openSafetensors(`${directory}/${ADAPTER_WEIGHTS}`);
  await loadWeights(runtime, adapted.trained, fromPeft(file), { from: directory, ...options });
  await adapted.refresh();
}

/**
 * Opens an adapter folder, PEFT's or ortune's, on a loaded model.
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
  const lora = await readAdapterConfig(directory);
  const adapted = adaptModel(runtime, { config, base, lora });
  try {
    await readAdapterWeights(runtime, adapted, directory, { signal });
    return adapted;
  } catch (cause) {
    adapted[Symbol.dispose]();
    throw cause;
  }
}
