/**
 * Rounds numbers to 4 bits, in blocks that share a scale.
 *
 * In: float32 rows. Out: nibbles q and scales s as MatMulNBits reads them: x ≈ s·(q − 8), two q to a
 * byte, the first in the low half.
 *
 * @module
 */

import { float16ToFloat32, float32ToFloat16 } from "../tensor/half.ts";
import { BLOCK } from "./format.ts";

/** What a nibble of 0 stands for is −8 scales. */
const ZERO = 8;

// The largest number of a block on −8 uses all sixteen steps; a little less, at the price of cutting
// it off, is often closer on the whole. Of these the one with the least squared error is taken.
const SHARES = [1, 0.95, 0.9, 0.85, 0.8];

/** 4-bit numbers and their scales. */
export interface QuantizedBlocks {
  /** [numbers/2] */
  readonly nibbles: Uint8Array<ArrayBuffer>;
  /** [numbers/32] */
  readonly scales: Float32Array<ArrayBuffer>;
}

/** Options of {@linkcode quantizeBlocks}. */
export interface QuantizeOptions {
  /** What the scales are stored as: they are rounded to it before anything is measured. */
  readonly scaleDtype: "float32" | "float16";
}

/**
 * Quantizes whole blocks of 32 numbers.
 *
 * @example
 * ```ts
 * import { quantizeBlocks } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const numbers = Float32Array.from({ length: 32 }, (_, i) => i % 2 === 0 ? -8 : 4);
 * const { nibbles, scales } = quantizeBlocks(numbers, { scaleDtype: "float32" });
 * assert.deepEqual([...scales], [1]);
 * assert.equal(nibbles[0], 0xc0); // −8 is 0, 4 is 12
 * ```
 *
 * @throws {RangeError} on a part of a block, or on a number that is not finite
 */
export function quantizeBlocks(
  numbers: Float32Array,
  { scaleDtype }: QuantizeOptions,
): QuantizedBlocks {
  if (numbers.length % BLOCK !== 0) {
    throw new RangeError(`Cannot quantize ${numbers.length} numbers: expected blocks of ${BLOCK}`);
  }
  const nibbles = new Uint8Array(numbers.length / 2);
  const scales = new Float32Array(numbers.length / BLOCK);
  const round = scaleDtype === "float16" ? nearestHalf : (scale: number) => Math.fround(scale);
  for (let block = 0; block < scales.length; block++) {
    const start = block * BLOCK;
    const scale = bestScale(numbers, start, round);
    scales[block] = scale;
    for (let i = 0; i < BLOCK; i += 2) {
      const low = nibble(numbers[start + i], scale);
      nibbles[(start + i) / 2] = low | (nibble(numbers[start + i + 1], scale) << 4);
    }
  }
  return { nibbles, scales };
}

function bestScale(
  numbers: Float32Array,
  start: number,
  round: (scale: number) => number,
): number {
  let extreme = 0;
  for (let i = start; i < start + BLOCK; i++) {
    if (Math.abs(numbers[i]) > Math.abs(extreme)) extreme = numbers[i];
    if (!Number.isFinite(numbers[i])) {
      throw new RangeError(
        `Cannot quantize number ${i}: it is ${
          numbers[i]
        }; the weights are not finite, as after a ` +
          "training run that diverged: go back to an earlier checkpoint",
      );
    }
  }
  if (extreme === 0) return 0;
  let best = 0;
  let least = Infinity;
  for (const share of SHARES) {
    const scale = round(share * extreme / -ZERO);
    if (scale === 0) continue;
    let error = 0;
    for (let i = start; i < start + BLOCK && error < least; i++) {
      const difference = numbers[i] - scale * (nibble(numbers[i], scale) - ZERO);
      error += difference * difference;
    }
    if (error < least) [least, best] = [error, scale];
  }
  return best;
}

function nibble(x: number, scale: number): number {
  if (scale === 0) return ZERO;
  return Math.min(15, Math.max(0, Math.round(x / scale) + ZERO));
}

const single = new Float32Array(1);
const half = new Uint16Array(1);

function nearestHalf(scale: number): number {
  single[0] = scale;
  float32ToFloat16(single, half);
  float16ToFloat32(half, single);
  return single[0];
}
