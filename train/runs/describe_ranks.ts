/** What a run of several processes should know of them. In: their `Comm`. Out: a line each. */

import type { Comm } from "../../comm/comm.ts";
import type { ProcessorShare } from "../../comm/processor_share.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** Nothing of one process. */
export function describeRanks(
  { size, localSize, name }: Pick<Comm, "size" | "localSize" | "name">,
  { threads, even }: ProcessorShare,
  { shardOptimizer = false, threads: asked }: Pick<TrainingArguments, "shardOptimizer" | "threads">,
): string[] {
  if (size === 1) {
    return shardOptimizer
      ? ["note: --shard-optimizer has no effect on one process; start more with mpirun"]
      : [];
  }
  const here = localSize === size ? "" : `, ${localSize} of them on this machine`;
  const state = shardOptimizer ? "a part of the optimizer's state on each" : "all state on each";
  const own = asked ?? threads;
  return [
    `${size} processes by ${name}${here}: ${own} ${
      own === 1 ? "thread" : "threads"
    } each, ${state}`,
    ...even !== undefined && own < even
      ? [
        `note: the launcher keeps each process to ${threads} of the ${even} processors that it could have; ` +
        "start with mpirun --bind-to none (MPICH: -bind-to none)",
      ]
      : [],
  ];
}
