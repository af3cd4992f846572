/**
 * ONNX's numbers for dtypes. In: a dtype. Out: its TensorProto.DataType, which ONNX Runtime's
 * ONNXTensorElementDataType equals.
 */

import type { DType } from "./dtype.ts";

const ONNX_DATA_TYPES: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
};

/**
 * The number of a dtype in ONNX files and in ONNX Runtime's C API,
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
 *
 * @example
 * ```ts
 * import { onnxDataType } from "./onnx_dtype.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(onnxDataType("bfloat16"), 16);
 * ```
 */
export function onnxDataType(dtype: DType): number {
  return ONNX_DATA_TYPES[dtype];
}
