/**
 * A generator to answer many rows with: one batch of replies, or one reply after another where there is no batch: on
 * CUDA, and of weights that are not all in float32.
 *
 * In: weights. Out: the generator, and how many replies it makes at once.
 */

import { BASE_STORAGES } from "../../model/base_storage.ts";
import type { ModelConfig } from "../../model/config.ts";
import { computingOf } from "../../model/engine/weights_precision.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { AdapterSlot } from "../generate/batch_decoder.ts";
import { cacheBytesPerPosition, CAPACITY_STEP } from "../generate/batch_cache.ts";
import { BatchGenerator } from "../generate/batch_generator.ts";
import type { GenerationConfig } from "../generate/generation_config.ts";
import { createGenerator, type Generator } from "../generate/generator.ts";

/** A generator for rows; the weights stay their owner's. */
export interface RowGenerator extends AsyncDisposable {
  readonly generator: Generator;
  /** Replies at once; with 1 the loss of a reference takes as long as making it would. */
  readonly concurrency: number;
}

/** Most bytes of keys and values. */
const CACHE_BYTES = 2 ** 30;

/** Prompt tokens run at once, whoever else is answered: so that a prompt is always cut alike. */
const CHUNK = 128;

/** Positions that a prompt and its reply have together, whatever else is answered. */
export function rowWindow(
  { device }: Pick<Runtime, "device">,
  config: ModelConfig,
  cacheBytes: number = CACHE_BYTES,
): number {
  if (device.kind === "cuda") return config.maxPositions;
  const affordable = Math.floor(cacheBytes / cacheBytesPerPosition(config) / CAPACITY_STEP);
  return Math.min(config.maxPositions, affordable * CAPACITY_STEP);
}

/** Makes a generator of weights. */
export function createRowGenerator(
  runtime: Runtime,
  { config, slot, generation, batchSize, cacheBytes = CACHE_BYTES }: {
    readonly config: ModelConfig;
    readonly slot: AdapterSlot;
    readonly generation: GenerationConfig;
    /** Most replies at once. */
    readonly batchSize: number;
    /** Most bytes of keys and values. @default {1 GiB} */
    readonly cacheBytes?: number;
  },
): RowGenerator {
  const { precision, storage } = computingOf(slot.weights);
  const batches = runtime.device.kind !== "cuda" && precision === "float32" &&
    storage === BASE_STORAGES.fp32;
  if (!batches) {
    const generator = createGenerator({ runtime, config, ...slot, generation });
    return {
      generator,
      concurrency: 1,
      [Symbol.asyncDispose]: () => Promise.resolve(generator[Symbol.dispose]()),
    };
  }
  const batch = new BatchGenerator({
    runtime,
    config,
    slots: [slot],
    generation,
    maxRows: batchSize,
    maxWaiting: batchSize,
    chunk: CHUNK,
    sharedChunk: CHUNK,
    cacheBytes,
  });
  return {
    generator: batch.generator(),
    concurrency: batchSize,
    [Symbol.asyncDispose]: () => batch[Symbol.asyncDispose](),
  };
}
