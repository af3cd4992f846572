/** OrtValues over memory that somebody else owns. */

import { byteWidth, type DType, elementCount } from "../tensor/dtype.ts";
import { onnxDataType } from "../tensor/onnx_dtype.ts";
import type { OrtApi } from "./api.ts";

/** Memory, and the tensor to see in it. */
export interface WrappedMemory {
  /** OrtMemoryInfo of where it lies. */
  readonly memory: Deno.PointerObject;
  readonly address: bigint;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** An OrtValue over memory that stays the caller's; `what` says in an error what for. */
export function wrapMemory(
  api: OrtApi,
  { memory, address, dtype, shape }: WrappedMemory,
  what: string,
): Deno.PointerObject {
  return api.create(
    "CreateTensorWithDataAsOrtValue",
    what,
    memory,
    Deno.UnsafePointer.create(address),
    elementCount(shape) * byteWidth(dtype),
    BigInt64Array.from(shape, BigInt),
    shape.length,
    onnxDataType(dtype),
  );
}
