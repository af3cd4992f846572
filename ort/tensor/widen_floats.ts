/**
 * Floats of any width as float32.
 *
 * In: a tensor's bytes and their type. Out: a float32 array, filled in place.
 */

import type { DType } from "./dtype.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "./half.ts";

/**
 * Fills an array with the first elements of the bytes; float64 is rounded, all else is exact.
 *
 * @example
 * ```ts
 * import { widenFloats } from "./widen_floats.ts";
 * import assert from "node:assert/strict";
 *
 * const into = new Float32Array(2);
 * widenFloats(new Uint8Array(Uint16Array.of(0x3f80, 0xc000).buffer), "bfloat16", into);
 * assert.deepEqual([...into], [1, -2]);
 * ```
 *
 * @param bytes at a multiple of an element's width in their buffer
 * @throws {RangeError} on integers
 */
export function widenFloats(
  { buffer, byteOffset }: Uint8Array<ArrayBuffer>,
  dtype: DType,
  into: Float32Array,
): void {
  const { length } = into;
  if (dtype === "float32") into.set(new Float32Array(buffer, byteOffset, length));
  else if (dtype === "float64") into.set(new Float64Array(buffer, byteOffset, length));
  else if (dtype === "bfloat16") {
    bfloat16ToFloat32(new Uint16Array(buffer, byteOffset, length), into);
  } else if (dtype === "float16") {
    float16ToFloat32(new Uint16Array(buffer, byteOffset, length), into);
  } else throw new RangeError(`Cannot widen ${dtype} to float32: expected floats`);
}
