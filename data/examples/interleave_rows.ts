/**
 * Rows of several sources in given proportions.
 *
 * In: how many rows each source has, and the probability of each. Out: which row of which source comes
 * next: those that `datasets.interleave_datasets(…, probabilities=…, seed=…)` of Hugging Face takes.
 */

import { NumpyRandom } from "../../ort/tensor/numpy_random.ts";

/**
 * When a mix ends: `first_exhausted` with the first source that has no more rows; `all_exhausted`
 * once each row of each source came, those of smaller sources again and again.
 */
export type MixStrategy = "first_exhausted" | "all_exhausted";

/** Options of {@linkcode interleaveRows}. */
export interface InterleaveRowsOptions {
  /** How likely each source is, which add up to 1. */
  readonly probabilities: readonly number[];
  /** Seed of the choices. @default 42 */
  readonly seed?: number;
  /** When it ends. @default "first_exhausted" */
  readonly strategy?: MixStrategy;
}

/** How far probabilities may be from adding up to 1. */
const TOLERANCE = 1e-6;

/**
 * Interleaves rows; the same for the same numbers of rows, probabilities and seed.
 *
 * @param lengths rows of each source
 * @throws {RangeError} if a source has no rows, or there is not one probability above 0 for each
 *
 * @example
 * ```ts
 * import { interleaveRows } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const rows = interleaveRows([5, 3], { probabilities: [0.7, 0.3], seed: 42 });
 * assert.deepEqual([...rows].map(({ source, row }) => `${source}:${row}`), [
 *   "1:0", "0:0", "1:1", "0:1", "0:2", "1:2",
 * ]);
 * ```
 */
export function* interleaveRows(
  lengths: readonly number[],
  { probabilities, seed = 42, strategy = "first_exhausted" }: InterleaveRowsOptions,
): Generator<{ readonly source: number; readonly row: number }, void, undefined> {
  const sum = probabilities.reduce((a, b) => a + b, 0);
  if (
    probabilities.length !== lengths.length || !probabilities.every((each) => each > 0) ||
    Math.abs(sum - 1) > TOLERANCE || !lengths.every((each) => each > 0)
  ) {
    throw new RangeError(
      `Cannot mix ${lengths.length} sources of ${lengths.join(", ")} rows by ${
        probabilities.join(", ")
      }: give one share above 0 for each source with rows, which add up to 1`,
    );
  }
  // As numpy.random.Generator.choice: the place of a float among sums of shares.
  const sums: number[] = [];
  for (const each of probabilities) sums.push((sums.at(-1) ?? 0) + each);
  const whole = sums[sums.length - 1];
  const bounds = sums.map((each) => each / whole);
  const random = new NumpyRandom(seed);
  const next = lengths.map(() => 0);
  const ended = new Set<number>();
  const last = strategy === "all_exhausted" ? lengths.length : 1;
  while (ended.size < last) {
    const draw = random.random();
    const source = bounds.findIndex((bound) => draw < bound);
    yield { source, row: next[source]++ };
    if (next[source] < lengths[source]) continue;
    ended.add(source);
    next[source] = 0;
  }
}
