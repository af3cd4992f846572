import assert from "node:assert/strict";
import { canRun } from "../tests/support/can_run.ts";
import { repositoryPath, runScript, type ScriptOutput } from "../tests/support/run_script.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { openMpiComm } from "./mpi_comm.ts";

const ignore = !await canRun("cc", ["--version"]);

Deno.test("times that cannot be meant are refused before MPI is opened", async () => {
  for (
    const [options, message] of [
      [{ timeoutSeconds: -1 }, "timeoutSeconds is -1, not above 0 and at most 2000000"],
      [{ silenceSeconds: 2_000_001 }, "silenceSeconds is 2000001, not above 0 and at most 2000000"],
      [{ heartbeatSeconds: 11 }, "silenceSeconds is 20, less than two heartbeats of 11 s"],
      [{ silenceSeconds: 3 }, "silenceSeconds is 3, less than two heartbeats of 2 s"],
      [{ timeoutSeconds: 0 }, "timeoutSeconds is 0, not above 0 and at most 2000000"],
      [{ timeoutSeconds: 1e9 }, "timeoutSeconds is 1000000000, not above 0 and at most 2000000"],
      [{ heartbeatSeconds: NaN }, "heartbeatSeconds is NaN, not above 0 and at most 2000000"],
      [
        { heartbeatSeconds: 5, silenceSeconds: 9 },
        "silenceSeconds is 9, less than two heartbeats of 5 s",
      ],
    ] as const
  ) {
    await assert.rejects(
      openMpiComm({ ...options, libraryPath: "/nowhere" }),
      new RangeError(`Cannot open MPI: ${message}`),
    );
  }
});

Deno.test("times at their limits are taken", async () => {
  for (
    const options of [
      { timeoutSeconds: 2_000_000, silenceSeconds: 2_000_000, heartbeatSeconds: 1_000_000 },
      { heartbeatSeconds: 10 },
      { silenceSeconds: 4 },
      {},
    ]
  ) {
    await assert.rejects(
      openMpiComm({ ...options, libraryPath: "/nowhere" }),
      /^Error: Cannot open the MPI library \/nowhere: /,
    );
  }
});

