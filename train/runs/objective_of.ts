/** What a run minimizes. In: its arguments. Out: an objective. */

import type { Objective } from "../../model/graphs/objective.ts";
import { labelSmoothing } from "../objectives/label_smoothing.ts";
import { findObjective } from "../objectives/objectives.ts";
import { findPairObjective, isPairLoss } from "../objectives/pair_objectives.ts";
import type { PairObjective } from "../pair_objective.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** The objective of single replies that the arguments name; of pairs that of a token. */
export function objectiveOf(
  { loss, labelSmoothingFactor = 0 }: Pick<TrainingArguments, "loss" | "labelSmoothingFactor">,
): Objective {
  if (isPairLoss(loss)) return findObjective();
  return labelSmoothingFactor > 0 ? labelSmoothing(labelSmoothingFactor) : findObjective(loss);
}

/** The objective of pairs that the arguments name; undefined of single replies. */
export function pairObjectiveOf(
  { loss, beta }: Pick<TrainingArguments, "loss" | "beta">,
): PairObjective | undefined {
  return loss !== undefined && isPairLoss(loss) ? findPairObjective(loss, beta) : undefined;
}
