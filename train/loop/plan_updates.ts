/**
 * How many updates a run makes.
 *
 * In: example lengths [n] and batch options. Out: a number of updates.
 */

import type { BatchPlanOptions } from "../../data/batches/epoch_plan.ts";
import { planEpoch } from "../../data/batches/epoch_plan.ts";

/** What decides the number of updates. */
export interface UpdatePlanOptions extends Omit<BatchPlanOptions, "epoch" | "shuffle"> {
  /** Batches an update; of no effect with `tokensPerStep`. */
  readonly accumulationSteps: number;
  /** May be fractional. */
  readonly epochs: number;
  /** Wins over epochs where above 0. */
  readonly maxSteps: number;
  /**
   * Whether a short last window counts when updates are counted. `floor` is transformers up to
   * 4.51: windows are the same, but the run stops that many updates earlier, within an epoch. With
   * `tokensPerStep` it counts in any case.
   * @default "ceil"
   */
  readonly stepRule?: StepRule;
}

/** How the updates of an epoch are counted. */
export type StepRule = "ceil" | "floor";

/**
 * The updates of a whole run; the last window of an epoch may be short, and counts by the rule.
 *
 * @example
 * ```ts
 * import { countUpdates } from "@ortune/ortune/train";
 * import assert from "node:assert/strict";
 *
 * const options = { batchSize: 2, accumulationSteps: 2, epochs: 3, maxSteps: 0, seed: 42 };
 * // 10 examples are 5 batches, and those are 2 whole windows and a short one.
 * assert.equal(countUpdates(new Int32Array(10).fill(100), options), 9);
 * ```
 */
export function countUpdates(lengths: ArrayLike<number>, options: UpdatePlanOptions): number {
  const { accumulationSteps, epochs, maxSteps, packing, stepRule = "ceil" } = options;
  if (maxSteps > 0) return maxSteps;
  const updatesOf = (epoch: number): number => {
    const plan = planEpoch(lengths, { ...options, epoch });
    const whole = options.tokensPerStep === undefined && stepRule === "floor";
    return Math.max(
      1,
      whole
        ? Math.floor(plan.count / accumulationSteps)
        : plan.updateEnds(accumulationSteps).length,
    );
  };
  // Without packing every epoch has as many; Hugging Face rounds this very product.
  if (!packing) return Math.ceil(epochs * updatesOf(0));
  let total = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    // A difference such as 2.1 − 2 comes out a hair too large.
    total += Math.ceil(updatesOf(epoch) * Math.min(1, epochs - epoch) - 1e-9);
  }
  return Math.max(1, total);
}
