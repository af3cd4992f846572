/** Tensors in the memory of a CUDA device, which ortune allocates itself. */

import { byteWidth, elementCount } from "../tensor/dtype.ts";
import type { OrtApi } from "./api.ts";
import type { Cuda } from "./cuda.ts";
import type { MemoryStart, TensorMemory } from "./tensor_memory.ts";
import { wrapMemory } from "./wrap_memory.ts";

/** Memory of the device, described by an OrtMemoryInfo. */
export function cudaMemory(
  api: OrtApi,
  cuda: Cuda,
  memory: Deno.PointerObject,
): TensorMemory {
  const at = ({ address, offset }: MemoryStart): bigint => address + BigInt(offset);
  return {
    viewsAtOffset: true,
    allocate: (dtype, shape, what) => {
      const address = cuda.allocate(elementCount(shape) * byteWidth(dtype));
      return { value: wrapMemory(api, { memory, address, dtype, shape }, what), address };
    },
    free: (address) => cuda.free(address),
    upload: (to, bytes) => cuda.upload(at(to), bytes),
    download: (from, into) => cuda.download(at(from), into),
    copy: (to, from, bytes) => cuda.copy(at(to), at(from), bytes),
    zero: (address, bytes) => cuda.zero(address, bytes),
    throwErrors: () => {},
  };
}
