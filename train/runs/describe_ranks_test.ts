import assert from "node:assert/strict";
import { parseDevice } from "../../ort/runtime/device.ts";
import { describeRanks } from "./describe_ranks.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** What is said of processes, threads and arguments. */
function said(
  { size = 4, localSize = size, threads = 3, even, device = "cpu", ...args }: {
    readonly size?: number;
    readonly localSize?: number;
    readonly threads?: number;
    readonly even?: number;
    readonly device?: string;
    readonly asked?: number;
    readonly shardOptimizer?: boolean;
  },
): string[] {
  const { asked, shardOptimizer } = args;
  const given = { threads: asked, shardOptimizer } as TrainingArguments;
  const resolved = { args: given, device: parseDevice(device) };
  return describeRanks({ size, localSize, name: "Open MPI" }, { threads, even }, resolved);
}

Deno.test("describeRanks() says of one process only what has no effect", () => {
  assert.deepEqual(said({ size: 1 }), []);
  assert.deepEqual(said({ size: 1, shardOptimizer: true }), [
    "note: --shard-optimizer has no effect on one process; start more with mpirun",
  ]);
});

Deno.test("describeRanks() says how several compute, where, and what each keeps", () => {
  assert.deepEqual(said({}), ["4 processes by Open MPI: 3 threads each, all state on each"]);
  assert.deepEqual(said({ threads: 1, localSize: 2 }), [
    "4 processes by Open MPI, 2 of them on this machine: 1 thread each, all state on each",
  ]);
  assert.deepEqual(said({ asked: 1, shardOptimizer: true }), [
    "4 processes by Open MPI: 1 thread each, a part of the optimizer's state on each",
  ]);
  assert.deepEqual(said({ device: "cuda", even: 8 }), [
    "4 processes by Open MPI: a GPU each, all state on each",
  ]);
});

Deno.test("describeRanks() tells of a launcher that keeps processes to fewer threads than there are", () => {
  const note =
    "note: the launcher keeps each process to 3 of the 8 processors that it could have; " +
    "start with mpirun --bind-to none (MPICH: -bind-to none)";
  assert.deepEqual(said({ even: 8 }).slice(1), [note]);
  assert.deepEqual(said({ even: 8, asked: 7 }).slice(1), [note]);
  assert.deepEqual(said({ even: 8, asked: 8 }).slice(1), []);
  assert.deepEqual(said({ even: 3 }).slice(1), []);
});
