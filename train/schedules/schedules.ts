/**
 * All learning-rate schedules by their names for `--lr-scheduler-type`, as Hugging Face's get_scheduler
 * has them. A new one is a file of its own in this folder and a row here.
 *
 * @module
 */

import { type MakeSchedule, warmedUp } from "../schedule.ts";

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
export const linearSchedule: MakeSchedule = warmedUp(
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
export const cosineSchedule: MakeSchedule = warmedUp(
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
export const constantSchedule: MakeSchedule = warmedUp(() => 1);

/** Schedules by the names of TrainingArguments' lr_scheduler_type. */
export const schedules: Readonly<Record<string, MakeSchedule>> = {
  linear: linearSchedule,
  cosine: cosineSchedule,
  constant: (options) => constantSchedule({ ...options, warmupSteps: 0 }),
  constant_with_warmup: constantSchedule,
};
