/**
 * Finds NaN and infinity in tensors of floats.
 *
 * In: a tensor's bytes. Out: the first element that is not finite. The search is over words of four
 * bytes without branches, as it is made over every weight that is loaded.
 */

import type { DType } from "./dtype.ts";

/** The bits of an exponent in a word, and one in its lowest place. */
const EXPONENTS: Readonly<Partial<Record<DType, readonly [bits: number, one: number]>>> = {
  float32: [0x7f800000, 0x00800000],
  bfloat16: [0x7f807f80, 0x00800080],
  float16: [0x7c007c00, 0x04000400],
};

/**
 * The index of the first NaN or infinity, -1 where all are finite; integers always are.
 *
 * @param bytes elements, at a multiple of 4 bytes in their buffer; a part of one behind them is left out
 */
export function findNonFinite(bytes: Uint8Array<ArrayBuffer>, dtype: DType): number {
  const exponents = EXPONENTS[dtype];
  if (!exponents) return -1;
  const [bits, one] = exponents;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
  // An exponent of ones plus one reaches the sign's place, and no sum goes beyond its element.
  let carried = 0;
  const whole = words.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    carried |= (words[i] & bits) + one | (words[i + 1] & bits) + one |
      (words[i + 2] & bits) + one | (words[i + 3] & bits) + one;
  }
  for (let i = whole; i < words.length; i++) carried |= (words[i] & bits) + one;
  const signs = dtype === "float32" ? 0x80000000 : 0x80008000;
  const odd = bytes.byteLength & 3;
  if ((carried & signs) === 0 && odd === 0) return -1;
  return findExactly(bytes, dtype);
}

/** The same, element by element. */
function findExactly(bytes: Uint8Array<ArrayBuffer>, dtype: DType): number {
  const { buffer, byteOffset, byteLength } = bytes;
  if (dtype === "float32") {
    return new Float32Array(buffer, byteOffset, byteLength / 4).findIndex((x) => !isFinite(x));
  }
  const exponent = dtype === "bfloat16" ? 0x7f80 : 0x7c00;
  return new Uint16Array(buffer, byteOffset, byteLength / 2).findIndex((x) =>
    (x & exponent) === exponent
  );
}
