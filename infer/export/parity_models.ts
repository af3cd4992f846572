/**
 * The two sides of a parity report. In: a loaded checkpoint, or an opened export. Out: a
 * `ParityModel` of it.
 *
 * @module
 */

import { sequenceGrid } from "../../model/engine/batch.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import { TrainingEngine } from "../../model/engine/training_engine.ts";
import { createGenerator, decoderGenerator, type Generator } from "../generate/generator.ts";
import type { AdaptedModel } from "../../lora/load_adapter.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { ExportedDecoder } from "./exported_decoder.ts";
import type { ParityModel } from "./parity.ts";

/** A checkpoint in memory, perhaps with an adapter on it. */
export interface LoadedCheckpoint {
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  /** Its weights. */
  readonly weights: ParameterStore;
  /** The adapter on it. @default none */
  readonly adapted?: AdaptedModel;
}

/**
 * The checkpoint as it is trained and sampled: logits by the engine that trains, which knows no
 * cache, and tokens by the generator.
 */
export function checkpointParityModel(
  runtime: Runtime,
  { config, weights, adapted }: LoadedCheckpoint,
): ParityModel & Disposable {
  const resources = new DisposableStack();
  const engine = resources.use(
    new TrainingEngine(
      runtime,
      config,
      weights,
      undefined,
      adapted && { adapter: { block: adapted.block, weights: adapted.weights } },
    ),
  );
  const generator = resources.use(
    createGenerator({
      runtime,
      config,
      weights: adapted?.weights ?? weights,
      linear: adapted?.linear,
      generation: ENDLESS,
    }),
  );
  return {
    logits: (ids: Int32Array): Promise<Float32Array> =>
      engine.logits(sequenceGrid(ids), Int32Array.from(ids.keys())),
    greedy: (ids: Int32Array, count: number): Promise<readonly number[]> =>
      likeliestTokens(generator, ids, count),
    [Symbol.dispose]: () => resources.dispose(),
  };
}

/** An export; the decoder goes with it. */
export function exportParityModel(
  decoder: ExportedDecoder,
  config: ModelConfig,
): ParityModel & Disposable {
  const generator = decoderGenerator(decoder, { config, generation: ENDLESS });
  return {
    logits: (ids: Int32Array): Promise<Float32Array> => Promise.resolve(decoder.logits(ids)),
    greedy: (ids: Int32Array, count: number): Promise<readonly number[]> =>
      likeliestTokens(generator, ids, count),
    [Symbol.dispose]: () => generator[Symbol.dispose](),
  };
}

/** No token ends a reply: all of them are compared. */
const ENDLESS = { eosTokenIds: [], sampling: { greedy: true }, notes: [] };

function likeliestTokens(
  generator: Generator,
  ids: Int32Array,
  maxNewTokens: number,
): Promise<readonly number[]> {
  return Array.fromAsync(generator.generate(ids, { maxNewTokens, greedy: true }));
}