/** What a rank of three does, whose MPI is a stand-in; each script with what goes wrong. */
async function ranks(
  scripts: readonly (readonly [work: string, wrong?: string, options?: string])[],
): Promise<ScriptOutput[]> {
  await using folder = await tempFolder();
  const library = `${folder.path}/libmpi.so`;
  const source = repositoryPath("tests/support/stand_in_mpi.c");
  const args = ["-shared", "-fPIC", "-DPEERS", "-o", library, source];
  const { code, stderr } = await new Deno.Command("cc", { args }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return await Promise.all(scripts.map(([work, wrong = "", options = "{}"]) =>
    runScript(
      `${wrong === "" ? "" : `Deno.env.set("STAND_IN", "${wrong}");`}
      const { openComm } = await import("${repositoryPath("comm/open_comm.ts")}");
      const comm = await openComm("mpi", { libraryPath: "${library}", ...${options} });
      ${work}`,
      ["--allow-ffi", "--allow-env=STAND_IN"],
    )
  ));
}

Deno.test({
  name: "a rank of three knows who is where, and passes collectives on with their types and parts",
  ignore,
  async fn() {
    const [{ code, stdout, stderr }] = await ranks([[
      `const { rank, size, localRank, localSize, name } = comm;
      console.log(rank, size, localRank, localSize, name);
      await comm.allReduceSum(new Float32Array(3));
      await comm.allReduceSum(new Float64Array(2));
      await comm.reduceScatterSum(new Float32Array(6), [1, 2, 3]);
      await comm.allGather(new Float32Array(6), [1, 2, 3]);
      await comm.allGather(new Uint8Array(3), [1, 1, 1]);
      await comm.broadcast(new Uint8Array(5), 2);
      await comm.broadcast(new Uint8Array(5));
      await comm.barrier();
      for (const [call, ...args] of [
        ["allReduceSum", new Int32Array(1)],
        ["reduceScatterSum", new Float32Array(1), [1]],
        ["allGather", new Float32Array(1), [1, 1, 1]],
        ["broadcast", new Uint8Array(1), 3],
      ]) await comm[call](...args).catch((error) => console.log(error.message));
      const none = [];
      for (const [kind, { calls, bytes, seconds }] of Object.entries(comm.traffic)) {
        console.log(kind, calls, bytes, seconds > 0);
      }
      await comm[Symbol.asyncDispose]();
      await comm[Symbol.asyncDispose]();
      await comm.barrier().catch((error) => console.log(error.message));
      console.log("end");`,
    ]]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.deepEqual(stdout.split("\n"), [
      "1 3 1 2 MPICH 9.8.7",
      "sum 3 floats",
      "sum 2 doubles",
      // Around the ring: of rank 1 to rank 2, from rank 0.
      "send 1 to 2, receive 3 floats from 0",
      "add 3 floats",
      "send 3 to 2, receive 2 floats from 0",
      "add 2 floats",
      "send 2 to 2, receive 1 floats from 0",
      "send 1 to 2, receive 3 floats from 0",
      "send 1 to 2, receive 1 bytes from 0",
      "send 1 to 2, receive 1 bytes from 0",
      "broadcast 5 bytes from 2",
      "broadcast 5 bytes from 0",
      "barrier",
      "Cannot allReduceSum: it sums a Float32Array or a Float64Array",
      "Cannot reduceScatterSum: 1 counts for 3 ranks",
      "Cannot allGather: the counts add up to 3, the array has 1",
      "Cannot broadcast from rank 3: the ranks are 0 to 2",
      "allReduceSum 2 28 true",
      "reduceScatterSum 1 24 true",
      "allGather 2 27 true",
      "broadcast 2 10 true",
      "barrier 1 0 true",
      "closes after 8 of kind 4",
      "Cannot run barrier: the communicator is closed",
      "end",
      "barrier of all",
      "finalized",
    ]);
  },
});

Deno.test({
  name: "a rank that ends otherwise than all ends all, and says why",
  ignore,
  async fn() {
    const ends = await ranks([
      ['comm.abort("no more of this", 7); console.log("still here");'],
      ['comm.abort("no more of this");'],
      ['setTimeout(() => { throw new Error("broken"); }); await new Promise(() => {});'],
      ['throw new SuppressedError(new Error("later"), new Error("first"));'],
      ['Promise.reject("a text"); await new Promise((resolve) => setTimeout(resolve, 5000));'],
      ["await comm.barrier(); Deno.exit(0);"],
      ["Deno.exit(5);"],
      ["await comm[Symbol.asyncDispose]();", "left"],
      [
        "await comm.barrier().catch((error) => console.log(error.message));" +
        "await comm[Symbol.asyncDispose](); Deno.exit(3);",
        "broken",
      ],
      [
        "await comm.barrier().catch((error) => console.log(error.message)); Deno.exit(4);",
        "late",
        "{ timeoutSeconds: 0.5 }",
      ],
    ]);
    const says = "rank 1 (here): ";
    const leaves = `${says}the process ends while other ranks go on, so all ranks end`;
    const failed = "Cannot run MPI_Barrier: MPICH 9.8.7 says: error of class 16 (error 16)";
    assert.deepEqual(
      ends.map(({ code, stdout, stderr }) => [code, stdout, stderr.split("\n")[0]]),
      [
        [7, "abort 7", `${says}no more of this`],
        [1, "abort 1", `${says}no more of this`],
        [1, "abort 1", `${says}Error: broken`],
        [1, "abort 1", `${says}Error: first`],
        [1, "abort 1", `${says}a text`],
        [1, "barrier\nabort 1", leaves],
        [5, "abort 5", leaves],
        [
          1,
          "closes after 0 of kind 0\nabort 1",
          `${says}rank 1 (here) left the run while rank 2 (there) waits for it in barrier (collective 3), so all ranks ` +
          "end",
        ],
        [3, `barrier\n${failed}\nabort 3`, `${says}${failed}, so all ranks end`],
        [
          4,
          "Cannot finish barrier (collective 1): it took longer than 0.5 s: rank 2 (there) has not joined it, and is at " +
          "collective 0\nabort 4",
          leaves,
        ],
      ],
    );
  },
});
