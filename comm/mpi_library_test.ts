import assert from "node:assert/strict";
import { canRun } from "../tests/support/can_run.ts";
import { repositoryPath, runScript, type ScriptOutput } from "../tests/support/run_script.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { MPI_ABI, MPICH } from "./mpi_handles.ts";
import type { MpiLaunch } from "./mpi_launch.ts";
import { libraryName, openMpiLibrary } from "./mpi_library.ts";
import { mpiSymbols } from "./mpi_symbols.ts";

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

/** What a library of the test's says of itself. */
interface FakeLibrary {
  readonly text: string;
  /** Version of the standard ABI that it answers. @default it has no such function */
  readonly abi?: number;
  /** Whether it has Open MPI's objects. */
  readonly objects?: boolean;
}

/** Opens the library of these names that belongs to a launcher. */
function found(
  libraries: Readonly<Record<string, FakeLibrary>>,
  options: { readonly libraryPath?: string; readonly launch?: MpiLaunch } = {},
) {
  const { dlopen } = Deno;
  const opened: string[] = [];
  Object.assign(Deno, {
    dlopen(path: string, symbols: Record<string, object>) {
      opened.push(`${path} ${Object.keys(symbols).length}`);
      const library = libraries[path];
      if (!library) throw new Error(`Could not open library: no ${path}`);
      const { text, abi, objects } = library;
      const at = (name: string) => name.length;
      return {
        symbols: {
          MPI_Get_library_version(into: Uint8Array, length: Int32Array): void {
            const bytes = new TextEncoder().encode(text);
            into.set(bytes);
            into.set([33, 33], bytes.length);
            length[0] = bytes.length;
          },
          MPI_Abi_get_version: abi === undefined
            ? null
            : (major: Int32Array) => void (major[0] = abi),
          ...Object.fromEntries(
            Object.keys(symbols).filter((name) => name.startsWith("ompi_"))
              .map((name) => [name, objects ? Deno.UnsafePointer.create(BigInt(at(name))) : null]),
          ),
        },
      };
    },
  });
  try {
    const { symbols: _, ...library } = openMpiLibrary(options);
    return { library, opened };
  } catch (error) {
    return { message: (error as Error).message, opened };
  } finally {
    Object.assign(Deno, { dlopen });
  }
}

const OPEN_MPI: FakeLibrary = { text: "Open MPI v4.1.4, package: x", objects: true };
const OF_MPICH: FakeLibrary = { text: "MPICH Version:\t4.0.2\nx" };
const OPEN_HANDLES = {
  handle: "usize",
  // The test's objects lie at the lengths of their names.
  world: BigInt("ompi_mpi_comm_world".length),
  float: BigInt("ompi_mpi_float".length),
  double: BigInt("ompi_mpi_double".length),
  byte: BigInt("ompi_mpi_byte".length),
  sum: BigInt("ompi_mpi_op_sum".length),
  errorsReturn: BigInt("ompi_mpi_errors_return".length),
  inPlace: 1n,
  statusIgnore: 0n,
  procNull: -2,
  anySource: -1,
  threadMultiple: 3,
};

Deno.test("handles are those of the library's family: Open MPI's, MPICH's, or the standard's", () => {
  const path = "libmpi.so.40";
  assert.deepEqual(found({ [path]: OPEN_MPI }), {
    library: { path, name: "Open MPI 4.1.4", family: "open-mpi", handles: OPEN_HANDLES },
    opened: [`${path} 3`, `${path} 6`, `${path} ${Object.keys(mpiSymbols("usize")).length}`],
  });
  // One that is not of the standard ABI answers −1.
  for (const abi of [undefined, -1, 0]) {
    assert.deepEqual(found({ [path]: { ...OF_MPICH, abi } }).library, {
      path,
      name: "MPICH 4.0.2",
      family: "mpich",
      handles: MPICH,
    });
  }
  assert.deepEqual(found({ [path]: { ...OPEN_MPI, abi: 1 } }).library, {
    path,
    name: "Open MPI 4.1.4",
    family: "mpi-abi",
    handles: MPI_ABI,
  });
});

