/**
 * Rises, stays at the peak, and falls in the last updates: `warmup_stable_decay`. Hu et al. 2024,
 * https://arxiv.org/abs/2404.06395.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/optimization.py
 *
 * @module
 */

import { COUNT, COUNT_OR_ZERO, POSITIVE, SHARE } from "../../internal/number_range.ts";
import { type MakeSchedule, numberOf, type ScheduleDescription } from "../schedule.ts";

/** How it rises, from 0 at 0 to 1 at 1. */
const RISES = {
  linear: (progress: number) => progress,
  cosine: (progress: number) => 0.5 * (1 - Math.cos(Math.PI * progress)),
  "1-sqrt": (progress: number) => 1 - Math.sqrt(1 - progress),
};

/** How it falls, from 1 at 0; along a cosine as many waves as are asked for. */
const FALLS = {
  linear: (progress: number) => 1 - progress,
  cosine: (progress: number, waves: number) => 0.5 * (1 + Math.cos(Math.PI * waves * 2 * progress)),
  "1-sqrt": (progress: number) => 1 - Math.sqrt(progress),
};

type Shape = keyof typeof RISES & keyof typeof FALLS;

const make: MakeSchedule = ({ peak, totalSteps, warmupSteps = 0, settings = {} }) => {
  const decaySteps = numberOf(settings, "num_decay_steps", 0);
  const rest = totalSteps - warmupSteps - decaySteps;
  const decayStart = warmupSteps + numberOf(settings, "num_stable_steps", rest);
  const lowest = numberOf(settings, "min_lr_ratio", 0);
  const waves = numberOf(settings, "num_cycles", 0.5);
  const rise = RISES[(settings.warmup_type ?? "linear") as Shape];
  const fall = FALLS[(settings.decay_type ?? "cosine") as Shape];
  const above = (part: number): number => peak * Math.max(0, part * (1 - lowest) + lowest);
  return (step) => {
    if (step < warmupSteps) return above(rise(step / warmupSteps));
    if (step < decayStart) return peak;
    if (step >= decayStart + decaySteps) return peak * lowest;
    return above(fall((step - decayStart) / decaySteps, waves));
  };
};

/** The last `num_decay_steps` updates fall to `min_lr_ratio` of the peak. */
export const warmupStableDecay: ScheduleDescription = {
  make,
  settings: {
    num_decay_steps: COUNT,
    num_stable_steps: COUNT_OR_ZERO,
    warmup_type: Object.keys(RISES),
    decay_type: Object.keys(FALLS),
    min_lr_ratio: SHARE,
    num_cycles: POSITIVE,
  },
  fault: ({ settings: { num_decay_steps: steps } = {} }) =>
    steps === undefined
      ? "it takes num_decay_steps: in how many updates it falls at the end"
      : undefined,
};
