/** Settings that have no effect, said before the run. In: training arguments. Out: a line each. */

import { hasWarmup } from "../schedule.ts";
import { schedules } from "../schedules/schedules.ts";
import { warmupUpdates } from "./warmup_updates.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** Names of the arguments that are looked at. */
type Settings = Pick<
  TrainingArguments,
  | "lrSchedulerType"
  | "warmupSteps"
  | "warmupRatio"
  | "evalStrategy"
  | "loadBestModelAtEnd"
  | "metricForBestModel"
  | "earlyStoppingPatience"
  | "earlyStoppingThreshold"
  | "validationFile"
  | "validationSplitPercentage"
  | "perDeviceEvalBatchSize"
  | "evalGenerate"
  | "evalMaxNewTokens"
  | "compat"
  | "emptyThink"
  | "chatTemplate"
  | "teach"
  | "truncation"
>;

/** Settings that others make void; of the warmup's length see {@linkcode describeWarmup}. */
export function describeIdleSettings(args: Settings): string[] {
  const said: string[] = [];
  const { warmupSteps, warmupRatio = 0 } = args;
  if (warmupSteps > 0 && warmupRatio > 0) {
    said.push(`--warmup-ratio ${warmupRatio} has no effect beside --warmup-steps ${warmupSteps}`);
  }
  if (Math.max(warmupSteps, warmupRatio) > 0 && !hasWarmup(schedules[args.lrSchedulerType].make)) {
    said.push(
      `${describeFlag(args)} has no effect: the schedule ${args.lrSchedulerType} has no ` +
        "warmup; for one use --lr-scheduler-type constant_with_warmup",
    );
  }
  const chooses = args.loadBestModelAtEnd || args.earlyStoppingPatience !== undefined;
  if (args.earlyStoppingThreshold > 0 && args.earlyStoppingPatience === undefined) {
    said.push("--early-stopping-threshold has no effect without --early-stopping-patience");
  }
  if (args.metricForBestModel !== "eval_loss" && !chooses) {
    said.push(
      "--metric-for-best-model has no effect without --load-best-model-at-end or " +
        "--early-stopping-patience",
    );
  }
  const evaluates = (args.validationFile ?? args.validationSplitPercentage) !== undefined;
  if (args.evalStrategy === "epoch" && !evaluates) {
    said.push("--eval-strategy has no effect without --validation-file");
  }
  if (args.perDeviceEvalBatchSize !== undefined && !evaluates) {
    said.push("--per-device-eval-batch-size has no effect without --validation-file");
  }
  if (args.evalGenerate && !evaluates) {
    said.push("--eval-generate has no effect without --validation-file");
  }
  if (args.evalMaxNewTokens !== undefined && !args.evalGenerate) {
    said.push("--eval-max-new-tokens has no effect without --eval-generate");
  }
  if (args.compat === "seed" && args.chatTemplate !== undefined) {
    said.push("--chat-template has no effect on training with --compat seed, which uses none");
  }
  if (args.compat === "seed" && (args.emptyThink ?? "teach") !== "teach") {
    said.push("--empty-think has no effect with --compat seed, which writes None as thinking");
  }
  if (args.compat === "seed" && (args.teach ?? "all") !== "all") {
    said.push("--teach has no effect with --compat seed, whose rows have one reply");
  }
  if (args.compat === "seed" && (args.truncation ?? "right") !== "right") {
    said.push("--truncation has no effect with --compat seed, which cuts the end off");
  }
  return said;
}

/** What a warmup longer than the run means. */
export function describeWarmup(
  args: Pick<
    TrainingArguments,
    "lrSchedulerType" | "lrSchedulerKwargs" | "warmupSteps" | "warmupRatio" | "learningRate"
  >,
  updates: number,
): string[] {
  const { learningRate: peak, lrSchedulerKwargs: settings } = args;
  const { make } = schedules[args.lrSchedulerType];
  const warmup = warmupUpdates(args, updates);
  if (warmup < updates || warmup === 0) return [];
  if (!hasWarmup(make)) return [];
  const rate = make({ peak, totalSteps: updates, warmupSteps: warmup, settings });
  const highest = rate(Math.max(0, updates - 1));
  return [
    `the learning rate never reaches --learning-rate ${peak}: ${describeFlag(args)} is as ` +
    `long as the run of ${updates} updates or longer, so it ends at ${highest.toPrecision(3)}`,
  ];
}

/** The flag that decides the warmup. */
function describeFlag(
  { warmupSteps, warmupRatio }: Pick<TrainingArguments, "warmupSteps" | "warmupRatio">,
): string {
  return warmupSteps > 0 ? `--warmup-steps ${warmupSteps}` : `--warmup-ratio ${warmupRatio}`;
}
