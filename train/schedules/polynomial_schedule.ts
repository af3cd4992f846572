/**
 * Falls as a power of what is left of the run: `polynomial`.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/optimization.py
 *
 * @module
 */

import { POSITIVE, POSITIVE_OR_ZERO } from "../../internal/number_range.ts";
import { numberOf, type ScheduleDescription, type ScheduleOptions, warmedUp } from "../schedule.ts";

function endOf(settings: ScheduleOptions["settings"] = {}): number {
  return numberOf(settings, "lr_end", 1e-7);
}

/** From the peak to `lr_end`, in a straight line unless `power` says otherwise. */
export const polynomial: ScheduleDescription = {
  make: warmedUp((progress, { peak, settings }) => {
    const end = endOf(settings);
    const left = Math.max(0, 1 - progress);
    return ((peak - end) * left ** numberOf(settings, "power", 1) + end) / peak;
  }),
  settings: { lr_end: POSITIVE_OR_ZERO, power: POSITIVE },
  fault: ({ peak, settings }) =>
    endOf(settings) < peak ? undefined : `lr_end ${endOf(settings)} must be below the peak ${peak}`,
};
