/**
 * How many processors of a machine are a rank's to compute with.
 *
 * In: the ranks of the machine, and which processors each may use. Out: threads, and whether the launcher
 * keeps ranks to few processors, as Open MPI's mpirun does with one or two of them.
 */

import { C_LIBRARY } from "./c_library.ts";
import type { Comm } from "./comm.ts";
import { gatherJson } from "./json_between_ranks.ts";

/** `cpu_set_t` of Linux's sched.h: a bit a processor. */
const MASK_BYTES = 128;
/** `_SC_NPROCESSORS_ONLN` of unistd.h, whichever of them this process may use. */
const ONLINE: Partial<Record<typeof Deno.build.os, number>> = { linux: 84, darwin: 58 };

/** What a rank has of its machine's processors. */
export interface ProcessorShare {
  /** Threads to compute with: those that it may use, shared out among the ranks that may use the same. */
  readonly threads: number;
  /** An even share of all processors of the machine, where the launcher keeps it to fewer. */
  readonly even?: number;
}

/**
 * The share of this rank. All ranks call it.
 *
 * @example
 * ```ts
 * import { processorShare, soloComm } from "@ortune/ortune/comm";
 * import assert from "node:assert/strict";
 *
 * await using comm = soloComm();
 * assert.deepEqual(await processorShare(comm), { threads: navigator.hardwareConcurrency });
 * ```
 */
export async function processorShare(comm: Comm): Promise<ProcessorShare> {
  const { rank, localRank, localSize, size } = comm;
  if (size === 1) return { threads: navigator.hardwareConcurrency };
  const host = rank - localRank;
  const own = usableProcessors();
  const all = await gatherJson(comm, { host, mask: own.mask });
  const here = all.filter((each) => each.host === host);
  const alike = here.filter(({ mask }) => mask === own.mask).length;
  const threads = Math.max(1, Math.floor(own.count / alike));
  const even = Math.floor(own.online / localSize);
  return { threads, ...alike < here.length && threads < even ? { even } : {} };
}

/** Processors that this process may use, those of the machine, and which they are. */
function usableProcessors(): { mask: string; count: number; online: number } {
  const count = navigator.hardwareConcurrency;
  const library = C_LIBRARY[Deno.build.os];
  const name = ONLINE[Deno.build.os];
  if (library === undefined || name === undefined) return { mask: "", count, online: count };
  const { symbols } = Deno.dlopen(library, {
    sysconf: { parameters: ["i32"], result: "i64" },
    sched_getaffinity: {
      parameters: ["i32", "usize", "buffer"],
      result: "i32",
      optional: true,
    },
  });
  const online = Number(symbols.sysconf(name));
  const mask = new Uint8Array(MASK_BYTES);
  const told = symbols.sched_getaffinity?.(0, BigInt(MASK_BYTES), mask) ?? -1;
  return { mask: told < 0 ? "" : mask.toHex(), count, online };
}
