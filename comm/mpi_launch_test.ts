import assert from "node:assert/strict";
import { COMM_VARIABLES, findLaunch, launchedRank } from "./mpi_launch.ts";
import { openComm } from "./open_comm.ts";

Deno.test("findLaunch() tells launchers apart", () => {
  const openMpi = { launcher: "Open MPI's mpirun", library: "Open MPI", size: 4 };
  // As Open MPI's mpirun sets them inside of a Slurm allocation.
  assert.deepEqual(
    findLaunch({ OMPI_COMM_WORLD_SIZE: "4", PMIX_RANK: "2", SLURM_STEP_NUM_TASKS: "1" }),
    openMpi,
  );
  assert.deepEqual(findLaunch({ PMI_SIZE: "4", SLURM_STEP_NUM_TASKS: "2" }), {
    launcher: "MPICH's mpirun",
    library: "MPICH",
    size: 4,
  });
  assert.deepEqual(findLaunch({ PMI_SIZE: "4", SLURM_STEP_NUM_TASKS: "4" }), {
    launcher: "srun",
    prefers: "MPICH",
    size: 4,
  });
  assert.deepEqual(findLaunch({ PMIX_RANK: "0", SLURM_STEP_NUM_TASKS: "8" }), {
    launcher: "a PMIx launcher, such as srun",
    size: 8,
  });
  assert.equal(findLaunch({ PMIX_RANK: "0" })?.size, undefined);
});

Deno.test("launchedRank() knows the process before MPI is opened", () => {
  assert.equal(launchedRank({ OMPI_COMM_WORLD_RANK: "3", PMIX_RANK: "3", SLURM_PROCID: "0" }), 3);
  assert.equal(launchedRank({ PMI_RANK: "1", SLURM_PROCID: "1" }), 1);
  assert.equal(launchedRank({ PMIX_RANK: "2" }), 2);
  assert.equal(launchedRank({ SLURM_PROCID: "4" }), 4);
  for (const none of [{}, { PMI_RANK: "" }, { PMIX_RANK: "x" }]) {
    assert.equal(launchedRank(none), 0);
  }
});

Deno.test("without a launcher, in an interactive salloc, and after srun -n 1 there is none", async () => {
  assert.equal(findLaunch({}), undefined);
  assert.equal(findLaunch({ SLURM_STEP_NUM_TASKS: "1" }), undefined);
  assert.equal(findLaunch({ OMPI_COMM_WORLD_SIZE: "", PMI_SIZE: "x", PMIX_RANK: "" }), undefined);
  await using comm = await openComm("auto", {
    environment: { PMIX_RANK: "0", SLURM_STEP_NUM_TASKS: "1", SLURM_NTASKS: "4" },
  });
  assert.equal(comm.name, "solo");
});

Deno.test("several processes of srun's without MPI are refused, unless each is by itself", async () => {
  const environment = { SLURM_STEP_NUM_TASKS: "4" };
  await assert.rejects(
    openComm("auto", { environment }),
    /^Error: Cannot join the 4 processes that srun started: .+ `srun --mpi=pmix`/,
  );
  await using comm = await openComm("off", { environment });
  assert.equal(comm.size, 1);
});

Deno.test("auto must be told of the environment, by few names", async () => {
  await assert.rejects(openComm("auto"), TypeError);
  assert.equal(COMM_VARIABLES.length, 8);
});

Deno.test("findLaunch() takes each launcher's own number of processes, where it is one", () => {
  const sizes = (name: string) =>
    ["0", "-1", "1.5", "x", "", "1", "12"].map((value) => findLaunch({ [name]: value })?.size);
  const none = Array(5).fill(undefined);
  assert.deepEqual(sizes("OMPI_COMM_WORLD_SIZE"), [...none, 1, 12]);
  assert.deepEqual(sizes("PMI_SIZE"), [...none, 1, 12]);
  // One process of srun's is a task like another.
  assert.deepEqual(findLaunch({ PMI_SIZE: "1", SLURM_STEP_NUM_TASKS: "1" }), {
    launcher: "MPICH's mpirun",
    library: "MPICH",
    size: 1,
  });
  assert.deepEqual(findLaunch({ PMI_SIZE: "2", SLURM_STEP_NUM_TASKS: "2" }), {
    launcher: "srun",
    prefers: "MPICH",
    size: 2,
  });
  assert.throws(() => findLaunch({ SLURM_STEP_NUM_TASKS: "2" }), {
    message:
      "Cannot join the 2 processes that srun started: it gave them no interface of MPI's; use `srun --mpi=pmix` " +
      "(`srun --mpi=list` says what there is), or run each by itself",
  });
  assert.equal(launchedRank({ OMPI_COMM_WORLD_RANK: "0", SLURM_PROCID: "5" }), 0);
});

Deno.test("openComm() opens a library only where one is asked for or needed, and tells which", async () => {
  await using alone = await openComm("auto", { environment: { OMPI_COMM_WORLD_SIZE: "1" } });
  assert.equal(alone.name, "solo");
  await using without = await openComm("auto", { environment: {} });
  assert.equal(without.name, "solo");
  const refused = (path: string, ...args: Parameters<typeof openComm>) =>
    assert.rejects(openComm(...args), {
      message: new RegExp(`^Cannot open the MPI library ${path}: `),
    });
  const environment = { ORTUNE_MPI_LIB: "/from/environment" };
  await refused("/from/environment", "mpi", { environment });
  await refused("/given", "mpi", { environment, libraryPath: "/given" });
  await refused("/given", "mpi", { libraryPath: "/given" });
  await refused("/given", "auto", {
    environment: { OMPI_COMM_WORLD_SIZE: "2" },
    libraryPath: "/given",
  });
  await assert.rejects(openComm("auto"), {
    name: "TypeError",
    message:
      'Cannot open a communicator by "auto" without the environment: pass Deno.env.toObject(), or "mpi" or "off"',
  });
});
