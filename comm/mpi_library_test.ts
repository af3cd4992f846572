import assert from "node:assert/strict";
import { canRun } from "../tests/support/can_run.ts";
import { repositoryPath, runScript, type ScriptOutput } from "../tests/support/run_script.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { libraryName, openMpiLibrary } from "./mpi_library.ts";

Deno.test("libraryName() is short, whatever the library says of itself", () => {
  // Texts of MPI_Get_library_version.
  for (
    const [text, name] of [
      [
        "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4",
        "Open MPI 4.1.4",
      ],
      ["MPICH Version:\t4.0.2\nMPICH Release date:\tThu Apr", "MPICH 4.0.2"],
      ["MPICH Version:      5.0.2\nMPICH ABI: 18:2:6", "MPICH 5.0.2"],
      ["Intel(R) MPI Library 2021.19.0 for Linux* OS\n", "Intel MPI 2021.19.0"],
      ["MPI VERSION    : CRAY MPICH version 8.1.29\n", "MPI VERSION : CRAY MPICH version 8.1.29"],
      [`Some MPI ${"x".repeat(100)}\0\0`, `Some MPI ${"x".repeat(51)}`],
    ]
  ) assert.equal(libraryName(text), name);
});

Deno.test("a missing library is named, with what to install", () => {
  assert.throws(
    () => openMpiLibrary({ names: ["libmissing_mpi.so.1"] }),
    /^Error: Cannot find an MPI library \(libmissing_mpi\.so\.1\): install it by `apt install openmpi-bin`/,
  );
  assert.throws(
    () => openMpiLibrary({ libraryPath: "/nowhere/libmpi.so" }),
    /^Error: Cannot open the MPI library \/nowhere\/libmpi\.so: .+No such file/,
  );
});

Deno.test("a library without a symbol of MPI's is none", () => {
  assert.throws(
    () => openMpiLibrary({ libraryPath: "libc.so.6" }),
    /^Error: Cannot open the MPI library libc\.so\.6: .+MPI_Get_library_version/,
  );
});

const compiles = await canRun("cc", ["--version"]);

/** Opens a stand-in in a process of its own and does some work with it. */
async function withStandIn(
  defines: readonly string[],
  work: string,
  options = "{}",
): Promise<ScriptOutput> {
  await using folder = await tempFolder();
  const library = `${folder.path}/libmpi.so`;
  const source = repositoryPath("tests/support/stand_in_mpi.c");
  const { code, stderr } = await new Deno.Command("cc", {
    args: ["-shared", "-fPIC", ...defines.map((each) => `-D${each}`), "-o", library, source],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return await runScript(
    `import { openComm } from "${repositoryPath("comm/open_comm.ts")}";
    const comm = await openComm("mpi", { libraryPath: "${library}", ...${options} });
    ${work}`,
    ["--allow-ffi"],
  );
}

for (const [family, defines] of [["MPICH", []], ["the standard ABI", ["STANDARD_ABI"]]] as const) {
  Deno.test({
    name: `the handles of ${family} are passed as its functions take them`,
    ignore: !compiles,
    async fn() {
      const work = `await using _ = comm;
        const [floats, doubles, bytes] = [Float32Array.of(1, 2), Float64Array.of(3), new Uint8Array(2)];
        await comm.allReduceSum(floats);
        await comm.allReduceSum(doubles);
        await comm.broadcast(bytes);
        await comm.barrier();
        await comm.reduceScatterSum(floats, [2]);
        await comm.allGather(bytes, [2]);
        console.log(comm.name, comm.rank, comm.size, ...floats, ...doubles, ...bytes);`;
      const { code, stdout, stderr } = await withStandIn(defines, work);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, "MPICH 9.8.7 0 1 1 4 6 7 7\nfinalized");
    },
  });
}

Deno.test({
  name: "a library without MPI_THREAD_MULTIPLE is refused",
  ignore: !compiles,
  async fn() {
    for (const defines of [["THREADS=2"], ["STANDARD_ABI", "THREADS=2048"]]) {
      const { code, stderr } = await withStandIn(defines, "");
      assert.equal(code, 1);
      assert.match(stderr, /Cannot use MPICH 9\.8\.7: it was built without .+MPI_THREAD_MULTIPLE/);
    }
  },
});

Deno.test({
  name: "an error of MPI's is told in its words",
  ignore: !compiles,
  async fn() {
    const { stdout, stderr } = await withStandIn(
      ["BROKEN"],
      "await comm.barrier().catch((e) => console.log(e.message));" +
        "await comm.barrier().catch((e) => console.log(e.message));",
    );
    const says = "Cannot run MPI_Barrier: MPICH 9.8.7 says: error of class 16 (error 16)";
    assert.equal(
      stdout,
      `${says}\nCannot run barrier: an earlier collective failed: ${says}`,
      stderr,
    );
  },
});

Deno.test({
  name: "a library that does not see the launcher's processes is refused",
  ignore: !compiles,
  async fn() {
    const options = '{ environment: { PMI_SIZE: "4" } }';
    const { code, stderr } = await withStandIn([], "", options);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /Cannot use MPICH 9\.8\.7 \(.+\): MPICH's mpirun started 4 processes, but the library sees 1;/,
    );
    assert.match(stderr, /ORTUNE_MPI_LIB/);
  },
});
