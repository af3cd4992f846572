/**
 * All learning-rate schedules by their names for `--lr-scheduler-type`, as Hugging Face's get_scheduler
 * has them. A new one is a file of its own in this folder and a row here.
 *
 * @module
 */

import { describeValue } from "../../internal/json/describe_value.ts";
import { type MakeSchedule, type ScheduleDescription, warmedUp } from "../schedule.ts";
import { cosineDescription, cosineWithMinLr, cosineWithRestarts } from "./cosine_schedules.ts";
import { inverseSqrt } from "./inverse_sqrt_schedule.ts";
import { polynomial } from "./polynomial_schedule.ts";
import { warmupStableDecay } from "./warmup_stable_decay_schedule.ts";

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
export const schedules: Readonly<Record<string, ScheduleDescription>> = {
  linear: { make: linearSchedule },
  cosine: cosineDescription,
  cosine_with_restarts: cosineWithRestarts,
  cosine_with_min_lr: cosineWithMinLr,
  polynomial,
  constant: { make: (options) => constantSchedule({ ...options, warmupSteps: 0 }) },
  constant_with_warmup: { make: constantSchedule },
  inverse_sqrt: inverseSqrt,
  warmup_stable_decay: warmupStableDecay,
};

/**
 * What is wrong with a schedule's own settings, as a sentence; nothing where they are right.
 *
 * @param settings by their names, from a foreign file or a flag
 */
export function scheduleFault(
  name: string,
  { peak, settings }: {
    readonly peak: number;
    readonly settings: Readonly<Record<string, unknown>>;
  },
): string | undefined {
  const { settings: known = {}, fault } = schedules[name];
  for (const [key, value] of Object.entries(settings)) {
    const rule = Object.hasOwn(known, key) ? known[key] : undefined;
    if (rule === undefined) {
      const names = Object.keys(known);
      return `it has no ${key}; ${
        names.length > 0
          ? `its own settings are ${names.join(", ")}`
          : "it has no settings of its own"
      }`;
    }
    if ("holds" in rule) {
      if (typeof value === "number" && Number.isFinite(value) && rule.holds(value)) continue;
      return `${key} must be ${rule.what}, got ${describeValue(value)}`;
    }
    if (!rule.includes(value as string)) {
      return `${key} must be ${rule.join(" or ")}, got ${describeValue(value)}`;
    }
  }
  return fault?.({ peak, settings: settings as Readonly<Record<string, number | string>> });
}
