/** Numbers in and out of tensors of either floating type. */

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
