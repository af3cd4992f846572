/**
 * Numbers of a GGUF file as float32.
 *
 * In: whole blocks, as they lie in the file. Out: what they stand for, rounded where ggml's reference and
 * Python's `gguf` round, so that all three agree to the bit. The layouts are those of `ggml-common.h`.
 *
 * @module
 */

import { bfloat16ToFloat32, float16ToFloat32 } from "../ort/tensor/half.ts";
import { GGML_TYPES, type GgmlType } from "./ggml_type.ts";
import { halfAt } from "./half_bytes.ts";

/** Writes a block's numbers from `to` on; the block's bytes begin at `at`. */
type Dequantize = (bytes: Uint8Array, at: number, into: Float32Array, to: number) => void;

const BLOCKS: Readonly<Record<Exclude<GgmlType, "f32" | "f16" | "bf16">, Dequantize>> = {
  // d · (q − 8); the low halves of the bytes come before the high ones.
  q4_0: (bytes, at, into, to) => {
    const scale = halfAt(bytes, at);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 2 + i];
      into[to + i] = scale * ((pair & 15) - 8);
      into[to + 16 + i] = scale * ((pair >> 4) - 8);
    }
  },
  q4_1: (bytes, at, into, to) => {
    const [scale, least] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 4 + i];
      into[to + i] = Math.fround(scale * (pair & 15)) + least;
      into[to + 16 + i] = Math.fround(scale * (pair >> 4)) + least;
    }
  },
  // Fifth bits in 32 bits of their own.
  q5_0: (bytes, at, into, to) => {
    const scale = halfAt(bytes, at);
    for (let i = 0; i < 32; i++) into[to + i] = scale * (fiveBits(bytes, at + 2, i) - 16);
  },
  q5_1: (bytes, at, into, to) => {
    const [scale, least] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
    for (let i = 0; i < 32; i++) {
      into[to + i] = Math.fround(scale * fiveBits(bytes, at + 4, i)) + least;
    }
  },
  q8_0: (bytes, at, into, to) => {
    const scale = halfAt(bytes, at);
    for (let i = 0; i < 32; i++) into[to + i] = scale * signed(bytes[at + 2 + i]);
  },
  // 16 parts of 16 numbers: four bits of scale and four of minimum each.
  q2_k: (bytes, at, into, to) => {
    const [scale, least] = [halfAt(bytes, at + 80), halfAt(bytes, at + 82)];
    for (let part = 0; part < 16; part++) {
      const packed = bytes[at + part];
      const step = Math.fround(scale * (packed & 15));
      const minimum = Math.fround(least * (packed >> 4));
      for (let i = part * 16; i < part * 16 + 16; i++) {
        into[to + i] = Math.fround(step * twoBits(bytes, at + 16, i)) - minimum;
      }
    }
  },
  // 16 parts: six bits of scale; a third bit of each number, which is unset where 4 is taken off.
  q3_k: (bytes, at, into, to) => {
    const scale = halfAt(bytes, at + 108);
    for (let part = 0; part < 16; part++) {
      const low = (bytes[at + 96 + part % 8] >> (part < 8 ? 0 : 4)) & 15;
      const high = (bytes[at + 104 + part % 4] >> (2 * (part >> 2))) & 3;
      const step = Math.fround(scale * ((low | high << 4) - 32));
      for (let i = part * 16; i < part * 16 + 16; i++) {
        const third = (bytes[at + i % 32] >> (i >> 5)) & 1;
        into[to + i] = step * (twoBits(bytes, at + 32, i) - (third ? 0 : 4));
      }
    }
  },
  // 8 parts of 32 numbers: six bits of scale and six of minimum each.
  q4_k: (bytes, at, into, to) => {
    const [scale, least] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
    for (let part = 0; part < 8; part++) {
      const step = Math.fround(scale * partScale(bytes, at + 4, part));
      const minimum = Math.fround(least * partMinimum(bytes, at + 4, part));
      const shift = part % 2 === 0 ? 0 : 4;
      const from = at + 16 + (part >> 1) * 32;
      for (let i = 0; i < 32; i++) {
        const q = (bytes[from + i] >> shift) & 15;
        into[to + part * 32 + i] = Math.fround(step * q) - minimum;
      }
    }
  },
  q5_k: (bytes, at, into, to) => {
    const [scale, least] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
    for (let part = 0; part < 8; part++) {
      const step = Math.fround(scale * partScale(bytes, at + 4, part));
      const minimum = Math.fround(least * partMinimum(bytes, at + 4, part));
      const shift = part % 2 === 0 ? 0 : 4;
      const from = at + 48 + (part >> 1) * 32;
      for (let i = 0; i < 32; i++) {
        const fifth = (bytes[at + 16 + i] >> part) & 1;
        const q = (bytes[from + i] >> shift) & 15 | fifth << 4;
        into[to + part * 32 + i] = Math.fround(step * q) - minimum;
      }
    }
  },
  // 16 parts of 16 numbers: a scale of eight bits each.
  q6_k: (bytes, at, into, to) => {
    const scale = halfAt(bytes, at + 208);
    for (let part = 0; part < 16; part++) {
      const step = Math.fround(scale * signed(bytes[at + 192 + part]));
      for (let i = part * 16; i < part * 16 + 16; i++) {
        const [half, place] = [i >> 7, i & 127];
        const low = (bytes[at + 64 * half + place % 64] >> (place < 64 ? 0 : 4)) & 15;
        const high = (bytes[at + 128 + 32 * half + place % 32] >> (2 * (place >> 5))) & 3;
        into[to + i] = step * ((low | high << 4) - 32);
      }
    }
  },
};

