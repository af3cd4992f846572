/** float16 numbers at any byte of a block: its scales. In: bytes and a place. Out: a number, or the bytes set. */

import { float16ToFloat32 } from "../ort/tensor/half.ts";

/** Every float16 as a number: a typed array reads none at an odd address. */
const HALVES = new Float32Array(65_536);
float16ToFloat32(Uint16Array.from(HALVES, (_, bits) => bits), HALVES);

const half = new Float16Array(1);
const bits = new Uint16Array(half.buffer);

/** The float16 at a byte. */
export function halfAt(bytes: Uint8Array, at: number): number {
  return HALVES[bytes[at] | bytes[at + 1] << 8];
}

/**
 * Rounds a number to float16 and writes it at a byte.
 *
 * @returns what it was rounded to
 * @throws {RangeError} where it is beyond float16
 */
export function putHalf(bytes: Uint8Array, at: number, value: number): number {
  half[0] = value;
  if (!Number.isFinite(half[0])) {
    throw new RangeError(`the scale of a block is ${value}, beyond float16; write bf16 or f32`);
  }
  bytes[at] = bits[0] & 255;
  bytes[at + 1] = bits[0] >> 8;
  return half[0];
}
