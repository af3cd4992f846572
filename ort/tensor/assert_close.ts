/**
 * The one comparison of numbers that tests go through.
 *
 * In: two arrays of equal length and tolerances. Out: the largest errors, or an Error that tells
 * where it is worst.
 *
 * @module
 */

/** How near is near enough; without any tolerance the values must be equal. */
export interface AssertCloseOptions {
  /** Names the compared thing in the message. */
  label: string;
  /** Allowed whatever the values are. @default 0 */
  absolute?: number;
  /** Times |expected| of the element. @default 0 */
  relative?: number;
  /** Times the largest finite |expected| of all elements. @default 0 */
  relativeToMax?: number;
}

/** What {@linkcode assertClose} measured. */
export interface Closeness {
  /** The largest |actual − expected|. */
  maxAbsolute: number;
  /** The largest |actual − expected| / |expected|; infinite where 0 was expected and missed. */
  maxRelative: number;
  /** The element nearest to failing, −1 for empty arrays. */
  worstIndex: number;
}

/**
 * Checks |actual − expected| ≤ absolute + relative·|expected| + relativeToMax·max|expected| for
 * every element. A NaN on either side fails; equal infinities pass.
 *
 * @example
 * ```ts
 * import { assertClose } from "./assert_close.ts";
 * import assert from "node:assert/strict";
 *
 * const { maxAbsolute } = assertClose([1, 2.5], [1, 2], { absolute: 0.5, label: "logits" });
 * assert.equal(maxAbsolute, 0.5);
 * assert.throws(() => assertClose([1], [2], { label: "logits" }), /logits.*index 0/);
 * ```
 */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  options: AssertCloseOptions,
): Closeness {
  const { absolute = 0, relative = 0, relativeToMax = 0, label } = options;
  const bounds = { absolute, relative, relativeToMax };
  for (const [name, value] of Object.entries(bounds)) {
    if (!(value >= 0 && value < Infinity)) {
      throw new RangeError(
        `Cannot compare ${label}: ${name} ${value} is no tolerance. Give a finite number from 0 on`,
      );
    }
  }
  if (actual.length !== expected.length) {
    throw new Error(
      `Cannot accept ${label}: it has ${actual.length} elements, expected ${expected.length}`,
    );
  }
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const size = Math.abs(expected[i]);
    if (size > largest && size < Infinity) largest = size;
  }
  const closeness: Closeness = { maxAbsolute: 0, maxRelative: 0, worstIndex: -1 };
  let worst = -Infinity;
  let failures = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = distance(actual[i], expected[i]);
    const size = Math.abs(expected[i]);
    const bound = absolute + relativeToMax * largest + (size < Infinity ? relative * size : 0);
    if (!(error <= bound)) failures++;
    closeness.maxAbsolute = Math.max(closeness.maxAbsolute, error);
    closeness.maxRelative = Math.max(closeness.maxRelative, relativeError(error, size));
    if (error - bound > worst) {
      worst = error - bound;
      closeness.worstIndex = i;
    }
  }
  if (failures > 0) {
    const i = closeness.worstIndex;
    const error = distance(actual[i], expected[i]);
    throw new Error(
      `Cannot accept ${label}: ${failures} of ${expected.length} elements differ too much, worst at ` +
        `index ${i}: actual ${actual[i]}, expected ${expected[i]}, absolute error ${error}, ` +
        `relative error ${relativeError(error, Math.abs(expected[i]))} (allowed: absolute ` +
        `${absolute}, relative ${relative}, relativeToMax ${relativeToMax} of ${largest})`,
    );
  }
  return closeness;
}

/** Equal infinities would subtract to NaN, and a NaN counts as infinitely far. */
function distance(a: number, e: number): number {
  const difference = a === e ? 0 : Math.abs(a - e);
  return Number.isNaN(difference) ? Infinity : difference;
}

function relativeError(error: number, size: number): number {
  if (error === 0) return 0;
  return error === Infinity ? Infinity : error / size;
}
