/**
 * Blocks of 256 numbers: llama.cpp's k-quants, as its reference makes them (`quantize_row_q4_K_ref` and so on).
 *
 * In: float32 numbers. Out: a block's bytes. A block is cut into parts. Each part gets a scale, and of q4_k
 * and q5_k a minimum, that are searched for: candidates around the obvious one are tried, and the one with
 * the least weighted squared error is kept. That takes nearly all of the time, and is WebAssembly for its
 * float32 vectors. The parts' scales are then cut to six or eight bits of the block's own. Each step is rounded
 * to float32, as in C, so that the blocks are equal to the bit.
 */

import { putHalf } from "./half_bytes.ts";
import type { QuantizeBlock } from "./quantize_blocks_of_32.ts";
import { memory, searchScales, searchScalesAndMinima } from "./search_scales.wasm";

const { fround, abs, min, max } = Math;

/** Adding and taking off 1.5 · 2^23 in float32 rounds to a whole number, ties to even. */
const ROUNDING = 12_582_912;
/** Blocks whose scales are all smaller are zero. */
const TINY = fround(1e-15);

// What the search reads and leaves, at the places that search_scales.wat names.
const searched = new Float32Array(memory.buffer, 0, 256);
const searchedCodes = new Float32Array(memory.buffer, 1024, 256);
const scales = new Float32Array(memory.buffer, 3584, 16);
const minima = new Float32Array(memory.buffer, 3648, 8);

const codes = new Uint8Array(256);

/** Four bits: 8 parts of 32 numbers. */
export const quantizeQ4_K: QuantizeBlock = (numbers, from, bytes, at) => {
  codeWithMinima(numbers, from, { bytes, at, most: 15, first: -1, candidates: 21 });
  for (let part = 0; part < 8; part += 2) packFourBits(bytes, at + 16 + 16 * part, part);
};

/** Five bits, the fifth ones apart. */
export const quantizeQ5_K: QuantizeBlock = (numbers, from, bytes, at) => {
  codeWithMinima(numbers, from, { bytes, at, most: 31, first: -0.5, candidates: 16 });
  for (let part = 0; part < 8; part += 2) packFourBits(bytes, at + 48 + 16 * part, part);
  for (let i = 0; i < 32; i++) {
    let fifth = 0;
    for (let part = 0; part < 8; part++) fifth |= codes[32 * part + i] >> 4 << part;
    bytes[at + 16 + i] = fifth;
  }
};

/** Six bits on both sides of zero: 16 parts of 16 numbers. */
export const quantizeQ6_K: QuantizeBlock = (numbers, from, bytes, at) => {
  handOver(numbers, from, 16);
  searchScales();
  let [largest, size] = [0, 0];
  for (let part = 0; part < 16; part++) {
    if (abs(scales[part]) > size) [size, largest] = [abs(scales[part]), scales[part]];
  }
  if (size < TINY) return;
  const inverse = fround(-128 / largest);
  const scale = putHalf(bytes, at + 208, fround(1 / inverse));
  for (let part = 0; part < 16; part++) {
    const whole = min(127, nearest(fround(inverse * scales[part])));
    bytes[at + 192 + part] = whole;
    const step = fround(scale * whole);
    if (step === 0) {
      keepSearched(part, 16);
      continue;
    }
    for (let i = 16 * part; i < 16 * part + 16; i++) {
      codes[i] = 32 + min(31, max(-32, nearest(fround(numbers[from + i] / step))));
    }
  }
  for (let half = 0; half < 2; half++) {
    for (let i = 0; i < 32; i++) {
      const first = 128 * half + i;
      const [a, b, c, d] = [codes[first], codes[first + 32], codes[first + 64], codes[first + 96]];
      bytes[at + 64 * half + i] = a & 15 | (c & 15) << 4;
      bytes[at + 64 * half + 32 + i] = b & 15 | (d & 15) << 4;
      bytes[at + 128 + 32 * half + i] = a >> 4 | b >> 4 << 2 | c >> 4 << 4 | d >> 4 << 6;
    }
  }
};

interface CodeWithMinima {
  readonly bytes: Uint8Array;
  readonly at: number;
  /** The largest code. */
  readonly most: number;
  /** The first candidate's distance from the obvious scale, in steps between codes. */
  readonly first: number;
  readonly candidates: number;
}

/** Fills `codes`, and writes a block's scale and minimum and those of its parts: 16 bytes. */
function codeWithMinima(
  numbers: Float32Array,
  from: number,
  { bytes, at, most, first, candidates }: CodeWithMinima,
): void {
  handOver(numbers, from, 32);
  searchScalesAndMinima(most, first, candidates);
  let [largestScale, largestMinimum] = [0, 0];
  for (let part = 0; part < 8; part++) {
    largestScale = max(largestScale, scales[part]);
    largestMinimum = max(largestMinimum, minima[part]);
  }
  const inverseScale = largestScale > 0 ? fround(63 / largestScale) : 0;
  const inverseMinimum = largestMinimum > 0 ? fround(63 / largestMinimum) : 0;
  const scale = putHalf(bytes, at, fround(largestScale / 63));
  const least = putHalf(bytes, at + 2, fround(largestMinimum / 63));
  for (let part = 0; part < 8; part++) {
    const wholeScale = min(63, nearest(fround(inverseScale * scales[part])));
    const wholeMinimum = min(63, nearest(fround(inverseMinimum * minima[part])));
    packScales(bytes, at + 4, { part, scale: wholeScale, minimum: wholeMinimum });
    const step = fround(scale * wholeScale);
    if (step === 0) {
      keepSearched(part, 32);
      continue;
    }
    const minimum = fround(least * wholeMinimum);
    for (let i = 32 * part; i < 32 * part + 32; i++) {
      const code = nearest(fround(fround(numbers[from + i] + minimum) / step));
      codes[i] = max(0, min(most, code));
    }
  }
}

/** Six bits each in 12 bytes: the last four parts' are split, four bits and two. */
function packScales(
  bytes: Uint8Array,
  at: number,
  { part, scale, minimum }: {
    readonly part: number;
    readonly scale: number;
    readonly minimum: number;
  },
): void {
  if (part < 4) {
    bytes[at + part] |= scale;
    bytes[at + part + 4] |= minimum;
  } else {
    bytes[at + part + 4] = scale & 15 | (minimum & 15) << 4;
    bytes[at + part - 4] |= scale >> 4 << 6;
    bytes[at + part] |= minimum >> 4 << 6;
  }
}

/** Two codes a byte, 32 apart. */
function packFourBits(bytes: Uint8Array, at: number, part: number): void {
  for (let i = 0; i < 32; i++) {
    bytes[at + i] = codes[32 * part + i] & 15 | (codes[32 * part + 32 + i] & 15) << 4;
  }
}

/** Hands a block to the search, four parts beside each other. */
function handOver(numbers: Float32Array, from: number, size: number): void {
  for (let i = 0; i < 256; i++) searched[beside(i, size)] = numbers[from + i];
}

/** Takes a part's codes as the search left them: its scale came to nothing, and stands for zeros. */
function keepSearched(part: number, size: number): void {
  for (let i = part * size; i < (part + 1) * size; i++) codes[i] = searchedCodes[beside(i, size)];
}

/** Where a number of a block lies in the search's order. */
function beside(i: number, size: number): number {
  const part = Math.floor(i / size);
  return (part >> 2) * 4 * size + i % size * 4 + (part & 3);
}

/** The nearest whole number, of ties the even one. */
function nearest(x: number): number {
  return fround(x + ROUNDING) - ROUNDING;
}
