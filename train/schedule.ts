/**
 * What a learning-rate schedule is.
 *
 * In: peak, steps, warmup. Out: a function from the number of updates already made to the rate of
 * the next one. The schedules themselves are in `schedules/schedules.ts`.
 *
 * @module
 */

/** The learning rate of the update after `step` updates. */
export type Schedule = (step: number) => number;

/** What shapes a schedule. */
export interface ScheduleOptions {
  /** The highest learning rate. */
  readonly peak: number;
  /** Updates of the whole run. */
  readonly totalSteps: number;
  /** Updates over which the rate rises from 0. @default 0 */
  readonly warmupSteps?: number;
}

/** A schedule for a run's peak and length. */
export type MakeSchedule = (options: ScheduleOptions) => Schedule;

/**
 * A schedule that rises in a straight line from 0 to its peak, and then falls as the decay says.
 *
 * @example
 * ```ts
 * import { warmedUp } from "@ortune/ortune/train";
 * import assert from "node:assert/strict";
 *
 * const square = warmedUp((progress) => (1 - progress) ** 2);
 * const rate = square({ peak: 1e-4, totalSteps: 12, warmupSteps: 2 });
 * assert.deepEqual([rate(0), rate(1), rate(2), rate(7)], [0, 5e-5, 1e-4, 2.5e-5]);
 * ```
 *
 * @param decay the part of the peak, by how much of the run after the warmup is done, from 0 up
 */
export function warmedUp(decay: (progress: number) => number): MakeSchedule {
  return ({ peak, totalSteps, warmupSteps = 0 }) => (step) => {
    if (step < warmupSteps) return peak * step / Math.max(1, warmupSteps);
    const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
    return peak * Math.max(0, decay(progress));
  };
}

/** Whether a schedule heeds a warmup: what it is before the first update shows. */
export function hasWarmup(make: MakeSchedule): boolean {
  const before = (warmupSteps: number): number => make({ peak: 1, totalSteps: 2, warmupSteps })(0);
  return before(1) !== before(0);
}
