/** What training on pairs of replies cannot be combined with. In: training options. Out: an error, or none. */

import { UsageError } from "../../internal/usage_error.ts";
import { DEFAULT_OBJECTIVE } from "../objectives/objectives.ts";
import { isPairLoss } from "../objectives/pair_objectives.ts";
import type { TrainingOptions } from "./training_arguments.ts";

/** Options that a loss of pairs cannot be combined with, and why. */
const REFUSED: readonly {
  readonly flag: (options: TrainingOptions) => string | false | undefined;
  readonly why: string;
}[] = [
  {
    flag: ({ packing }) => packing && "--packing",
    why: "a batch has as many pairs as rows",
  },
  {
    flag: ({ tokensPerStep }) => tokensPerStep !== undefined && "--tokens-per-step",
    why: "a batch has as many pairs as rows",
  },
  {
    flag: ({ teach = "all" }) => teach !== "all" && `--teach ${teach}`,
    why: "of a pair both replies count, and none before them",
  },
  {
    flag: ({ truncation }) => truncation === "left" && "--truncation left",
    why: "both replies would lose other turns of their prompt",
  },
  { flag: ({ compat }) => compat && `--compat ${compat}`, why: "the seed knows no pairs" },
  {
    flag: ({ neftuneNoiseAlpha }) => !!neftuneNoiseAlpha && "--neftune-noise-alpha",
    why: "replies are compared without noise",
  },
];

/**
 * Refuses options that do not go with a loss of pairs, or with another.
 *
 * @throws {UsageError}
 */
export function assertPairOptions(options: TrainingOptions): void {
  const { loss = DEFAULT_OBJECTIVE, beta, metricForBestModel: metric = "", device } = options;
  if (!isPairLoss(loss)) {
    const idle = beta !== undefined
      ? `--beta ${beta}`
      : metric.startsWith("eval_rewards/")
      ? `--metric-for-best-model ${metric}`
      : undefined;
    if (idle === undefined) return;
    throw new UsageError(
      `Cannot use ${idle} with the loss ${loss}: it is of pairs; leave it out, or give --loss dpo or --loss orpo`,
    );
  }
  for (const { flag, why } of REFUSED) {
    const given = flag(options);
    if (!given) continue;
    throw new UsageError(`Cannot use ${given} with --loss ${loss}: ${why}; leave it out`);
  }
  if (device?.startsWith("cuda")) {
    throw new UsageError(
      `Cannot use --device ${device} with --loss ${loss}: pairs are weighed on the host between the forward and the ` +
        "backward pass, which a run on CUDA does not wait for; give --device cpu or --device webgpu",
    );
  }
}
