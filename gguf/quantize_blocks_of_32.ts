/**
 * Blocks of 32 numbers, as ggml's reference and Python's `gguf` make them, to the bit.
 *
 * In: float32 numbers. Out: a block's bytes: a float16 scale, perhaps a minimum, and the numbers in a few
 * bits each. Each step is rounded to float32, as there.
 */

import { putHalf } from "./half_bytes.ts";

/** Writes the block of numbers from `from` on at byte `at`, over zeros. */
export type QuantizeBlock = (
  numbers: Float32Array,
  from: number,
  bytes: Uint8Array,
  at: number,
) => void;

const codes = new Uint8Array(32);

/** Four bits: the number that is largest by size is the lowest step. */
export const quantizeQ4_0: QuantizeBlock = (numbers, from, bytes, at) => {
  codeSymmetric(numbers, from, { steps: 8, bytes, at });
  packFourBits(bytes, at + 2);
};

/** Five bits, the fifth ones apart. */
export const quantizeQ5_0: QuantizeBlock = (numbers, from, bytes, at) => {
  codeSymmetric(numbers, from, { steps: 16, bytes, at });
  packFifthBits(bytes, at + 2);
  packFourBits(bytes, at + 6);
};

/** Five bits between the least and the largest number. */
export const quantizeQ5_1: QuantizeBlock = (numbers, from, bytes, at) => {
  let [least, most] = [numbers[from], numbers[from]];
  for (let i = 1; i < 32; i++) {
    least = Math.min(least, numbers[from + i]);
    most = Math.max(most, numbers[from + i]);
  }
  const scale = Math.fround(Math.fround(most - least) / 31);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  putHalf(bytes, at, scale);
  putHalf(bytes, at + 2, least);
  for (let i = 0; i < 32; i++) {
    const place = Math.fround(Math.fround(numbers[from + i] - least) * inverse);
    codes[i] = Math.min(31, Math.fround(place + 0.5));
  }
  packFifthBits(bytes, at + 4);
  packFourBits(bytes, at + 8);
};

/** Eight bits, from −127 to 127. */
export const quantizeQ8_0: QuantizeBlock = (numbers, from, bytes, at) => {
  let most = 0;
  for (let i = 0; i < 32; i++) most = Math.max(most, Math.abs(numbers[from + i]));
  const scale = Math.fround(most / 127);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  putHalf(bytes, at, scale);
  for (let i = 0; i < 32; i++) {
    const step = Math.fround(numbers[from + i] * inverse);
    // Ties go away from zero.
    bytes[at + 2 + i] = step < 0 ? -Math.floor(0.5 - step) : Math.floor(step + 0.5);
  }
};

/** Steps of one size on both sides of zero; half of all codes are below it. */
function codeSymmetric(
  numbers: Float32Array,
  from: number,
  { steps, bytes, at }: {
    readonly steps: number;
    readonly bytes: Uint8Array;
    readonly at: number;
  },
): void {
  let largest = 0;
  for (let i = 0; i < 32; i++) {
    const x = numbers[from + i];
    if (Math.abs(x) > Math.abs(largest)) largest = x;
  }
  const scale = Math.fround(largest / -steps);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  putHalf(bytes, at, scale);
  for (let i = 0; i < 32; i++) {
    const step = Math.fround(numbers[from + i] * inverse);
    codes[i] = Math.min(2 * steps - 1, Math.fround(step + steps + 0.5));
  }
}

/** Two codes a byte, 16 apart. */
function packFourBits(bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 16; i++) bytes[at + i] = codes[i] & 15 | codes[16 + i] << 4;
}

/** The fifth bit of each code, in 32 bits. */
function packFifthBits(bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 32; i++) bytes[at + (i >> 3)] |= codes[i] >> 4 << (i & 7);
}
