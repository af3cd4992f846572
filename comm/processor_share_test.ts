import assert from "node:assert/strict";
import { localComms } from "../tests/support/local_comm.ts";
import { processorShare } from "./processor_share.ts";
import { soloComm } from "./solo_comm.ts";

/** A rank's machine and the processors that it may use, as a mask; none where the system does not tell. */
interface Rank {
  readonly host: number;
  readonly mask: number | undefined;
  /** How many those are. */
  readonly count: number;
}

/** The shares of ranks on machines of so many processors. */
async function shares(ranks: readonly Rank[], online: number) {
  const comms = localComms(ranks.length);
  const { dlopen } = Deno;
  let current = ranks[0];
  Object.assign(Deno, {
    dlopen: () => ({
      symbols: {
        // _SC_NPROCESSORS_ONLN of Linux.
        sysconf: (name: number) => (assert.equal(name, 84), BigInt(online)),
        sched_getaffinity(pid: number, bytes: bigint, into: Uint8Array): number {
          assert.deepEqual([pid, bytes, into.length], [0, 128n, 128]);
          if (current.mask === undefined) return -1;
          into[0] = current.mask;
          return 8;
        },
      },
    }),
  });
  Object.defineProperty(navigator, "hardwareConcurrency", {
    configurable: true,
    get: () => current.count,
  });
  try {
    return await Promise.all(ranks.map((rank, i) => {
      // Each begins in its turn, and looks at its own processors before it waits for others.
      current = rank;
      const before = ranks.slice(0, i).filter(({ host }) => host === rank.host).length;
      const here = ranks.filter(({ host }) => host === rank.host).length;
      return processorShare({ ...comms[i], localRank: before, localSize: here });
    }));
  } finally {
    Object.assign(Deno, { dlopen });
    Reflect.deleteProperty(navigator, "hardwareConcurrency");
  }
}

Deno.test({
  name:
    "processorShare() shares out what ranks of a machine may use alike, and tells of an even share that is larger",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const rank = (host: number, mask: number | undefined, count: number) => ({ host, mask, count });
    // All processors for all: eight of which three ranks have two each.
    assert.deepEqual(
      await shares([rank(0, 255, 8), rank(0, 255, 8), rank(0, 255, 8)], 8),
      Array(3).fill({ threads: 2 }),
    );
    // Bound to one each.
    assert.deepEqual(
      await shares([rank(0, 1, 1), rank(0, 2, 1)], 8),
      Array(2).fill({ threads: 1, even: 4 }),
    );
    // As many as an even share.
    assert.deepEqual(
      await shares([rank(0, 3, 2), rank(0, 12, 2)], 4),
      Array(2).fill({ threads: 2 }),
    );
    // Two machines whose ranks may use the same processors of each.
    assert.deepEqual(
      await shares([rank(0, 15, 4), rank(0, 15, 4), rank(2, 15, 4), rank(2, 15, 4)], 4),
      Array(4).fill({ threads: 2 }),
    );
    // More ranks than processors, and a system that does not tell which they are.
    assert.deepEqual(
      await shares([rank(0, 1, 1), rank(0, 1, 1)], 2),
      Array(2).fill({ threads: 1 }),
    );
    assert.deepEqual(
      await shares([rank(0, undefined, 6), rank(0, undefined, 6)], 6),
      Array(2).fill({ threads: 3 }),
    );
  },
});

Deno.test("processorShare() gives one process all processors, and needs no library", async () => {
  await using comm = soloComm();
  assert.deepEqual(await processorShare(comm), { threads: navigator.hardwareConcurrency });
});
