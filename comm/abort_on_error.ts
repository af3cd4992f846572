/** Ends all ranks where one fails. In: work of a rank. Out: its result, or the end of the run. */

import type { Comm } from "./comm.ts";

/**
 * Does a rank's work. Where it throws between several ranks, all of them end with its message, instead of
 * waiting for this one; a run of one process gets the error as it is.
 *
 * @param work what this rank does with the communicator
 * @param describe the error in words @default its message
 * @example
 * ```ts
 * import { abortOnError, soloComm } from "@ortune/ortune/comm";
 * import assert from "node:assert/strict";
 *
 * await using comm = soloComm();
 * assert.equal(await abortOnError(comm, () => Promise.resolve(7)), 7);
 * ```
 */
export async function abortOnError<T>(
  comm: Comm,
  work: () => Promise<T>,
  describe: (error: unknown) => string = (error) =>
    error instanceof Error ? error.message : String(error),
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (comm.size === 1) throw error;
    comm.abort(describe(error));
  }
}
