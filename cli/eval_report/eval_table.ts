/**
 * An evaluation as a table for the terminal.
 *
 * In: the values of all measures. Out: lines: for each model value and interval, and for each but the first
 * the difference to the first with wins, losses and ties.
 */

import type { Comparison, Interval } from "../../infer/evaluate/bootstrap.ts";
import { formatTable } from "../terminal/format_table.ts";
import { evalText as text } from "./eval_words.ts";
import type { EvalResult } from "./eval_result.ts";

/** Digits of a value: of large ones fewer. */
export function formatScore(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 3);
}

/** A difference with its sign. */
export function formatDifference(value: number): string {
  return value > 0 ? `+${formatScore(value)}` : formatScore(value);
}

/** An interval in brackets. */
export function formatInterval({ low, high }: Interval): string {
  return `[${formatScore(low)}, ${formatScore(high)}]`;
}

/** The table, with the names of the models above its columns. */
export function formatEval({ models, summaries, rows, resamples }: EvalResult): string[] {
  const [base, ...others] = models.map(({ name }) => name);
  const header = [
    text(({ measure }) => measure).en,
    base,
    ...others.flatMap((name) => [name, "", ""]),
  ];
  const body = summaries.map(({ name, models, comparisons }) => [
    name,
    showValue(models[0]),
    ...comparisons.flatMap((comparison, i) => [
      showValue(models[i + 1]),
      comparison ? `${formatDifference(comparison.value)} ${formatInterval(comparison)}` : "",
      showOutcome(comparison),
    ]),
  ]);
  return [
    ...formatTable([header, ...body]),
    `${rows.length} rows; in brackets 95 % intervals by ${resamples} bootstrap draws` +
    (others.length > 0
      ? `; beside each the difference to ${base}, and rows better/worse/same`
      : ""),
  ];
}

function showValue(value: Interval | undefined): string {
  return value ? `${formatScore(value.value)} ${formatInterval(value)}` : "-";
}

function showOutcome(comparison: Comparison | undefined): string {
  return comparison ? `${comparison.wins}/${comparison.losses}/${comparison.ties}` : "";
}
