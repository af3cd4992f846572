/**
 * Lengths and rhythms of a run as TrainingArguments has them: in updates, or below 1 as a share of all
 * of its updates.
 *
 * @module
 */

/**
 * When something is done in a run: every so many updates and after the last one, at the end of each
 * epoch and of the run, or never.
 */
export type IntervalStrategy = "steps" | "epoch" | "no";

/** All names. */
export const INTERVAL_STRATEGIES: readonly IntervalStrategy[] = ["steps", "epoch", "no"];

/**
 * A number of updates; a share is rounded up, as transformers' Trainer does.
 *
 * @example
 * ```ts
 * import { updatesOf } from "./interval.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual([updatesOf(0.1, 14), updatesOf(5, 14), updatesOf(0, 14)], [2, 5, 0]);
 * ```
 *
 * @param length a whole number of updates, or a share of `totalSteps` below 1
 */
export function updatesOf(length: number, totalSteps: number): number {
  return length < 1 ? Math.ceil(totalSteps * length) : length;
}
