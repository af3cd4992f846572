/**
 * How this process was started.
 *
 * In: variables of the environment. Out: the launcher and its number of processes, or undefined where
 * none started it.
 */

import { isCount } from "../internal/json/is_count.ts";

/** Variables that tell of a launcher, and `ORTUNE_MPI_LIB`, which names a library. */
export const COMM_VARIABLES = [
  "ORTUNE_MPI_LIB",
  // Open MPI's mpirun, https://docs.open-mpi.org/en/v5.0.x/tuning-apps/environment-var.html
  "OMPI_COMM_WORLD_SIZE",
  "OMPI_COMM_WORLD_RANK",
  // MPICH's and Intel MPI's mpirun, srun --mpi=pmi2: the PMI that they start processes with.
  "PMI_SIZE",
  "PMI_RANK",
  // srun --mpi=pmix, prterun; it has no variable for the size.
  "PMIX_RANK",
  // Slurm's number of tasks of this step: 1 in an interactive salloc, https://slurm.schedmd.com/srun.html
  "SLURM_STEP_NUM_TASKS",
  "SLURM_PROCID",
] as const;

/** The variables above, those that are set. */
export type CommEnvironment = Readonly<Record<string, string | undefined>>;

/** Who started this process. */
export interface MpiLaunch {
  /** In words, for messages. */
  readonly launcher: string;
  /** The one library that it can start processes for, where it is of a library. */
  readonly library?: "Open MPI" | "MPICH";
  /** The library that is tried first of several that it may start processes for. @default Open MPI */
  readonly prefers?: "MPICH";
  /** Number of processes; undefined where the launcher does not tell. */
  readonly size?: number;
}

/** The number that a launcher gave this process, known before MPI is opened; 0 where none started it. */
export function launchedRank(environment: CommEnvironment): number {
  const names = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"] as const;
  const ranks = names.map((name) => Number(environment[name] || NaN));
  return ranks.find(isCount) ?? 0;
}

/**
 * The launcher that the environment tells of.
 *
 * @throws {Error} where srun started several processes without an interface of MPI's
 */
export function findLaunch(environment: CommEnvironment): MpiLaunch | undefined {
  const sizeOf = (name: typeof COMM_VARIABLES[number]): number | undefined => {
    const size = Number(environment[name] || NaN);
    return isCount(size) && size > 0 ? size : undefined;
  };
  const openMpi = sizeOf("OMPI_COMM_WORLD_SIZE");
  if (openMpi !== undefined) {
    return { launcher: "Open MPI's mpirun", library: "Open MPI", size: openMpi };
  }
  const tasks = sizeOf("SLURM_STEP_NUM_TASKS");
  const pmi = sizeOf("PMI_SIZE");
  if (pmi !== undefined) {
    // Slurm's PMI serves whichever library was built for it: MPICH's is, Open MPI's seldom, and since 5 never.
    if (tasks === pmi && pmi > 1) return { launcher: "srun", prefers: "MPICH", size: pmi };
    return { launcher: "MPICH's mpirun", library: "MPICH", size: pmi };
  }
  if (environment.PMIX_RANK) return { launcher: "a PMIx launcher, such as srun", size: tasks };
  if (tasks === undefined || tasks === 1) return undefined;
  throw new Error(
    `Cannot join the ${tasks} processes that srun started: it gave them no interface of MPI's; ` +
      "use `srun --mpi=pmix` (`srun --mpi=list` says what there is), or run each by itself",
  );
}