/**
 * The numbers of whole blocks.
 *
 * @param bytes at a multiple of 4 in their buffer
 *
 * @example
 * ```ts
 * import { dequantizeRows } from "@ortune/ortune/gguf";
 * import assert from "node:assert/strict";
 *
 * const block = new Uint8Array(34); // q8_0: a float16 scale, 32 bytes
 * block.set([0, 0x38, 4, 0xff]); // 0.5; 4, −1
 * assert.deepEqual([...dequantizeRows(block, "q8_0").subarray(0, 3)], [2, -0.5, 0]);
 * ```
 */
export function dequantizeRows(
  bytes: Uint8Array<ArrayBuffer>,
  type: GgmlType,
): Float32Array<ArrayBuffer> {
  const { block, bytes: width } = GGML_TYPES[type];
  const blocks = bytes.byteLength / width;
  if (!Number.isInteger(blocks)) {
    throw new RangeError(
      `Cannot dequantize ${bytes.byteLength} bytes: ${type} has blocks of ${width}`,
    );
  }
  const { buffer, byteOffset } = bytes;
  if (type === "f32") return new Float32Array(buffer, byteOffset, blocks);
  const numbers = new Float32Array(blocks * block);
  if (type === "f16") float16ToFloat32(new Uint16Array(buffer, byteOffset, blocks), numbers);
  else if (type === "bf16") bfloat16ToFloat32(new Uint16Array(buffer, byteOffset, blocks), numbers);
  else {
    const dequantize = BLOCKS[type];
    for (let i = 0; i < blocks; i++) dequantize(bytes, i * width, numbers, i * block);
  }
  return numbers;
}

function signed(byte: number): number {
  return byte << 24 >> 24;
}

/** Number `i` of 32: its fifth bit, then 16 bytes of low and high halves behind those bits. */
function fiveBits(bytes: Uint8Array, at: number, i: number): number {
  const low = (bytes[at + 4 + i % 16] >> (i < 16 ? 0 : 4)) & 15;
  return low | ((bytes[at + (i >> 3)] >> (i & 7)) & 1) << 4;
}

/** Number `i` of 256: two halves of 32 bytes, each with four numbers to a byte that lie 32 apart. */
function twoBits(bytes: Uint8Array, at: number, i: number): number {
  return (bytes[at + 32 * (i >> 7) + i % 32] >> (2 * ((i >> 5) & 3))) & 3;
}

/** Six bits a scale and six a minimum in 12 bytes: the last four of each are split, four bits and two. */
function partScale(bytes: Uint8Array, at: number, part: number): number {
  return part < 4
    ? bytes[at + part] & 63
    : bytes[at + part + 4] & 15 | (bytes[at + part - 4] >> 2) & 48;
}

function partMinimum(bytes: Uint8Array, at: number, part: number): number {
  return part < 4
    ? bytes[at + part + 4] & 63
    : bytes[at + part + 4] >> 4 | (bytes[at + part] >> 2) & 48;
}
