/** What a run of several processes should know of them. In: their `Comm`. Out: a line each. */

import type { Comm } from "../../comm/comm.ts";
import type { ProcessorShare } from "../../comm/processor_share.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import type { DerivedTraining } from "./resolve_training.ts";
import { plural } from "../../internal/plural.ts";

/** Nothing of one process. */
export function describeRanks(
  { size, localSize, name }: Pick<Comm, "size" | "localSize" | "name">,
  { threads, even }: ProcessorShare,
  { args: { shardOptimizer = false, threads: asked }, device }: Pick<
    DerivedTraining,
    "args" | "device"
  >,
): string[] {
  if (size === 1) {
    return shardOptimizer
      ? ["note: --shard-optimizer has no effect on one process; start more with mpirun"]
      : [];
  }
  const here = localSize === size ? "" : `, ${localSize} of them on this machine`;
  const onHost = deviceTraits(device).hostMemory;
  const state = shardOptimizer ? "a part of the optimizer's state on each" : "all state on each";
  const own = asked ?? threads;
  const computing = onHost ? `${own} ${plural(own, "thread")}` : "a GPU";
  return [
    `${size} processes by ${name}${here}: ${computing} each, ${state}`,
    ...onHost && even !== undefined && own < even
      ? [
        `note: the launcher keeps each process to ${threads} of the ${even} processors that it could have; ` +
        "start with mpirun --bind-to none (MPICH: -bind-to none)",
      ]
      : [],
  ];
}
