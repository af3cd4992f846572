/**
 * Blocks of 256 numbers: llama.cpp's k-quants, as its reference makes them (`quantize_row_q4_K_ref` and so on).
 *
 * In: float32 numbers. Out: a block's bytes. A block is cut into parts. Each part gets a scale, and of q4_k
 * and q5_k a minimum, that are searched for: candidates around the obvious one are tried, and the one with
 * the least weighted squared error is kept. The parts' scales are then cut to six or eight bits of the
 * block's own. Each step is rounded to float32, as in C, so that the blocks are equal to the bit.
 */

import { putHalf } from "./half_bytes.ts";
import type { QuantizeBlock } from "./quantize_blocks_of_32.ts";

const { fround, abs, min, max } = Math;

/** Adding and taking off 1.5 · 2^23 in float32 rounds to a whole number, ties to even. */
const ROUNDING = 12_582_912;
/** Steps of the search between candidates. */
const STEP = fround(0.1);
/** Parts whose numbers are all smaller are zero. */
const TINY = fround(1e-15);

const codes = new Uint8Array(256);
// float32 numbers, and codes, of the part that is searched: float64 memory needs no conversion to be read.
const current = new Float64Array(32);
const tried = new Float64Array(32);
const weights = new Float64Array(32);
/** Less the minimum. */
const shifted = new Float64Array(32);
/** Times the weight. */
const weighted = new Float64Array(32);
const scales = new Float32Array(16);
const minima = new Float32Array(8);

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
  let [largest, size] = [0, 0];
  for (let part = 0; part < 16; part++) {
    scales[part] = searchScale(numbers, from + 16 * part, 16 * part);
    if (abs(scales[part]) > size) [size, largest] = [abs(scales[part]), scales[part]];
  }
  if (size < TINY) {
    bytes.fill(0, at, at + 210);
    return;
  }
  const inverse = fround(-128 / largest);
  const scale = putHalf(bytes, at + 208, fround(1 / inverse));
  for (let part = 0; part < 16; part++) {
    const whole = min(127, nearest(fround(inverse * scales[part])));
    bytes[at + 192 + part] = whole;
    const step = fround(scale * whole);
    if (step === 0) continue;
    for (let i = 16 * part; i < 16 * part + 16; i++) {
      codes[i] = 32 + min(31, max(-32, nearest(fround(numbers[from + i] / step))));
    }
  }
  for (let half = 0; half < 2; half++) {
    for (let i = 0; i < 32; i++) {
      const [a, b, c, d] = [0, 32, 64, 96].map((place) => codes[128 * half + place + i]);
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
  let [largestScale, largestMinimum] = [0, 0];
  for (let part = 0; part < 8; part++) {
    const start = from + 32 * part;
    let squares = 0;
    for (let i = 0; i < 32; i++) {
      const x = numbers[start + i];
      current[i] = x;
      squares = fround(squares + fround(x * x));
    }
    const usual = fround(Math.sqrt(fround(squares / 32)));
    for (let i = 0; i < 32; i++) weights[i] = fround(usual + abs(current[i]));
    searchScaleAndMinimum({ part, most, first, candidates });
    largestScale = max(largestScale, scales[part]);
    largestMinimum = max(largestMinimum, minima[part]);
  }
  const inverseScale = largestScale > 0 ? fround(63 / largestScale) : 0;
  const inverseMinimum = largestMinimum > 0 ? fround(63 / largestMinimum) : 0;
  const scale = putHalf(bytes, at, fround(largestScale / 63));
  const least = putHalf(bytes, at + 2, fround(largestMinimum / 63));
  bytes.fill(0, at + 4, at + 16);
  for (let part = 0; part < 8; part++) {
    const wholeScale = min(63, nearest(fround(inverseScale * scales[part])));
    const wholeMinimum = min(63, nearest(fround(inverseMinimum * minima[part])));
    packScales(bytes, at + 4, { part, scale: wholeScale, minimum: wholeMinimum });
    const step = fround(scale * wholeScale);
    if (step === 0) continue;
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

/**
 * Scale and minimum of the 32 numbers of `current`, x ≈ scale · code − minimum, into `scales` and `minima`, and
 * their codes. For the codes of each candidate, weighted least squares give the best scale and minimum.
 */
function searchScaleAndMinimum(
  { part, most, first, candidates }: Pick<CodeWithMinima, "most" | "first" | "candidates"> & {
    readonly part: number;
  },
): void {
  let [low, high] = [current[0], current[0]];
  let weightSum = weights[0];
  let numberSum = fround(weightSum * low);
  for (let i = 1; i < 32; i++) {
    const x = current[i];
    if (x < low) low = x;
    if (x > high) high = x;
    const weight = weights[i];
    weightSum = fround(weightSum + weight);
    numberSum = fround(numberSum + fround(weight * x));
  }
  if (low > 0) low = 0;
  if (high === low) {
    codes.fill(0, 32 * part, 32 * part + 32);
    scales[part] = 0;
    minima[part] = -low;
    return;
  }
  let scale = 0;
  let best = Infinity;
  for (let i = 0; i < 32; i++) shifted[i] = fround(current[i] - low);
  // The first turn takes the obvious scale as it is, the others improve theirs.
  for (let turn = -1; turn < candidates; turn++) {
    const steps = turn < 0 ? most : fround(fround(first + fround(STEP * turn)) + most);
    const inverse = fround(steps / fround(high - low));
    let codeSum = 0;
    let squareSum = 0;
    let productSum = 0;
    for (let i = 0; i < 32; i++) {
      let code = fround(fround(inverse * shifted[i]) + ROUNDING) - ROUNDING;
      if (code < 0) code = 0;
      else if (code > most) code = most;
      tried[i] = code;
      const product = fround(weights[i] * code);
      codeSum = fround(codeSum + product);
      squareSum = fround(squareSum + fround(product * code));
      productSum = fround(productSum + fround(product * current[i]));
    }
    let thisScale = fround(1 / inverse);
    let thisMinimum = low;
    if (turn >= 0) {
      const determinant = fround(fround(weightSum * squareSum) - fround(codeSum * codeSum));
      if (!(determinant > 0)) continue;
      thisScale = fround(
        fround(fround(weightSum * productSum) - fround(numberSum * codeSum)) / determinant,
      );
      thisMinimum = fround(
        fround(fround(squareSum * numberSum) - fround(codeSum * productSum)) / determinant,
      );
      if (thisMinimum > 0) {
        thisMinimum = 0;
        thisScale = fround(productSum / squareSum);
      }
    }
    let error = 0;
    for (let i = 0; i < 32 && error < best; i++) {
      const value = fround(fround(thisScale * tried[i]) + thisMinimum);
      const difference = fround(value - current[i]);
      error = fround(error + fround(weights[i] * fround(difference * difference)));
    }
    if (!(error < best)) continue;
    best = error;
    scale = thisScale;
    keepTried(32 * part, 32);
    if (thisMinimum === low) continue;
    // The next candidates begin at this one's minimum.
    low = thisMinimum;
    for (let i = 0; i < 32; i++) shifted[i] = fround(current[i] - low);
  }
  scales[part] = scale;
  minima[part] = -low;
}

/** Scale of 16 numbers, x ≈ scale · code with codes from −32 to 31; fills `codes` from `place` on, plus 32. */
function searchScale(numbers: Float32Array, start: number, place: number): number {
  let largest = 0;
  for (let i = 0; i < 16; i++) {
    const x = numbers[start + i];
    if (abs(x) > abs(largest)) largest = x;
    current[i] = x;
    weights[i] = fround(x * x);
    weighted[i] = fround(weights[i] * x);
  }
  if (abs(largest) < TINY) {
    codes.fill(0, place, place + 16);
    return 0;
  }
  let [scale, best] = [0, 0];
  // The obvious scale first, then those around it.
  for (let turn = -10; turn <= 9; turn++) {
    if (turn === 0) continue;
    const isFirst = turn === -10;
    const steps = isFirst ? 32 : fround(32 + fround(STEP * turn));
    const inverse = fround(-steps / largest);
    let productSum = 0;
    let squareSum = 0;
    for (let i = 0; i < 16; i++) {
      let code = fround(fround(inverse * current[i]) + ROUNDING) - ROUNDING;
      if (code < -32) code = -32;
      else if (code > 31) code = 31;
      tried[i] = code + 32;
      productSum = fround(productSum + fround(weighted[i] * code));
      squareSum = fround(squareSum + fround(fround(weights[i] * code) * code));
    }
    const isBetter = squareSum > 0 &&
      fround(productSum * productSum) > fround(best * squareSum);
    if (!isFirst && !isBetter) continue;
    scale = squareSum === 0 ? 0 : fround(productSum / squareSum);
    best = fround(scale * productSum);
    keepTried(place, 16);
  }
  return scale;
}

/** A loop: `set` between arrays of two types is slow. */
function keepTried(place: number, count: number): void {
  for (let i = 0; i < count; i++) codes[place + i] = tried[i];
}

/** The nearest whole number, of ties the even one. */
function nearest(x: number): number {
  return fround(x + ROUNDING) - ROUNDING;
}
