/**
 * Finds out whether the launcher holds ranks to few cores, as Open MPI's mpirun does with one or two of
 * them.
 *
 * In: the threads that a rank is to use. Out: a sentence, where it may use fewer cores.
 */

import { C_LIBRARY } from "./c_library.ts";
import type { Comm } from "./comm.ts";
import { gatherJson } from "./json_between_ranks.ts";

/** `cpu_set_t` of sched.h: a bit a core. */
const MASK_BYTES = 128;
/** `_SC_NPROCESSORS_ONLN` of Linux's unistd.h. */
const CORES_ONLINE = 84;

/**
 * What is wrong with the cores that this rank may use; undefined where nothing is, and where the system
 * does not tell. All ranks call it.
 *
 * @param threads that this rank is to use; undefined where it takes what there is
 * @example
 * ```ts
 * import { checkPinning, soloComm } from "@ortune/ortune/comm";
 * import assert from "node:assert/strict";
 *
 * await using comm = soloComm();
 * assert.equal(await checkPinning(comm, 1), undefined);
 * ```
 */
export async function checkPinning(comm: Comm, threads?: number): Promise<string | undefined> {
  if (comm.size === 1) return undefined;
  const own = coresOfThisProcess();
  const all = await gatherJson(comm, { host: comm.rank - comm.localRank, mask: own?.mask });
  if (own === undefined) return undefined;
  // Ranks of one machine that may use different cores were held to them by the launcher.
  const isHeld = all.some(({ host, mask }) =>
    host === comm.rank - comm.localRank && mask !== own.mask
  );
  const share = Math.floor(own.online / comm.localSize);
  const wanted = threads ?? (isHeld ? share : 1);
  if (own.cores >= wanted) return undefined;
  const cores = `${own.cores} core${own.cores === 1 ? "" : "s"}`;
  return `rank ${comm.rank} may use ${cores} of ${own.online}, and has ${wanted} to fill: mpirun holds it ` +
    "to them; start it with --bind-to none (MPICH: -bind-to none)";
}

/** Cores that this process may use, and those of the machine. */
function coresOfThisProcess():
  | { readonly mask: string; readonly cores: number; readonly online: number }
  | undefined {
  if (Deno.build.os !== "linux") return undefined;
  const { symbols } = Deno.dlopen(C_LIBRARY.linux!, {
    sched_getaffinity: { parameters: ["i32", "usize", "buffer"], result: "i32" },
    sysconf: { parameters: ["i32"], result: "i64" },
  });
  const mask = new Uint8Array(MASK_BYTES);
  // More cores than the mask has bits.
  if (symbols.sched_getaffinity(0, BigInt(MASK_BYTES), mask) < 0) return undefined;
  const cores = mask.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
  return { mask: mask.toHex(), cores, online: Number(symbols.sysconf(CORES_ONLINE)) };
}
