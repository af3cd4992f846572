/**
 * Scores of a model's replies.
 *
 * In: rows that were answered. Out: for each measure a score a row, and the values of all rows together with
 * their intervals; of several models each beside the first.
 */

import {
  bootstrap,
  type BootstrapOptions,
  compareScores,
  type Comparison,
  type Interval,
  type RowScores,
} from "./bootstrap.ts";
import type { AnsweredRow, Metric } from "./metric.ts";
import { metrics } from "./metrics.ts";

/** A model's scores by the names of measures. */
export type ModelScores = Readonly<Record<string, RowScores>>;

/** Measures by their names. */
export type MetricTable = Readonly<Record<string, Metric>>;

/** The values of one measure. */
export interface MetricSummary {
  readonly name: string;
  readonly metric: Omit<Metric, "score">;
  /** A value a model, in their order; `undefined` where it says nothing of any row. */
  readonly models: readonly ((Interval & { readonly rows: number }) | undefined)[];
  /** Each model but the first beside the first. */
  readonly comparisons: readonly (Comparison | undefined)[];
}

/** Scores rows by all measures of the table. */
export function scoreRows(
  rows: readonly AnsweredRow[],
  table: MetricTable = metrics,
): ModelScores {
  return Object.fromEntries(
    Object.entries(table).map(([name, metric]) => [name, rows.map((row) => metric.score(row))]),
  );
}

/** The values of all measures that say something of any row. */
export function summarize(
  models: readonly ModelScores[],
  table: Readonly<Record<string, Omit<Metric, "score">>>,
  options: BootstrapOptions = {},
): MetricSummary[] {
  return Object.entries(table).flatMap(([name, metric]) => {
    const scores = models.map((model) => model[name] ?? []);
    if (!scores.some((rows) => rows.some((score) => score !== undefined))) return [];
    const [base, ...others] = scores;
    return [{
      name,
      metric,
      models: scores.map((rows) => bootstrap(metric, rows, options)),
      comparisons: others.map((other) => compareScores(metric, { base, other }, options)),
    }];
  });
}
