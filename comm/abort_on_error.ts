/** Ends all ranks where one fails. In: work of a rank. Out: its result, or the end of the run. */

import { setTimeout as delay } from "node:timers/promises";
import type { Comm } from "./comm.ts";

/** Milliseconds that rank 0 tells of an error before the others do: it is often the same one. */
export const TELLS_LATER = 1000;

/** How an error ends the ranks. */
export interface AbortOnErrorOptions {
  /** The error in words. @default its message */
  readonly describe?: (error: unknown) => string;
  /** The exit code of the run. @default 1 */
  readonly exitCode?: (error: unknown) => number;
}

/**
 * Does a rank's work. Where it throws between several ranks, all of them end with its message, told once,
 * instead of waiting for this one; a run of one process gets the error as it is.
 *
 * @param work what this rank does with the communicator
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
  {
    describe = (error) => error instanceof Error ? error.message : String(error),
    exitCode = () => 1,
  }: AbortOnErrorOptions = {},
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (comm.size === 1) throw error;
    if (comm.rank > 0) await delay(TELLS_LATER);
    comm.abort(describe(error), exitCode(error));
  }
}
