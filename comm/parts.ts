/**
 * Parts of arrays, one a rank.
 *
 * In: counts of elements. Out: offsets, or an error that says what does not fit.
 */

import { isCount } from "../internal/json/is_count.ts";

/** Consecutive elements of an array. */
export interface Part {
  /** Index of the first element. */
  readonly start: number;
  /** Number of elements. */
  readonly count: number;
}

/**
 * Each rank's part of an array, one after another.
 *
 * @throws {RangeError} where the counts are not one a rank, or do not fill the array
 */
export function rankParts(
  what: string,
  counts: readonly number[],
  { size, length }: { readonly size: number; readonly length: number },
): Part[] {
  if (counts.length !== size) {
    throw new RangeError(`Cannot ${what}: ${counts.length} counts for ${size} ranks`);
  }
  let start = 0;
  const parts = counts.map((count, rank) => {
    if (!isCount(count)) {
      throw new RangeError(
        `Cannot ${what}: the count of rank ${rank} is ${count}, not a whole number from 0 up`,
      );
    }
    const part = { start, count };
    start += count;
    return part;
  });
  if (start === length) return parts;
  throw new RangeError(`Cannot ${what}: the counts add up to ${start}, the array has ${length}`);
}
