/** How long the learning rate rises. In: training arguments and all updates of the run. Out: updates. */

import { updatesOf } from "../interval.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** Updates of the warmup, as transformers' `get_warmup_steps` counts them: a share is rounded up. */
export function warmupUpdates(
  { warmupSteps, warmupRatio = 0 }: Pick<TrainingArguments, "warmupSteps" | "warmupRatio">,
  totalSteps: number,
): number {
  if (warmupSteps > 0) return updatesOf(warmupSteps, totalSteps);
  return Math.ceil(totalSteps * warmupRatio);
}
