/**
 * Which rows of a dataset are trained on and which are held back.
 *
 * In: how many rows, a ratio and a seed. Out: row numbers for training and for validation, those
 * that Python's `random.seed(seed); random.shuffle(rows); rows[:int(len(rows) * ratio)]` gives.
 *
 * @module
 */

import { PythonRandom } from "../../ort/tensor/python_random.ts";
import { plural } from "../../internal/plural.ts";

/** Options of {@linkcode splitDataset}. */
export interface SplitDatasetOptions {
  /** Part of the rows to train on, between 0 and 1. @default 0.9 */
  readonly trainRatio?: number;
  /** Seed of the shuffle. @default 42 */
  readonly seed?: number;
}

/** Row numbers, from 0, in their shuffled order. */
export interface DatasetSplit {
  /** Indices of the rows to train on, in order. */
  readonly train: readonly number[];
  /** Indices of the rows to evaluate on, in order. */
  readonly validation: readonly number[];
}

/**
 * Shuffles and splits as Qwen3-Medical-SFT's data.py does.
 *
 * @throws {RangeError} if either part would be empty.
 *
 * @example
 * ```ts
 * import { splitDataset } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const { train, validation } = splitDataset(2407);
 * assert.deepEqual(train.slice(0, 4), [765, 135, 1968, 1564]);
 * assert.deepEqual(validation.slice(0, 4), [1086, 1599, 8, 1552]);
 * ```
 */
export function splitDataset(rows: number, options: SplitDatasetOptions = {}): DatasetSplit {
  const { trainRatio = 0.9, seed = 42 } = options;
  const what = `${rows} ${plural(rows, "row")}`;
  if (!(trainRatio > 0 && trainRatio < 1)) {
    throw new RangeError(
      `Cannot split ${what}: the ratio ${trainRatio} is not between 0 and 1. Choose one such as 0.9`,
    );
  }
  const order = Array.from({ length: rows }, (_, index) => index);
  new PythonRandom(seed).shuffle(order);
  const count = Math.trunc(rows * trainRatio);
  // By a ratio below 1 some are left for validation wherever some are for training.
  if (count === 0) {
    throw new RangeError(
      `Cannot split ${what} by ${trainRatio}: 0 would be for training and ${rows} for validation. ` +
        "Add rows or choose another ratio",
    );
  }
  return { train: order.slice(0, count), validation: order.slice(count) };
}
