/** NCCL's calls over stand-ins for its library and CUDA's: what is called, in which order, with what. */

import assert from "node:assert/strict";
import { canRun } from "../../tests/support/can_run.ts";
import { repositoryPath } from "../../tests/support/run_script.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import type { Comm } from "../comm.ts";
import type { DeviceComm } from "../device_comm.ts";
import { soloComm } from "../solo_comm.ts";
import { openNcclComm } from "./nccl_comm.ts";

/** stand_in_nccl.c's compute stream. */
const COMPUTE = 0x77n;
const ignore = !await canRun("cc", ["--version"]);

/** A communicator of a rank, and what its stand-ins were asked. */
interface StandIn extends AsyncDisposable {
  readonly comm: DeviceComm;
  /** Calls since this was last read. */
  calls(): string[];
  /** Queries that find the device busy, an error of NCCL's own threads, the answer of the next collectives. */
  set(pending: number, asynchronous: number, refused: number): void;
}

async function openStandIn(
  { rank = 1, size = 3, timeoutSeconds = 10 }: {
    readonly rank?: number;
    readonly size?: number;
    readonly timeoutSeconds?: number;
  } = {},
): Promise<StandIn> {
  const folder = await tempFolder();
  const path = `${folder.path}/libnccl.so`;
  const source = repositoryPath("tests/support/stand_in_nccl.c");
  const { code, stderr } = await new Deno.Command("cc", {
    args: ["-shared", "-fPIC", "-o", path, source],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  const library = Deno.dlopen(path, {
    standInLines: { parameters: [], result: "pointer" },
    standInClear: { parameters: [], result: "void" },
    standInSet: { parameters: ["i32", "i32", "i32"], result: "void" },
  });
  const processes: Comm = {
    ...soloComm(),
    rank,
    size,
    // As rank 0 sends it: the stand-in's id is 1, 2, …
    broadcast: (bytes: Uint8Array): Promise<void> => {
      if (rank === 0) assert.deepEqual([...bytes.subarray(0, 3), bytes[127]], [1, 2, 3, 128]);
      bytes.forEach((_, i) => bytes[i] = i + 1);
      return Promise.resolve();
    },
  };
  const comm = await openNcclComm(processes, {
    device: 5,
    computeStream: COMPUTE,
    driver: path,
    libraryPath: path,
    timeoutSeconds,
  });
  return {
    comm,
    calls(): string[] {
      const text = Deno.UnsafePointerView.getCString(library.symbols.standInLines()!);
      library.symbols.standInClear();
      return text.trim().split("\n");
    },
    set: (...values): void => library.symbols.standInSet(...values),
    async [Symbol.asyncDispose](): Promise<void> {
      comm[Symbol.dispose]();
      library.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const AFTER_COMPUTE = ["event 1 on compute", "nccl waits for event 1"];

Deno.test({
  name: "ranks come together by rank 0's id, each on its device",
  ignore,
  async fn() {
    for (const rank of [0, 1]) {
      await using standIn = await openStandIn({ rank });
      const { comm, calls } = standIn;
      assert.deepEqual([comm.rank, comm.size, comm.name], [rank, 3, "NCCL 2.27.3"]);
      assert.deepEqual(calls(), [
        "device 5",
        "stream, flags 1",
        ...rank === 0 ? ["unique id"] : [],
        `rank ${rank} of 3 on context c5`,
      ]);
      comm[Symbol.dispose]();
      assert.deepEqual(calls(), ["destroy", "destroy stream", "release 5"]);
      assert.throws(() => comm.join(), /Cannot join: the communicator has ended: it is closed/);
    }
  },
});

Deno.test({
  name: "collectives wait for what was computed, and are queued in place on a stream of their own",
  ignore,
  async fn() {
    await using standIn = await openStandIn();
    const { comm, calls } = standIn;
    calls();
    comm.allReduceSum(0x1000n, 10);
    assert.deepEqual(calls(), [
      ...AFTER_COMPUTE,
      "all-reduce 1000 to 1000, 10 of type 7, root -1",
    ]);
    comm.reduceScatterSum(0x1000n, [16, 16, 16]);
    assert.deepEqual(calls(), [
      ...AFTER_COMPUTE,
      "reduce-scatter 1000 to 1040, 16 of type 7, root -1",
    ]);
    comm.allGather(0x1000n, [16, 16, 16], 2);
    assert.deepEqual(calls(), [...AFTER_COMPUTE, "all-gather 1020 to 1000, 32 of type 1, root -1"]);
    comm.broadcast(0x1000n, 2 ** 33, 2);
    assert.deepEqual(calls(), [
      ...AFTER_COMPUTE,
      "broadcast 1000 to 1000, 8589934592 of type 1, root 2",
    ]);
    comm.join();
    assert.deepEqual(calls(), ["event 2 on nccl", "compute waits for event 2"]);
  },
});

Deno.test({
  name: "uneven parts go in one launch, one root each, and nothing is sent for empty ones",
  ignore,
  async fn() {
    await using standIn = await openStandIn();
    const { comm, calls } = standIn;
    calls();
    comm.reduceScatterSum(0x1000n, [16, 0, 5]);
    assert.deepEqual(calls(), [
      ...AFTER_COMPUTE,
      "group",
      "reduce 1000 to 1000, 16 of type 7, root 0",
      "reduce 1040 to 1040, 5 of type 7, root 2",
      "end of group",
    ]);
    comm.allGather(0x1000n, [0, 3, 4]);
    assert.deepEqual(calls(), [
      ...AFTER_COMPUTE,
      "group",
      "broadcast 1000 to 1000, 12 of type 1, root 1",
      "broadcast 100c to 100c, 16 of type 1, root 2",
      "end of group",
    ]);
    comm.allReduceSum(0x1000n, 0);
    comm.allGather(0x1000n, [0, 0, 0]);
    assert.deepEqual(calls(), [""]);
    assert.throws(() => comm.reduceScatterSum(0n, [1, 2]), RangeError);
    assert.throws(() => comm.broadcast(0n, 1, 3), RangeError);
  },
});

Deno.test({
  name: "finish() waits for the device while timers go on",
  ignore,
  async fn() {
    await using standIn = await openStandIn();
    const { comm, calls, set } = standIn;
    comm.allReduceSum(0x1000n, 10);
    calls();
    set(5, 7, 0); // busy five times, with collectives in progress, which is no error
    let ticks = 0;
    const timer = setInterval(() => ticks++, 0);
    await comm.finish();
    clearInterval(timer);
    assert.ok(ticks >= 2, `${ticks}`);
    assert.deepEqual(calls(), ["event 2 on nccl"]);
  },
});

Deno.test({
  name: "an error aborts the communicator and is told in NCCL's words",
  ignore,
  async fn() {
    {
      await using standIn = await openStandIn();
      standIn.set(0, 0, 1);
      const says =
        "Cannot run ncclAllReduce: NCCL 2.27.3 says: unhandled cuda error: socket closed (error 1)";
      assert.throws(() => standIn.comm.allReduceSum(0x1000n, 10), new Error(says));
      assert.equal(standIn.calls().at(-1), "abort");
      const message = `Cannot allReduceSum: the communicator has ended: ${says}`;
      assert.throws(() => standIn.comm.allReduceSum(0x1000n, 10), new Error(message));
      standIn.comm[Symbol.dispose]();
      assert.deepEqual(standIn.calls(), ["destroy stream", "release 5"]);
    }
    await using standIn = await openStandIn();
    standIn.set(1000, 6, 0);
    await assert.rejects(
      standIn.comm.finish(),
      /^Error: Cannot run collectives: NCCL 2\.27\.3 says: remote process exited: socket closed/,
    );
    assert.equal(standIn.calls().at(-1), "abort");
  },
});

Deno.test({
  name: "finish() gives up after its time, and aborts",
  ignore,
  async fn() {
    await using standIn = await openStandIn({ timeoutSeconds: 0.05 });
    standIn.set(1_000_000, 0, 0);
    await assert.rejects(
      standIn.comm.finish(),
      new Error("Cannot finish: collectives took longer than 0.05 s"),
    );
    assert.equal(standIn.calls().at(-1), "abort");
  },
});

Deno.test("a missing library is named, with what to install", async () => {
  const missing = openNcclComm(soloComm(), {
    device: 0,
    computeStream: 0n,
    libraryPath: "libmissing_nccl.so",
  });
  await assert.rejects(
    missing,
    /^Error: Cannot use NCCL: libmissing_nccl\.so is .+ nvidia-nccl-cu13/,
  );
});
