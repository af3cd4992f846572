/**
 * A command on all processes that a launcher such as mpirun started. In: which, and the work of each. Out:
 * the work done on all, or all of them ended by the first that fails.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { Comm } from "../../comm/comm.ts";
import { COMM_VARIABLES } from "../../comm/mpi_launch.ts";
import { type CommChoice, openComm } from "../../comm/open_comm.ts";
import { describeFailure, failureCode } from "./run_command.ts";

/** Seconds that one may wait for the others: the first may prepare a lot of data, or write to a slow disk. */
const LONGEST_WAIT = 6 * 3600;
/** So much later than the first process the others tell of an error: it is often the same one. */
const TELLS_LATER = 1000;

/** Opens the communicator and works; see `openComm`. */
export async function runOnRanks(
  choice: CommChoice,
  work: (comm: Comm) => Promise<void>,
): Promise<void> {
  await using comm = await openComm(choice, {
    environment: launchVariables(),
    timeoutSeconds: LONGEST_WAIT,
  });
  try {
    await work(comm);
  } catch (cause) {
    if (comm.size === 1) throw cause;
    if (comm.rank > 0) await delay(TELLS_LATER);
    comm.abort(describeFailure(cause), failureCode(cause));
  }
}

/** The variables of the environment that tell of a launcher, as far as they may be read. */
function launchVariables(): Record<string, string | undefined> {
  const readable = COMM_VARIABLES.filter((variable) =>
    Deno.permissions.querySync({ name: "env", variable }).state === "granted"
  );
  return Object.fromEntries(readable.map((name) => [name, Deno.env.get(name)]));
}
