/**
 * Every collective between the ranks that mpirun starts, with values that each rank can foretell. Out: a
 * line of JSON a rank, or an error that ends all.
 */

import assert from "node:assert/strict";
import { checkSameOnAllRanks } from "../../comm/check_same_on_all_ranks.ts";
import { broadcastJson, gatherJson } from "../../comm/json_between_ranks.ts";
import { openComm } from "../../comm/open_comm.ts";
import { environment } from "./environment.ts";

await using comm = await openComm(environment.ORTUNE_MPI_LIB ? "mpi" : "auto", { environment });
const { rank, size } = comm;
const ranks = Array.from({ length: size }, (_, each) => each);

/** What a rank sums: numbers of widely different magnitudes, so that their order tells in the bits. */
function summands(of: number, length: number): Float32Array {
  let state = (1000 * length + of) >>> 0;
  // Numerical Recipes' generator: fast, and only its upper bits are used.
  const next = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 8;
  return new Float32Array(length).map(() => (next() - 2 ** 23) * 2 ** (next() % 40 - 43));
}

async function hash(values: Float32Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", values)).toHex();
}

/** Sums in an order of the ranks, as float32. */
function inOrder(of: readonly Float32Array[]): Float32Array {
  return of[0].map((_, i) => of.reduce((sum, each) => Math.fround(sum + each[i]), 0));
}

// The same bits on every rank, and the right sums: short ones, and more than one piece.
const bits: string[] = [];
for (const length of [1, 7, 1000, 65_537, 1_100_003]) {
  const all = ranks.map((of) => summands(of, length));
  const values = Float32Array.from(all[rank]);
  await comm.allReduceSum(values);
  bits.push(await hash(values));
  let worst = 0;
  for (let i = 0; i < length; i++) {
    let [exact, scale] = [0, 0];
    for (const each of all) {
      exact += each[i];
      scale += Math.abs(each[i]);
    }
    worst = Math.max(worst, Math.abs(values[i] - exact) / scale);
  }
  // Each of size - 1 additions rounds by at most half a unit, 2^-24.
  assert.ok(worst <= (size - 1) * 2 ** -24, `${length}: ${worst}`);
  if (length === 65_537 && size > 2) {
    const [there, back] = [inOrder(all), inOrder(all.toReversed())];
    assert.ok(there.some((sum, i) => sum !== back[i]), "the order must tell");
  }
}

// Doubles.
const doubles = Float64Array.of(rank, 2 ** 60, 1);
await comm.allReduceSum(doubles);
assert.deepEqual([...doubles], [size * (size - 1) / 2, size * 2 ** 60, size]);

// Uneven parts, the first of more than one piece between two ranks, and an empty one. Sums of integers
// are exact.
const counts = ranks.map((each) =>
  each === 0 ? (size === 2 ? 1_060_003 : 50_003) : each === 1 ? 0 : 70_001 * each
);
const starts = ranks.map((each) => counts.slice(0, each).reduce((sum, count) => sum + count, 0));
const length = counts.reduce((sum, count) => sum + count, 0);
const scattered = new Float32Array(length).map((_, i) => i % 1009 + rank);
await comm.reduceScatterSum(scattered, counts);
const own = scattered.subarray(starts[rank], starts[rank] + counts[rank]);
const expected = (i: number): number => size * (i % 1009) + size * (size - 1) / 2;
assert.ok(own.every((sum, i) => sum === expected(starts[rank] + i)));
await comm.allGather(scattered, counts);
assert.ok(scattered.every((sum, i) => sum === expected(i)));

// Bytes, in memory that is not JavaScript's.
const { symbols: libc } = Deno.dlopen("libc.so.6", {
  malloc: { parameters: ["usize"], result: "pointer" },
});
const memory = libc.malloc(BigInt(length))!;
const bytes = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(memory, length));
bytes.fill(200 + rank, starts[rank], starts[rank] + counts[rank]);
await comm.allGather(bytes, counts);
for (const each of ranks) {
  const part = bytes.subarray(starts[each], starts[each] + counts[each]);
  assert.ok(part.every((byte) => byte === 200 + each));
}
const root = size - 1;
bytes.fill(rank);
await comm.broadcast(bytes, root);
assert.ok(bytes.every((byte) => byte === root));

// Nothing at all.
await comm.allReduceSum(new Float32Array());
await comm.broadcast(new Uint8Array());

// JSON of unlike lengths, and facts.
assert.deepEqual(
  await gatherJson(comm, { of: "é".repeat(rank) }),
  ranks.map((each) => ({ of: "é".repeat(each) })),
);
assert.equal(await broadcastJson(comm, rank === 0 ? "from 0" : undefined), "from 0");
await checkSameOnAllRanks(comm, { version: "1", arguments: { seed: 42, rates: [1, 2] } });
let mismatch = "";
try {
  await checkSameOnAllRanks(comm, { version: "1", arguments: { seed: rank === 1 ? 43 : 42 } });
} catch (error) {
  mismatch = (error as Error).message;
}

// Wrong arguments are refused before MPI sees them, and calls go on.
await assert.rejects(comm.reduceScatterSum(new Float32Array(4), [3]), RangeError);
await assert.rejects(comm.broadcast(new Uint8Array(1), size), RangeError);

// Queued calls end in their order while one rank is late, and timers go on meanwhile.
if (rank === size - 1) await new Promise((resolve) => setTimeout(resolve, 400));
let ticks = 0;
const timer = setInterval(() => ticks++, 5);
const ended: number[] = [];
const sums = Array.from({ length: 6 }, (_, i) => new Float32Array(i % 2 ? 10 : 300_000).fill(i));
const calls = sums.map(async (each, i) => {
  await comm.allReduceSum(each);
  ended.push(i);
});
await Promise.all([...calls, comm.barrier()]);
clearInterval(timer);
assert.deepEqual(ended, [0, 1, 2, 3, 4, 5]);
assert.ok(sums.every((each, i) => each.every((sum) => sum === size * i)));
assert.equal(comm.traffic.barrier.calls, 1);

// Queued calls go on while this thread is busy: all is summed before it has a turn.
const queued = Array.from({ length: 4 }, (_, i) => new Float32Array(200_000).fill(i + 1));
const busy = queued.map((each) => comm.allReduceSum(each));
const until = performance.now() + 10_000;
const isSummed = (): boolean => queued.every((each, i) => each.at(-1) === size * (i + 1));
while (!isSummed() && performance.now() < until);
assert.ok(isSummed());
await Promise.all(busy);
assert.equal(comm.traffic.reduceScatterSum.bytes, 4 * length);

console.log(JSON.stringify({
  rank,
  size,
  name: comm.name,
  local: [comm.localRank, comm.localSize],
  bits: bits.join(),
  mismatch,
  ticks: rank === 0 ? ticks : undefined,
}));
