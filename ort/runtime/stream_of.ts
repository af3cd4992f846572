/** The stream that a runtime's work is queued on. In: a runtime. Out: its address for native code. */

import type { Runtime } from "./runtime.ts";

/** The CUstream's address; 0n, the default stream, of a runtime without a GPU. */
export function streamOf({ cuda }: Runtime): bigint {
  return cuda ? Deno.UnsafePointer.value(cuda.stream) : 0n;
}
