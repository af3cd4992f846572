/** What becomes of a schedule when a resumed run is made longer or shorter. Out: a line, or none. */

import type { StartEvent } from "../events.ts";
import { formatLearningRate } from "../track/format_units.ts";
import type { Schedule } from "../schedule.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/**
 * Says from which learning rate the run goes on.
 *
 * @param schedule of this run's arguments, for a number of updates
 */
export function describeLengthened(
  { totalSteps, resumedStep, plannedSteps = totalSteps }: Pick<
    StartEvent,
    "totalSteps" | "resumedStep" | "plannedSteps"
  >,
  { lrSchedulerType }: Pick<TrainingArguments, "lrSchedulerType">,
  schedule: (totalSteps: number) => Schedule,
): string[] {
  if (plannedSteps === totalSteps) return [];
  const [before, now] = [plannedSteps, totalSteps].map((steps) => schedule(steps)(resumedStep));
  const rate = before === now
    ? `the learning rate stays at ${formatLearningRate(now)}`
    : `the next learning rate is ${formatLearningRate(now)}, not ${formatLearningRate(before)}`;
  return [
    `the run was to make ${plannedSteps} updates and now makes ${totalSteps}: the schedule ` +
    `${lrSchedulerType} goes on as if it had been laid out over ${totalSteps} from the start, so ${rate}`,
  ];
}
