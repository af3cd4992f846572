import assert from "node:assert/strict";
import { repositoryPath, runScript } from "../tests/support/run_script.ts";
import { abortOnError } from "./abort_on_error.ts";
import { checkSameOnAllRanks } from "./check_same_on_all_ranks.ts";
import { broadcastJson, gatherJson } from "./json_between_ranks.ts";
import { openComm } from "./open_comm.ts";
import { soloComm } from "./solo_comm.ts";

Deno.test({
  name: "a run of one process needs no permission and no library",
  permissions: "none",
  async fn() {
    await using comm = await openComm("auto", { environment: { SLURM_STEP_NUM_TASKS: "1" } });
    assert.deepEqual([comm.name, comm.rank, comm.size], ["solo", 0, 1]);
    const values = Float32Array.of(1.5, -2);
    await comm.allReduceSum(values);
    await comm.reduceScatterSum(values, [2]);
    await comm.allGather(values, [2]);
    await comm.broadcast(new Uint8Array(values.buffer));
    await comm.barrier();
    assert.deepEqual([...values], [1.5, -2]);
    const { allReduceSum, broadcast } = comm.traffic;
    assert.deepEqual([allReduceSum.calls, allReduceSum.bytes, broadcast.bytes], [1, 8, 8]);
    assert.deepEqual(await gatherJson(comm, { a: [1, "é"] }), [{ a: [1, "é"] }]);
    assert.equal(await broadcastJson(comm, null), null);
    await checkSameOnAllRanks(comm, { a: 1 });
  },
});

Deno.test("one process refuses what many would, and calls after its end", async () => {
  const comm = soloComm();
  await assert.rejects(comm.allGather(new Uint8Array(3), [2]), RangeError);
  await assert.rejects(comm.reduceScatterSum(new Float32Array(3), [3, 0]), RangeError);
  await assert.rejects(comm.broadcast(new Uint8Array(3), 1), RangeError);
  await assert.rejects(comm.allReduceSum(new Int32Array(3) as never), TypeError);
  await comm[Symbol.asyncDispose]();
  await assert.rejects(comm.barrier(), /Cannot run barrier: the communicator is closed/);
});

Deno.test("abortOnError() gives one process its own error", async () => {
  await using comm = soloComm();
  const error = new Error("no more of this");
  await assert.rejects(abortOnError(comm, () => Promise.reject(error)), (each) => each === error);
});

Deno.test("abort() of one process ends it with the code, after the message", async () => {
  const { code, stderr, stdout } = await runScript(
    `import { soloComm } from "${repositoryPath("comm/solo_comm.ts")}";
    soloComm().abort("no more of this", 3);
    console.log("still here");`,
    [],
  );
  assert.deepEqual([code, stderr, stdout], [3, "no more of this", ""]);
});

Deno.test("one process counts what many would move, and is alone on its machine", async () => {
  await using comm = soloComm();
  const { rank, size, localRank, localSize, name } = comm;
  assert.deepEqual([rank, size, localRank, localSize, name], [0, 1, 0, 1, "solo"]);
  await comm.allReduceSum(new Float64Array(3));
  await comm.reduceScatterSum(new Float32Array(2), [2]);
  await comm.allGather(new Uint8Array(5), [5]);
  await comm.broadcast(new Uint8Array(7), 0);
  await comm.broadcast(new Uint8Array(1));
  await comm.barrier();
  const call = (bytes: number, calls = 1) => ({ calls, bytes, seconds: 0 });
  assert.deepEqual(comm.traffic, {
    allReduceSum: call(24),
    reduceScatterSum: call(8),
    allGather: call(5),
    broadcast: call(8, 2),
    barrier: call(0),
  });
});

Deno.test("abort() of one process ends it with 1 unless it is told otherwise", () => {
  const { exit } = Deno;
  const { error } = console;
  const said: unknown[] = [];
  Object.assign(Deno, {
    exit: (code: number) => {
      said.push(code);
      throw new Error("ended");
    },
  });
  console.error = (...words: unknown[]) => void said.push(...words);
  try {
    assert.throws(() => soloComm().abort("no more"), /ended/);
    assert.throws(() => soloComm().abort("no more", 5), /ended/);
    assert.deepEqual(said, ["no more", 1, "no more", 5]);
  } finally {
    Object.assign(Deno, { exit });
    console.error = error;
  }
});
