/** JSON between ranks. In: a value. Out: the values of all ranks, or that of rank 0. */

import type { Comm } from "./comm.ts";

/** Bytes of a length, an unsigned 32-bit number. */
const LENGTH_BYTES = 4;

/**
 * Every rank's value, by rank. All ranks call it.
 *
 * @param value anything that JSON holds; other ranks get what `JSON.parse` makes of it
 * @example
 * ```ts
 * import { gatherJson, soloComm } from "@ortune/ortune/comm";
 * import assert from "node:assert/strict";
 *
 * await using comm = soloComm();
 * assert.deepEqual(await gatherJson(comm, { tokens: 7 }), [{ tokens: 7 }]);
 * ```
 */
export async function gatherJson<T>(comm: Comm, value: T): Promise<T[]> {
  const { rank, size } = comm;
  const own = encode(value);
  const lengths = new Uint32Array(size);
  lengths[rank] = own.length;
  await comm.allGather(new Uint8Array(lengths.buffer), Array(size).fill(LENGTH_BYTES));
  const counts = [...lengths];
  const starts = counts.map((_, of) => counts.slice(0, of).reduce((sum, each) => sum + each, 0));
  const all = new Uint8Array(starts[size - 1] + counts[size - 1]);
  all.set(own, starts[rank]);
  await comm.allGather(all, counts);
  return counts.map((count, of) => decode(all.subarray(starts[of], starts[of] + count)));
}

/**
 * Rank 0's value. All ranks call it, and what the others hand in is not read.
 *
 * @param value anything that JSON holds; all ranks get what `JSON.parse` makes of it
 * @example
 * ```ts
 * import { broadcastJson, soloComm } from "@ortune/ortune/comm";
 * import assert from "node:assert/strict";
 *
 * await using comm = soloComm();
 * assert.equal(await broadcastJson(comm, "2026-11-28"), "2026-11-28");
 * ```
 */
export async function broadcastJson<T>(comm: Comm, value: T): Promise<T> {
  const own = comm.rank === 0 ? encode(value) : new Uint8Array();
  const length = Uint32Array.of(own.length);
  await comm.broadcast(new Uint8Array(length.buffer));
  const bytes = comm.rank === 0 ? own : new Uint8Array(length[0]);
  await comm.broadcast(bytes);
  return decode(bytes);
}

function encode(value: unknown): Uint8Array<ArrayBuffer> {
  // Of undefined JSON has none.
  return new TextEncoder().encode(JSON.stringify(value) ?? "null");
}

function decode<T>(bytes: Uint8Array): T {
  return JSON.parse(new TextDecoder().decode(bytes));
}
