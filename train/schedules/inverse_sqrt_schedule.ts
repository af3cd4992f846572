/**
 * Falls as one over the root of the number of updates: `inverse_sqrt`.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/optimization.py
 *
 * @module
 */

import { COUNT } from "../../internal/number_range.ts";
import { numberOf, type ScheduleDescription, warmedUp } from "../schedule.ts";

/** Updates until the rate is 1/√2 of the peak, where there is no warmup to go by. */
const TIMESCALE = 10_000;

/** From the peak on; `timescale` is by default the warmup's length. */
export const inverseSqrt: ScheduleDescription = {
  make: warmedUp((_, { step, warmupSteps, settings }) => {
    const timescale = numberOf(settings, "timescale", warmupSteps || TIMESCALE);
    return 1 / Math.sqrt((step + timescale - warmupSteps) / timescale);
  }),
  settings: { timescale: COUNT },
};
