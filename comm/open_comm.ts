/**
 * Opens the communicator of this process.
 *
 * In: whether to use MPI, and what the environment says. Out: the ranks of an MPI launcher, or one process
 * alone.
 */

import type { Comm } from "./comm.ts";
import { type MpiCommOptions, openMpiComm } from "./mpi_comm.ts";
import { type CommEnvironment, findLaunch } from "./mpi_launch.ts";
import { soloComm } from "./solo_comm.ts";

/** Ways to choose a communicator, see {@linkcode CommChoice}. */
export const COMM_CHOICES = ["auto", "mpi", "off"] as const;

/** `auto`: MPI where a launcher started several processes; `mpi`: always; `off`: never. */
export type CommChoice = typeof COMM_CHOICES[number];

/** How a communicator is opened. */
export interface OpenCommOptions extends MpiCommOptions {
  /**
   * Variables of the environment by name: those of `COMM_VARIABLES`, as far as they are set. `auto` needs
   * them.
   */
  readonly environment?: CommEnvironment;
}

/**
 * Opens the communicator of this process.
 *
 * Under a launcher (mpirun, srun, an MPIJob) every process opens one, and each gets its rank. A library is
 * loaded only where it is needed, by `--allow-ffi` alone. While it is open between several ranks, an error
 * that nobody catches, the end of this process, and a rank that hangs or is cut off end all ranks, with a
 * sentence on stderr.
 *
 * @example
 * ```ts
 * import { openComm } from "@ortune/ortune/comm";
 * import assert from "node:assert/strict";
 *
 * await using comm = await openComm("auto", { environment: Deno.env.toObject() });
 * const tokens = Float64Array.of(100);
 * await comm.allReduceSum(tokens);
 * assert.equal(tokens[0], 100 * comm.size);
 * ```
 *
 * @throws {Error} where MPI is needed and its library is missing, or belongs to another launcher
 * @throws {TypeError} where `auto` is not told of the environment
 */
export async function openComm(
  choice: CommChoice,
  { environment, ...options }: OpenCommOptions = {},
): Promise<Comm> {
  if (choice === "off") return soloComm();
  if (choice === "auto" && environment === undefined) {
    throw new TypeError(
      'Cannot open a communicator by "auto" without the environment: pass Deno.env.toObject(), or ' +
        '"mpi" or "off"',
    );
  }
  const launch = findLaunch(environment ?? {});
  if (choice === "auto" && (launch === undefined || launch.size === 1)) return soloComm();
  const libraryPath = options.libraryPath ?? (environment?.ORTUNE_MPI_LIB || undefined);
  return await openMpiComm({ ...options, libraryPath, launch });
}
