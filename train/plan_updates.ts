/**
 * How many updates a run makes.
 *
 * In: example lengths [n] and batch options. Out: a number of updates.
 */

import { type BatchPlanOptions, countBatches } from "../data/batches.ts";

/** What decides the number of updates. */
export interface UpdatePlanOptions extends Omit<BatchPlanOptions, "epoch" | "shuffle"> {
  /** Batches an update. */
  readonly accumulationSteps: number;
  /** May be fractional. */
  readonly epochs: number;
  /** Wins over epochs where above 0. */
  readonly maxSteps: number;
}

/**
 * The updates of a whole run; the last window of an epoch may be short, and counts.
 *
 * @example
 * ```ts
 * import { countUpdates } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const options = { batchSize: 2, accumulationSteps: 2, epochs: 3, maxSteps: 0, seed: 42 };
 * // 10 examples are 5 batches, and those are 2 whole windows and a short one.
 * assert.equal(countUpdates(new Int32Array(10).fill(100), options), 9);
 * ```
 */
export function countUpdates(lengths: ArrayLike<number>, options: UpdatePlanOptions): number {
  const { accumulationSteps, epochs, maxSteps } = options;
  if (maxSteps > 0) return maxSteps;
  let total = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    const updates = Math.ceil(countBatches(lengths, { ...options, epoch }) / accumulationSteps);
    total += Math.ceil(updates * Math.min(1, epochs - epoch));
    // Without packing every epoch has as many batches as the first.
    if (!options.packing && epochs >= 1 && epoch === 0) {
      const rest = Math.floor(epochs) - 1;
      total += rest * updates;
      epoch += rest;
    }
  }
  return total;
}