Deno.test("names are tried in the launcher's order, and the first that belongs to it is taken", () => {
  const openMpi: MpiLaunch = { launcher: "Open MPI's mpirun", library: "Open MPI", size: 2 };
  const mpich: MpiLaunch = { launcher: "MPICH's mpirun", library: "MPICH", size: 2 };
  const both = { "libmpi.so.40": OPEN_MPI, "libmpich.so.12": OF_MPICH };
  const pathOf = (...args: Parameters<typeof found>) => found(...args).library?.path;
  assert.equal(pathOf(both), "libmpi.so.40");
  assert.equal(pathOf(both, { launch: openMpi }), "libmpi.so.40");
  assert.equal(pathOf(both, { launch: mpich }), "libmpich.so.12");
  assert.equal(pathOf(both, { launch: { launcher: "srun", prefers: "MPICH" } }), "libmpich.so.12");
  assert.equal(pathOf(both, { launch: { launcher: "srun" } }), "libmpi.so.40");
  assert.equal(pathOf({ ...both, mine: OF_MPICH }, { libraryPath: "mine" }), "mine");
  const tried = (launch?: MpiLaunch) =>
    found({}, { launch }).opened.map((line) => line.split(" ")[0]);
  const others = ["libmpich.so.12", "libmpi.so.12", "libmpi_abi.so.1", "libmpi.so"];
  assert.deepEqual(tried(), ["libmpi.so.40", ...others]);
  assert.deepEqual(tried({ launcher: "srun", prefers: "MPICH" }), [...others, "libmpi.so.40"]);
});

Deno.test("a library of another launcher's is refused, with what there is to do", () => {
  const launch: MpiLaunch = { launcher: "Open MPI's mpirun", library: "Open MPI", size: 2 };
  const cannot = "Cannot use MPI: Open MPI's mpirun started this process, but the library is ";
  assert.equal(
    found({ "libmpich.so.12": OF_MPICH, "libmpi.so": OF_MPICH }, { launch }).message,
    `${cannot}MPICH 4.0.2 (libmpich.so.12) and MPICH 4.0.2 (libmpi.so), in which each process would be alone; install ` +
      "Open MPI or start with the other's mpirun (on Debian mpirun.openmpi and mpirun.mpich)",
  );
  assert.equal(
    found({ mine: OF_MPICH }, { launch, libraryPath: "mine" }).message,
    `${cannot}MPICH 4.0.2 (mine), in which each process would be alone; let ORTUNE_MPI_LIB name the library of Open MPI, ` +
      "or start with the other's mpirun",
  );
  assert.equal(
    found({}, { launch, libraryPath: "mine" }).message,
    "Cannot open the MPI library mine: no mine",
  );
  assert.match(
    found({}, { launch }).message!,
    /^Cannot find an MPI library \(libmpi\.so\.40, libmpich\.so\.12, libmpi\.so\.12, libmpi_abi\.so\.1, libmpi\.so\): /,
  );
});

Deno.test("handles and constants are those of mpi.h", () => {
  // MPICH 4.0.2; MPI 5.0, chapter 20.
  assert.deepEqual(MPICH, {
    handle: "i32",
    world: 0x44000000,
    float: 0x4c00040a,
    double: 0x4c00080b,
    byte: 0x4c00010d,
    sum: 0x58000003,
    errorsReturn: 0x54000001,
    inPlace: 2n ** 64n - 1n,
    statusIgnore: 1n,
    procNull: -1,
    anySource: -2,
    threadMultiple: 3,
  });
  assert.deepEqual(MPI_ABI, {
    handle: "usize",
    world: 0x101,
    float: 0x210,
    double: 0x214,
    byte: 0x247,
    sum: 0x21,
    errorsReturn: 0x143,
    inPlace: 1n,
    statusIgnore: 0n,
    procNull: -3,
    anySource: -1,
    threadMultiple: 4096,
  });
  assert.deepEqual(mpiSymbols("i32").MPI_Abort.parameters, ["i32", "i32"] as unknown);
  assert.deepEqual(mpiSymbols("usize").MPI_Abort.parameters, ["usize", "i32"]);
});
