/**
 * Bulk conversions between float32 and the two 16-bit floats.
 *
 * In: a typed array of any length. Out: `dst` of the same length, filled in place. 16-bit values
 * travel as their bits in a Uint16Array. To 16 bits rounds to nearest, ties to even (IEEE 754).
 *
 * @module
 */

function checkLengths(action: string, src: ArrayLike<number>, dst: ArrayLike<number>): void {
  if (src.length !== dst.length) {
    throw new RangeError(
      `Cannot ${action}: the source has ${src.length} elements, the destination ${dst.length}. ` +
        "Give arrays of one length",
    );
  }
}

/**
 * Widens bfloat16 bits to float32; every value is exact.
 *
 * @example
 * ```ts
 * import { bfloat16ToFloat32 } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * const out = new Float32Array(2);
 * bfloat16ToFloat32(Uint16Array.of(0x3f80, 0xc000), out);
 * assert.deepEqual([...out], [1, -2]);
 * ```
 */
export function bfloat16ToFloat32(src: Uint16Array, dst: Float32Array): void {
  checkLengths("widen bfloat16", src, dst);
  // Integer stores, so that not even a signalling NaN changes on the way.
  const bits = new Uint32Array(dst.buffer, dst.byteOffset, dst.length);
  for (let i = 0; i < src.length; i++) bits[i] = src[i] << 16;
}

/**
 * Rounds float32 to bfloat16 bits. A NaN stays a (quiet) NaN with its sign; values past the largest
 * bfloat16 become infinite.
 *
 * @example
 * ```ts
 * import { float32ToBfloat16 } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * const out = new Uint16Array(2);
 * float32ToBfloat16(Float32Array.of(1, 1 + 3 / 256), out);
 * assert.deepEqual([...out], [0x3f80, 0x3f82]); // the tie 1 + 3/256 goes to the even neighbour
 * ```
 */
export function float32ToBfloat16(src: Float32Array, dst: Uint16Array): void {
  checkLengths("round to bfloat16", src, dst);
  const bits = new Uint32Array(src.buffer, src.byteOffset, src.length);
  for (let i = 0; i < bits.length; i++) {
    const u = bits[i] | 0;
    // Adding just under half of the dropped 16 bits, and one more when the kept last bit is odd,
    // carries exactly when nearest-even rounds up. A NaN could carry into infinity: keep it apart.
    dst[i] = (u & 0x7fffffff) > 0x7f800000
      ? (u >>> 16) | 0x40
      : (u + 0x7fff + ((u >>> 16) & 1)) >>> 16;
  }
}

/**
 * The bfloat16 next to a number, ties to even.
 *
 * @example
 * ```ts
 * import { roundToBfloat16 } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * assert.equal(roundToBfloat16(2 ** -3), 2 ** -3);
 * assert.equal(roundToBfloat16(128 ** -0.5), 0.08837890625); // off by 10⁻⁴ of it
 * ```
 */
export function roundToBfloat16(value: number): number {
  const [bits, back] = [new Uint16Array(1), new Float32Array(1)];
  float32ToBfloat16(Float32Array.of(value), bits);
  bfloat16ToFloat32(bits, back);
  return back[0];
}

/**
 * Widens float16 bits to float32; every value is exact.
 *
 * @example
 * ```ts
 * import { float16ToFloat32 } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * const out = new Float32Array(2);
 * float16ToFloat32(Uint16Array.of(0x3c00, 0x0001), out);
 * assert.deepEqual([...out], [1, 2 ** -24]);
 * ```
 */
export function float16ToFloat32(src: Uint16Array, dst: Float32Array): void {
  checkLengths("widen float16", src, dst);
  const halves = new Float16Array(src.buffer, src.byteOffset, src.length);
  for (let i = 0; i < halves.length; i++) dst[i] = halves[i];
}

/**
 * Rounds float32 to float16 bits, with subnormals; values from 65520 on become infinite.
 *
 * @example
 * ```ts
 * import { float32ToFloat16 } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * const out = new Uint16Array(3);
 * float32ToFloat16(Float32Array.of(1, 65520, 2 ** -24), out);
 * assert.deepEqual([...out], [0x3c00, 0x7c00, 0x0001]);
 * ```
 */
export function float32ToFloat16(src: Float32Array, dst: Uint16Array): void {
  checkLengths("round to float16", src, dst);
  const halves = new Float16Array(dst.buffer, dst.byteOffset, dst.length);
  for (let i = 0; i < src.length; i++) halves[i] = src[i];
}
