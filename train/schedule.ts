/**
 * Learning-rate schedules.
 *
 * In: peak, steps, warmup. Out: a function from the number of updates already made to the rate of
 * the next one, as Hugging Face's get_scheduler has them.
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

type Decay = (progress: number) => number;

function schedule(decay: Decay): (options: ScheduleOptions) => Schedule {
  return ({ peak, totalSteps, warmupSteps = 0 }) => (step) => {
    if (step < warmupSteps) return peak * step / Math.max(1, warmupSteps);
    const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
    return peak * Math.max(0, decay(progress));
  };
}

/**
 * Falls in a straight line to 0.
 *
 * @example
 * ```ts
 * import { linearSchedule } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const rate = linearSchedule({ peak: 1e-4, totalSteps: 4 });
 * assert.equal(rate(0), 1e-4);
 * assert.equal(rate(2), 5e-5);
 * ```
 */
export const linearSchedule: (options: ScheduleOptions) => Schedule = schedule(
  (progress) => 1 - progress,
);

/**
 * Falls along half a cosine to 0.
 *
 * @example
 * ```ts
 * import { cosineSchedule } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const rate = cosineSchedule({ peak: 1e-4, totalSteps: 12, warmupSteps: 2 });
 * assert.deepEqual([rate(0), rate(1), rate(2), rate(12)], [0, 5e-5, 1e-4, 0]);
 * ```
 */
export const cosineSchedule: (options: ScheduleOptions) => Schedule = schedule(
  (progress) => 0.5 * (1 + Math.cos(Math.PI * progress)),
);

/**
 * Stays at its peak.
 *
 * @example
 * ```ts
 * import { constantSchedule } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const rate = constantSchedule({ peak: 1e-4, totalSteps: 12, warmupSteps: 2 });
 * assert.deepEqual([rate(1), rate(2), rate(11)], [5e-5, 1e-4, 1e-4]);
 * ```
 */
export const constantSchedule: (options: ScheduleOptions) => Schedule = schedule(() => 1);

/** Schedules by the names of TrainingArguments' lr_scheduler_type. */
export const schedules: Readonly<Record<string, (options: ScheduleOptions) => Schedule>> = {
  linear: linearSchedule,
  cosine: cosineSchedule,
  constant: (options) => constantSchedule({ ...options, warmupSteps: 0 }),
  constant_with_warmup: constantSchedule,
};
