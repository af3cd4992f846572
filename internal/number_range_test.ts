import assert from "node:assert/strict";
import {
  BELOW_ONE,
  COUNT,
  COUNT_OR_SHARE,
  COUNT_OR_ZERO,
  COUNT_SHARE_OR_ZERO,
  type NumberRange,
  PERCENTAGE,
  POSITIVE,
  POSITIVE_OR_ZERO,
  SEED,
  SHARE,
} from "./number_range.ts";

const LARGEST = Number.MAX_SAFE_INTEGER;
/** Numbers on both sides of every limit; none is denormal, which ONNX Runtime has a process take for 0. */
const NUMBERS = [
  ...[-1, -0.5, 0, 2 ** -1022, 0.5, 1 - 2 ** -53, 1, 1.5, 2, 99.5, 100, 100.5],
  ...[2 ** 32 - 1, 2 ** 32, LARGEST, LARGEST + 1],
];

Deno.test("each range says what it must be, and holds just those numbers", () => {
  const whole = [1, 2, 100, 2 ** 32 - 1, 2 ** 32, LARGEST];
  const shares = [2 ** -1022, 0.5, 1 - 2 ** -53];
  const positive = NUMBERS.filter((value) => value > 0);
  for (
    const [range, what, held] of [
      [COUNT, "a whole number from 1 up", whole],
      [COUNT_OR_ZERO, "a whole number from 0 up", [0, ...whole]],
      [
        COUNT_OR_SHARE,
        "a whole number from 1 up, or a share of the run above 0 and below 1",
        [...shares, ...whole],
      ],
      [
        COUNT_SHARE_OR_ZERO,
        "a whole number from 0 up, or a share of the run below 1",
        [0, ...shares, ...whole],
      ],
      [BELOW_ONE, "a number from 0 to below 1", [0, ...shares]],
      [SHARE, "a number from 0 to 1", [0, ...shares, 1]],
      [SEED, "a whole number from 0 to 4294967295", [0, 1, 2, 100, 2 ** 32 - 1]],
      [PERCENTAGE, "a number above 0 and below 100", [...shares, 1, 1.5, 2, 99.5]],
      [POSITIVE, "a number above 0", positive],
      [POSITIVE_OR_ZERO, "a number from 0 up", [0, ...positive]],
    ] as readonly (readonly [NumberRange, string, readonly number[]])[]
  ) {
    assert.equal(range.what, what);
    assert.deepEqual(NUMBERS.filter((value) => range.holds(value)), held, what);
  }
});
