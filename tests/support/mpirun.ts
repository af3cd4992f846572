/** Starts programs between several ranks with the mpirun of one of two MPIs. */

import { denoArgs, type RunningProcess, startProgram } from "./process.ts";
import { repositoryPath } from "./run_script.ts";
import { canRun } from "./can_run.ts";

/** An MPI that Debian installs beside the other one. */
export interface Mpi {
  /** As the library names itself. */
  readonly name: "Open MPI" | "MPICH";
  readonly mpirun: string;
  /** Of mpirun: more ranks than cores, and no rank held to one core. */
  readonly flags: readonly string[];
  /** The library's name for the loader. */
  readonly library: string;
}

const ALL: readonly Mpi[] = [
  {
    name: "Open MPI",
    mpirun: "mpirun.openmpi",
    flags: ["--oversubscribe", "--bind-to", "none"],
    library: "libmpi.so.40",
  },
  { name: "MPICH", mpirun: "mpirun.mpich", flags: [], library: "libmpich.so.12" },
];

const ENVIRONMENT = {
  // Open MPI's refuses root, as whom tests run in containers.
  OMPI_ALLOW_RUN_AS_ROOT: "1",
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
  DENO_NO_UPDATE_CHECK: "1",
  // Seconds after which either mpirun ends ranks that a fault let hang.
  MPIEXEC_TIMEOUT: "120",
};

/** The MPIs of this machine. */
export const mpis: readonly Mpi[] = (await Promise.all(
  ALL.map(async (mpi) => await canRun(mpi.mpirun, ["--version"]) ? [mpi] : []),
)).flat();

if (mpis.length === 0) {
  console.warn("runs of several ranks are not tested: they need apt install openmpi-bin mpich");
}

/** What ranks are started with. */
export interface MpirunOptions {
  readonly ranks: number;
  readonly args?: readonly string[];
  /** @default those of MPI alone */
  readonly permissions?: readonly string[];
  /** Before the ranks' program. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The folder that it runs in. @default this one */
  readonly cwd?: string;
  /** A command that mpirun is run by. */
  readonly by?: readonly string[];
}

/** Starts a module of the repository once a rank; dispose of it to kill mpirun. */
export function mpirun(
  mpi: Mpi,
  module: string,
  { ranks, args, permissions, flags = [], env, cwd, by = [] }: MpirunOptions,
): RunningProcess {
  const [program, ...words] = [
    ...by,
    ...[mpi.mpirun, ...mpi.flags, ...flags, "-n", `${ranks}`, Deno.execPath()],
    ...denoArgs(repositoryPath(module), { permissions, args }),
  ];
  return startProgram(program, words, { cwd, env: { ...ENVIRONMENT, ...env } });
}

/** Processes of Deno that run in a folder, the oldest first: the ranks that were started there. */
export async function rankProcesses(cwd: string): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (await Deno.readLink(`/proc/${name}/cwd`) !== cwd) continue;
      // One that nobody waits for any more has ended.
      if (/^\d+ \(.*\) Z/.test(await Deno.readTextFile(`/proc/${name}/stat`))) continue;
      const command = await Deno.readTextFile(`/proc/${name}/cmdline`);
      if (command.startsWith(Deno.execPath())) found.push(Number(name));
    } catch {
      // It has ended since.
    }
  }
  return found.sort((a, b) => a - b);
}
