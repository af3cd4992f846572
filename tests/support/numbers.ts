/** Numbers in and out of tensors of either floating type, and how far apart two sets of them are. */

import type { Tensor } from "../../ort/runtime/tensor.ts";
import { bfloat16ToFloat32, float32ToBfloat16 } from "../../ort/tensor/half.ts";

/** A copy of a tensor's numbers. */
export function numbersOf(tensor: Tensor): Float32Array {
  if (tensor.dtype === "float32") return tensor.float32().slice();
  const bytes = tensor.bytes();
  const numbers = new Float32Array(bytes.length / 2);
  bfloat16ToFloat32(new Uint16Array(bytes.buffer, bytes.byteOffset, numbers.length), numbers);
  return numbers;
}

/** Writes numbers into a tensor, rounded where it must be. */
export function writeNumbers(tensor: Tensor, numbers: Float32Array): void {
  if (tensor.dtype === "float32") return tensor.write(numbers);
  const bits = new Uint16Array(numbers.length);
  float32ToBfloat16(numbers, bits);
  tensor.write(bits);
}

/**
 * The L2 norm of all differences, relative to that of all that is expected. Adam's first updates are as large
 * for elements whose gradient is hardly more than its rounding, so single elements may differ by far more.
 */
export function relativeNorm(
  actual: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, Float32Array>,
): number {
  let [apart, whole] = [0, 0];
  for (const [name, values] of expected) {
    const own = actual.get(name)!;
    values.forEach((each, i) => {
      apart += (own[i] - each) ** 2;
      whole += each ** 2;
    });
  }
  return Math.sqrt(apart / whole);
}
