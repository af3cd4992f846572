/**
 * Numbers as a GGUF file stores them.
 *
 * In: float32 rows of whole blocks. Out: their bytes.
 *
 * @module
 */

import { float32ToBfloat16, float32ToFloat16 } from "../ort/tensor/half.ts";
import { GGML_TYPES, type GgmlType } from "./ggml_type.ts";
import {
  type QuantizeBlock,
  quantizeQ4_0,
  quantizeQ5_0,
  quantizeQ5_1,
  quantizeQ8_0,
} from "./quantize_blocks_of_32.ts";
import { quantizeQ4_K, quantizeQ5_K, quantizeQ6_K } from "./quantize_blocks_of_256.ts";

/** Makes the bytes of whole blocks. */
type Quantize = (numbers: Float32Array) => Uint8Array;

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** The types that are written. */
export type WrittenType = Exclude<GgmlType, "q4_1" | "q2_k" | "q3_k">;

const QUANTIZERS: Readonly<Record<WrittenType, Quantize>> = {
  f32: bytesOf,
  f16: (numbers) => {
    const halves = new Uint16Array(numbers.length);
    float32ToFloat16(numbers, halves);
    return bytesOf(halves);
  },
  bf16: (numbers) => {
    const halves = new Uint16Array(numbers.length);
    float32ToBfloat16(numbers, halves);
    return bytesOf(halves);
  },
  q4_0: blockwise("q4_0", quantizeQ4_0),
  q5_0: blockwise("q5_0", quantizeQ5_0),
  q5_1: blockwise("q5_1", quantizeQ5_1),
  q8_0: blockwise("q8_0", quantizeQ8_0),
  q4_k: blockwise("q4_k", quantizeQ4_K),
  q5_k: blockwise("q5_k", quantizeQ5_K),
  q6_k: blockwise("q6_k", quantizeQ6_K),
};

/** Rounding to nearest makes anything from here on infinite in float16. */
const HALF_OVERFLOW = 65520;
/** Above what the scales of any block reach: 65504 · 127 · 32 of q6_k. Squares of larger numbers would overflow. */
const BLOCK_OVERFLOW = 2 ** 28;

/**
 * The bytes of whole blocks of numbers; of `f32`, the numbers' own memory.
 *
 * @throws {RangeError} on a number that is not finite, or that float16 cannot hold
 *
 * @example
 * ```ts
 * import { quantizeRows } from "@ortune/ortune/gguf";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual([...quantizeRows(Float32Array.of(1, -2), "f16")], [0, 0x3c, 0, 0xc0]);
 * ```
 */
export function quantizeRows(numbers: Float32Array, type: WrittenType): Uint8Array {
  const limit = type === "f16"
    ? HALF_OVERFLOW
    : GGML_TYPES[type].block > 1
    ? BLOCK_OVERFLOW
    : Infinity;
  for (let i = 0; i < numbers.length; i++) {
    // A NaN is below nothing.
    if (Math.abs(numbers[i]) < limit) continue;
    throw new RangeError(
      `number ${i} is ${numbers[i]}, which ${type} cannot hold; ` +
        (Number.isFinite(numbers[i])
          ? "write bf16 or f32"
          : "the weights are not finite, as after a training run that diverged: go back to an " +
            "earlier checkpoint"),
    );
  }
  return QUANTIZERS[type](numbers);
}

function blockwise(type: GgmlType, quantize: QuantizeBlock): Quantize {
  const { block, bytes: width } = GGML_TYPES[type];
  return (numbers) => {
    const blocks = numbers.length / block;
    if (!Number.isInteger(blocks)) {
      throw new RangeError(`${numbers.length} numbers are no whole blocks of ${block}`);
    }
    const bytes = new Uint8Array(blocks * width);
    for (let i = 0; i < blocks; i++) quantize(numbers, i * block, bytes, i * width);
    return bytes;
  };
}
