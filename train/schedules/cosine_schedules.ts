/**
 * Schedules that fall along a cosine.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/optimization.py
 *
 * @module
 */

import { POSITIVE, POSITIVE_OR_ZERO, SHARE } from "../../internal/number_range.ts";
import {
  type MakeSchedule,
  numberOf,
  type ScheduleDescription,
  type ScheduleSettings,
  warmedUp,
} from "../schedule.ts";

/** Waves of a cosine: half a one falls from 1 to 0. */
const HALF_A_WAVE = 0.5;

function cosine(progress: number, settings: ScheduleSettings): number {
  const waves = numberOf(settings, "num_cycles", HALF_A_WAVE);
  return 0.5 * (1 + Math.cos(Math.PI * waves * 2 * progress));
}

/**
 * Falls along half a cosine to 0, or along as many waves as `num_cycles` says.
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
  (progress, { settings }) => cosine(progress, settings),
);

/** `cosine` */
export const cosineDescription: ScheduleDescription = {
  make: cosineSchedule,
  settings: { num_cycles: POSITIVE },
};

/** `cosine_with_restarts`: falls to 0 and begins anew at the peak, `num_cycles` times. */
export const cosineWithRestarts: ScheduleDescription = {
  make: warmedUp((progress, { settings }) =>
    progress >= 1
      ? 0
      : 0.5 * (1 + Math.cos(Math.PI * (numberOf(settings, "num_cycles", 1) * progress % 1)))
  ),
  settings: { num_cycles: POSITIVE },
};

/** `cosine_with_min_lr`: falls to a rate above 0, `min_lr`, or `min_lr_rate` of the peak. */
export const cosineWithMinLr: ScheduleDescription = {
  make: warmedUp((progress, { peak, settings }) => {
    const { min_lr: lowest } = settings;
    const share = lowest === undefined
      ? numberOf(settings, "min_lr_rate", 0)
      : Number(lowest) / peak;
    return cosine(progress, settings) * (1 - share) + share;
  }),
  settings: { num_cycles: POSITIVE, min_lr: POSITIVE_OR_ZERO, min_lr_rate: SHARE },
  fault: ({ peak, settings: { min_lr: lowest, min_lr_rate: share } = {} }) => {
    if ((lowest === undefined) === (share === undefined)) {
      return "it takes one of min_lr and min_lr_rate: the rate that it ends at, or that as a share of the peak";
    }
    if (lowest !== undefined && Number(lowest) > peak) {
      return `min_lr ${lowest} is above the peak ${peak}`;
    }
  },
};
