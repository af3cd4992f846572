/**
 * Which examples make each batch of an epoch, without a list of all batches.
 *
 * In: lengths [n] and what decides a batch. Out: how many batches there are, and from any of them
 * on the indices of each, [examples of the batch]. Memory is 4 bytes an example.
 */

import { torchRandperm } from "../tensor/torch_random.ts";
import type { BatchPlanOptions, EpochOrderOptions } from "./batches.ts";
import { nextFit } from "./next_fit.ts";

/** The batches of an epoch by the indices of their examples. */
export interface EpochPlan {
  /** How many batches there are. */
  readonly count: number;
  /** The indices of each batch, after the first `skip` of them. */
  batches(skip?: number): Iterable<Int32Array>;
}

/**
 * The order of an epoch: `torch.randperm(n)` seeded with seed + epoch, `[n]`.
 *
 * @example
 * ```ts
 * import { epochOrder } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const order = epochOrder(37, { seed: 42, epoch: 0 });
 * assert.deepEqual([...order.subarray(0, 6)], [12, 24, 13, 15, 28, 0]);
 * ```
 */
export function epochOrder(n: number, options: EpochOrderOptions): Int32Array {
  const { seed, epoch } = options;
  return torchRandperm(n, seed + epoch);
}

/**
 * Plans an epoch.
 *
 * @throws {RangeError} if `batchSize` is no count, or packing meets an example longer than a row.
 */
export function planEpoch(lengths: ArrayLike<number>, options: BatchPlanOptions): EpochPlan {
  const { batchSize, packing, seed, epoch, shuffle = true } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new RangeError(`Cannot make batches: batchSize is ${batchSize}, not a positive integer`);
  }
  const n = lengths.length;
  const order = shuffle ? epochOrder(n, { seed, epoch }) : Int32Array.from(range(n));
  // Where in the order each row starts; without packing, one after another.
  const starts = packing && nextFit(lengths, packing.maxLength, order);
  const start = starts ? (row: number) => starts[row] ?? n : (row: number) => row;
  const count = Math.ceil((starts ?? order).length / batchSize);
  return {
    count,
    *batches(skip = 0): Generator<Int32Array, void, void> {
      for (let batch = skip; batch < count; batch++) {
        yield order.subarray(start(batch * batchSize), start((batch + 1) * batchSize));
      }
    },
  };
}

function* range(n: number): Generator<number, void, void> {
  for (let index = 0; index < n; index++) yield index;
}
