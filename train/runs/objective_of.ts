/** What a run minimizes. In: its arguments. Out: an objective. */

import type { Objective } from "../../model/graphs/objective.ts";
import { labelSmoothing } from "../objectives/label_smoothing.ts";
import { findObjective } from "../objectives/objectives.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** The objective that the arguments name. */
export function objectiveOf(
  { loss, labelSmoothingFactor = 0 }: Pick<TrainingArguments, "loss" | "labelSmoothingFactor">,
): Objective {
  return labelSmoothingFactor > 0 ? labelSmoothing(labelSmoothingFactor) : findObjective(loss);
}
