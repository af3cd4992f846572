/**
 * How sure measured values are: confidence intervals by the bootstrap.
 *
 * In: scores of rows. Out: for each measure its value and the 2.5 % and 97.5 % quantiles of its values over rows
 * drawn again, with replacement, from a seed. Two models are compared over the same draws, row by row. Efron and
 * Tibshirani 1993; for text scores Koehn 2004, https://aclanthology.org/W04-3250.
 */

import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";
import { combineScores, type Metric, type RowScore } from "./metric.ts";

/** Scores of one measure, a row each; `undefined` where it says nothing of the row. */
export type RowScores = readonly (RowScore | undefined)[];

/** A value with the ends of its 95 % interval. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** How one model does beside another, over the rows that both have a score of. */
export interface Comparison extends Interval {
  readonly rows: number;
  /** Rows where it is better, worse and the same; of a measure that has no better no row is either. */
  readonly wins: number;
  readonly losses: number;
  readonly ties: number;
}

/** How rows are drawn. */
export interface BootstrapOptions {
  /** @default 42 */
  readonly seed?: number;
  /** @default 1000 */
  readonly resamples?: number;
}

/** The value of a measure over all rows that have a score, with its interval; `undefined` where none has. */
export function bootstrap(
  metric: Omit<Metric, "score">,
  scores: RowScores,
  options: BootstrapOptions = {},
): (Interval & { readonly rows: number }) | undefined {
  const sums = scores.flatMap((score) => score ? [score.sums] : []);
  if (sums.length === 0) return undefined;
  const valueOf = (rows: Iterable<number>): number => combineScores(metric, sumOf(sums, rows));
  return { ...interval(sums.length, valueOf, options), rows: sums.length };
}

/** The difference of a measure, `other` less `base`, over rows that both have a score of. */
export function compareScores(
  metric: Omit<Metric, "score">,
  { base, other }: { readonly base: RowScores; readonly other: RowScores },
  options: BootstrapOptions = {},
): Comparison | undefined {
  const pairs = base.flatMap((score, i) => score && other[i] ? [[score, other[i]] as const] : []);
  if (pairs.length === 0) return undefined;
  const [left, right] = [0, 1].map((side) => pairs.map((pair) => pair[side].sums));
  const valueOf = (rows: readonly number[]): number =>
    combineScores(metric, sumOf(right, rows)) - combineScores(metric, sumOf(left, rows));
  const sign = metric.better === "higher" ? 1 : metric.better === "lower" ? -1 : 0;
  const gains = pairs.map(([before, after]) => sign * (after.value - before.value));
  const wins = gains.filter((gain) => gain > 0).length;
  const losses = gains.filter((gain) => gain < 0).length;
  return {
    ...interval(pairs.length, valueOf, options),
    rows: pairs.length,
    wins,
    losses,
    ties: pairs.length - wins - losses,
  };
}

function interval(
  rows: number,
  valueOf: (rows: readonly number[]) => number,
  { seed = 42, resamples = 1000 }: BootstrapOptions,
): Interval {
  const random = MersenneTwister.fromSeed(seed);
  const drawn = Array.from({ length: rows }, (_, i) => i);
  const value = valueOf(drawn);
  const values = new Float64Array(resamples);
  for (let i = 0; i < resamples; i++) {
    for (let at = 0; at < rows; at++) drawn[at] = Math.floor(random.nextFloat53() * rows);
    values[i] = valueOf(drawn);
  }
  // By value, whatever their sign.
  values.sort();
  return { value, low: quantile(values, 0.025), high: quantile(values, 0.975) };
}

/** Of sorted values, between neighbours as NumPy's. */
function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

function sumOf(sums: readonly (readonly number[])[], rows: Iterable<number>): readonly number[] {
  const whole = new Float64Array(sums[0].length);
  for (const row of rows) {
    const each = sums[row];
    for (let i = 0; i < whole.length; i++) whole[i] += each[i];
  }
  return [...whole];
}
