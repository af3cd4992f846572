/**
 * What an adapter of random numbers gives on a base: in training and evaluation of two small batches, and in
 * decoding. In: a base as it is stored. Out: losses, gradients and logits.
 */

import { Decoder } from "../../infer/generate/decoder.ts";
import { adaptModel } from "../../lora/load_adapter.ts";
import type { LoraOptions } from "../../lora/lora_options.ts";
import type { ModelConfig } from "../../model/config.ts";
import { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { BaseMatrices } from "../../model/engine/quantized_store.ts";
import { TrainingEngine, type TrainingEngineOptions } from "../../model/engine/training_engine.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { draws } from "./random.ts";
import { randomExamples, tinyBatch } from "./tiny_model.ts";

const [a, b, c, d] = randomExamples([40, 33, 17, 60], 64);
const BATCHES = [tinyBatch([[a, c], [d]], 60), tinyBatch([[b], [c, c]], 40)];

/** What came out. */
export interface AdapterResults {
  readonly losses: readonly number[];
  readonly gradients: ReadonlyMap<string, Float32Array>;
  readonly logits: readonly number[];
}

/** An adapter and how it is run. */
export interface AdapterCase {
  readonly config: ModelConfig;
  readonly lora: LoraOptions;
  readonly options?: TrainingEngineOptions;
}

/** Runs all; the same numbers are drawn each time. */
export async function adapterPasses(
  runtime: Runtime,
  base: ParameterStore & BaseMatrices,
  { config, lora, options }: AdapterCase,
): Promise<AdapterResults> {
  using adapted = adaptModel(runtime, { config, base, lora });
  const draw = draws(5);
  for (const { name } of adapted.trained.layout.specs) {
    const values = adapted.trained.tensor(name).float32();
    const magnitude = name.endsWith("magnitude_vector");
    for (let i = 0; i < values.length; i++) {
      values[i] = magnitude ? draw(0.5, 1.5) : draw(-0.2, 0.2);
    }
  }
  await adapted.refresh();
  using gradients = new ParameterStore(runtime, adapted.trained.layout);
  const { block, weights, linear } = adapted;
  using engine = new TrainingEngine(runtime, config, weights, gradients, {
    headChunk: 24,
    adapter: { block, weights },
    ...options,
  });
  const losses: number[] = [];
  for (const [i, batch] of BATCHES.entries()) {
    const how = { scale: 0.1, first: i === 0, dropoutSeed: i + 1 };
    losses.push(...(await engine.forwardBackward(batch, how)).losses);
    losses.push(...(await engine.evaluate(batch)).losses);
  }
  using decoder = new Decoder(runtime, config, weights, { linear });
  const logits = [...await decoder.prefill(a.ids.slice(0, 9))];
  for (const id of a.ids.slice(9, 12)) logits.push(...await decoder.decode(id));
  return {
    losses,
    gradients: new Map(
      gradients.names().map((name) => [name, gradients.tensor(name).float32().slice()]),
    ),
    logits,
  };
}
