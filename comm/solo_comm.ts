/** A run of one process. In: nothing. Out: a communicator whose collectives have nothing to do. */

import { CallQueue } from "./call_queue.ts";
import { checkRoot, checkSummands } from "./check_arguments.ts";
import type { Comm } from "./comm.ts";
import { rankParts } from "./parts.ts";

/**
 * The communicator of a run of one process, which loads no library.
 *
 * @example
 * ```ts
 * import { soloComm } from "@ortune/ortune/comm";
 * import assert from "node:assert/strict";
 *
 * await using comm = soloComm();
 * const values = Float32Array.of(1, 2);
 * await comm.allReduceSum(values);
 * assert.deepEqual([comm.size, ...values], [1, 1, 2]);
 * ```
 */
export function soloComm(): Comm {
  const queue = new CallQueue();
  const nothing = () => Promise.resolve(0);
  // Asynchronous, so that wrong arguments reject, as they do between many ranks.
  return {
    rank: 0,
    size: 1,
    localRank: 0,
    localSize: 1,
    name: "solo",
    async allReduceSum(values: Float32Array | Float64Array): Promise<void> {
      checkSummands("allReduceSum", values);
      await queue.run("allReduceSum", values.byteLength, nothing);
    },
    async reduceScatterSum(values: Float32Array, counts: readonly number[]): Promise<void> {
      rankParts("reduceScatterSum", counts, { size: 1, length: values.length });
      await queue.run("reduceScatterSum", values.byteLength, nothing);
    },
    async allGather(values: Float32Array | Uint8Array, counts: readonly number[]): Promise<void> {
      rankParts("allGather", counts, { size: 1, length: values.length });
      await queue.run("allGather", values.byteLength, nothing);
    },
    async broadcast(bytes: Uint8Array, root = 0): Promise<void> {
      checkRoot(root, 1);
      await queue.run("broadcast", bytes.byteLength, nothing);
    },
    barrier: (): Promise<void> => queue.run("barrier", 0, nothing),
    abort(message: string, exitCode = 1): never {
      console.error(message);
      Deno.exit(exitCode);
    },
    get traffic() {
      return queue.traffic;
    },
    [Symbol.asyncDispose]: (): Promise<void> => queue.close(),
  };
}
