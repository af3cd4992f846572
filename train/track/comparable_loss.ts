/** An evaluation's loss beside the training loss, in charts. In: an evaluation. Out: the mean of the same kind. */

import type { EvaluateEvent } from "../events.ts";

/** A mean over tokens, or where pairs are trained on, over pairs. */
export function comparableLoss(
  { figures, evalLoss, evalTokenLoss }: Pick<
    EvaluateEvent,
    "figures" | "evalLoss" | "evalTokenLoss"
  >,
): number {
  return figures && "rewards/margins" in figures ? evalLoss : evalTokenLoss;
}
