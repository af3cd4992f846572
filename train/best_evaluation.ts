/**
 * Which evaluation was the best, and how long ago.
 *
 * In: rows of log_history. Out: the step and value of the best metric: of losses and repetition the
 * lowest, of other figures the highest, as transformers' greater_is_better has it. Nothing else is
 * remembered, so a resumed run knows as much as one that was never cut.
 *
 * @module
 */

import { type MetricName, metricNames, metrics } from "../infer/evaluate/metrics.ts";
import type { LogRow } from "./log_row.ts";

/** A measure of replies that are generated at each evaluation. */
export type GeneratedMetric = `eval_${MetricName}`;

/** A metric that evaluations are compared by. */
export type BestMetric =
  | "eval_loss"
  | "eval_token_loss"
  | "eval_rewards/accuracies"
  | "eval_rewards/margins"
  | GeneratedMetric;

/** Figures of pairs of replies; higher is better. */
const PAIR_METRICS: readonly BestMetric[] = ["eval_rewards/accuracies", "eval_rewards/margins"];

/**
 * What each is called wherever a person reads it: "eval loss" is Hugging Face's, the mean over examples;
 * "per token" the mean over supervised tokens, which the training loss can be compared with.
 */
export const METRIC_NAMES: Readonly<Record<BestMetric, string>> = {
  eval_loss: "eval loss",
  eval_token_loss: "per token",
  "eval_rewards/accuracies": "eval accuracy",
  "eval_rewards/margins": "eval margin",
  ...generatedNames("en"),
};

/** What the measures of generated replies are called. */
export function generatedNames(language: "en" | "zh"): Readonly<Record<GeneratedMetric, string>> {
  return Object.fromEntries(
    metricNames.map((name) => [`eval_${name}`, metrics[name].title[language]]),
  ) as Record<GeneratedMetric, string>;
}

/** The measures of generated replies of which one value is better than another. */
export const GENERATED_METRICS: readonly GeneratedMetric[] = metricNames.filter((name) =>
  metrics[name].better !== undefined
).map((name) => `eval_${name}` as const);

/** All metrics that evaluations are compared by. */
export const BEST_METRICS: readonly BestMetric[] = [
  "eval_loss",
  "eval_token_loss",
  ...PAIR_METRICS,
  ...GENERATED_METRICS,
];

/** Whether higher is better, as of accuracy; of losses and repetition lower is. */
function isHigherBetter(metric: BestMetric): boolean {
  if (PAIR_METRICS.includes(metric)) return true;
  const name = metricNames.find((each) => metric === `eval_${each}`);
  return name !== undefined && metrics[name].better === "higher";
}

/** Options of {@linkcode findBest}. */
export interface FindBestOptions {
  /** What evaluations are compared by. @default "eval_loss" */
  readonly metric?: BestMetric;
  /**
   * By how much the metric must get better to count as such, for `stale` alone.
   * @default 0
   */
  readonly threshold?: number;
}

/** The best evaluation so far. */
export interface BestEvaluation {
  /** The update that was evaluated. */
  readonly step: number;
  /** Its metric. */
  readonly value: number;
  /** Evaluations in a row, up to the last one, that did not get better than the best before. */
  readonly stale: number;
}

/**
 * The best evaluation of a history; undefined where none has a finite metric.
 *
 * @example
 * ```ts
 * import { findBest } from "@ortune/ortune/train";
 * import assert from "node:assert/strict";
 *
 * const rows = [3, 1, 2, 4].map((loss, i) => (
 *   { epoch: i, step: 100 * (i + 1), eval_loss: loss, eval_token_loss: loss }
 * ));
 * assert.deepEqual(findBest(rows), { step: 200, value: 1, stale: 2 });
 * ```
 */
export function findBest(
  history: readonly LogRow[],
  { metric = "eval_loss", threshold = 0 }: FindBestOptions = {},
): BestEvaluation | undefined {
  const sign = isHigherBetter(metric) ? -1 : 1;
  let best: { step: number; value: number } | undefined;
  let stale = 0;
  for (const row of history) {
    if (!("eval_loss" in row)) continue;
    const value = row[metric];
    // Where higher is better, of the negated values.
    const before = best === undefined ? Infinity : sign * best.value;
    const fall = typeof value === "number" ? before - sign * value : NaN;
    // As transformers' EarlyStoppingCallback counts.
    stale = fall > threshold ? 0 : stale + 1;
    if (fall > 0) best = { step: row.step, value: value as number };
  }
  return best && { ...best, stale };
}
