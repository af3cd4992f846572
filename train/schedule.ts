/**
 * What a learning-rate schedule is.
 *
 * In: peak, steps, warmup. Out: a function from the number of updates already made to the rate of
 * the next one. The schedules themselves are in `schedules/schedules.ts`.
 *
 * @module
 */

import type { NumberRange } from "../internal/number_range.ts";

/** The learning rate of the update after `step` updates. */
export type Schedule = (step: number) => number;

/** A schedule's own settings by their names, as transformers' `lr_scheduler_kwargs`. */
export type ScheduleSettings = Readonly<Record<string, number | string>>;

/** What shapes a schedule. */
export interface ScheduleOptions {
  /** The highest learning rate. */
  readonly peak: number;
  /** Updates of the whole run. */
  readonly totalSteps: number;
  /** Updates over which the rate rises from 0. @default 0 */
  readonly warmupSteps?: number;
  /** Settings that the schedule has of its own. @default those of its description */
  readonly settings?: ScheduleSettings;
}

/** A schedule for a run's peak and length; whether its settings are right was looked at before. */
export type MakeSchedule = (options: ScheduleOptions) => Schedule;

/** A row of the table of schedules. */
export interface ScheduleDescription {
  /** Makes it. */
  readonly make: MakeSchedule;
  /** What each of its own settings may be: a range, or a list of words. @default it has none */
  readonly settings?: Readonly<Record<string, NumberRange | readonly string[]>>;
  /** What is wrong with its settings together, as a sentence; nothing where they go. @default nothing is */
  readonly fault?: (options: Pick<ScheduleOptions, "peak" | "settings">) => string | undefined;
}

/** Where a schedule stands after its warmup. */
export interface DecayPlace extends Required<ScheduleOptions> {
  /** Updates made. */
  readonly step: number;
}

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
 * @param decay the part of the peak, by how much of the run after the warmup is done, from 0 up, and all else
 *   that shapes the schedule
 */
export function warmedUp(decay: (progress: number, place: DecayPlace) => number): MakeSchedule {
  return ({ peak, totalSteps, warmupSteps = 0, settings = {} }) => (step) => {
    if (step < warmupSteps) return peak * step / warmupSteps;
    const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
    return peak * Math.max(0, decay(progress, { peak, totalSteps, warmupSteps, settings, step }));
  };
}

/** A setting that is a number. */
export function numberOf(settings: ScheduleSettings, name: string, otherwise: number): number {
  return Number(settings[name] ?? otherwise);
}

/** Whether a schedule heeds a warmup: what it is before the first update shows. */
export function hasWarmup(make: MakeSchedule): boolean {
  const before = (warmupSteps: number): number => make({ peak: 1, totalSteps: 2, warmupSteps })(0);
  return before(1) !== before(0);
}
