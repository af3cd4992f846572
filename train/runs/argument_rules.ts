/** What each argument of a run may be: for flags, and for programs, which no command line checks. */

import {
  BELOW_ONE,
  COUNT,
  COUNT_OR_SHARE,
  COUNT_OR_ZERO,
  COUNT_SHARE_OR_ZERO,
  type NumberRange,
  PERCENTAGE,
  POSITIVE,
  POSITIVE_OR_ZERO,
  SEED,
  SHARE,
} from "../../internal/number_range.ts";
import { describeValue } from "../../internal/json/describe_value.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { UsageError } from "../../internal/usage_error.ts";
import { INTERVAL_STRATEGIES } from "../interval.ts";
import { objectives } from "../objectives/objectives.ts";
import { pairObjectives } from "../objectives/pair_objectives.ts";
import { BEST_METRICS } from "../best_evaluation.ts";
import { optimizers } from "../optimizers/optimizers.ts";
import { scheduleFault, schedules } from "../schedules/schedules.ts";
import { TRAINING_PRECISIONS } from "../training_precision.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** Names of the arguments that are numbers. */
type NumberArgument = {
  [Name in keyof TrainingArguments]-?: NonNullable<TrainingArguments[Name]> extends number ? Name
    : never;
}[keyof TrainingArguments];

/** The numbers that each may be. */
export const ARGUMENT_RANGES: Readonly<Record<NumberArgument, NumberRange>> = {
  numTrainEpochs: POSITIVE,
  maxSteps: COUNT_OR_ZERO,
  perDeviceTrainBatchSize: COUNT,
  perDeviceEvalBatchSize: COUNT,
  gradientAccumulationSteps: COUNT,
  tokensPerStep: COUNT,
  learningRate: POSITIVE,
  warmupSteps: COUNT_SHARE_OR_ZERO,
  warmupRatio: SHARE,
  adamBeta1: BELOW_ONE,
  adamBeta2: BELOW_ONE,
  adamEpsilon: POSITIVE_OR_ZERO,
  weightDecay: POSITIVE_OR_ZERO,
  maxGradNorm: POSITIVE_OR_ZERO,
  labelSmoothingFactor: SHARE,
  beta: POSITIVE,
  neftuneNoiseAlpha: POSITIVE_OR_ZERO,
  trainLayers: COUNT,
  maxLength: COUNT,
  loggingSteps: COUNT_OR_SHARE,
  evalSteps: COUNT_SHARE_OR_ZERO,
  saveSteps: COUNT_SHARE_OR_ZERO,
  saveTotalLimit: COUNT,
  earlyStoppingPatience: COUNT,
  earlyStoppingThreshold: POSITIVE_OR_ZERO,
  evalGenerate: COUNT_OR_ZERO,
  evalMaxNewTokens: COUNT,
  predictionSamples: COUNT_OR_ZERO,
  predictionMaxNewTokens: COUNT,
  seed: SEED,
  threads: COUNT,
  validationSplitPercentage: PERCENTAGE,
  mixSeed: SEED,
  maxRows: COUNT,
};

/** The texts that each may be, of those that have a list. */
export const ARGUMENT_CHOICES = {
  emptyThink: ["teach", "prompt", "omit"],
  teach: ["all", "last", "marked"],
  truncation: ["right", "left", "drop", "error"],
  lrSchedulerType: Object.keys(schedules),
  reportTo: ["tensorboard", "swanlab"],
  evalStrategy: INTERVAL_STRATEGIES,
  saveStrategy: INTERVAL_STRATEGIES,
  metricForBestModel: BEST_METRICS,
  mixStrategy: ["first_exhausted", "all_exhausted"],
  compat: ["seed"],
  optim: Object.keys(optimizers),
  loss: [...Object.keys(objectives), ...Object.keys(pairObjectives)],
  precision: TRAINING_PRECISIONS,
  kernels: ["auto", "off", "sync"],
} as const satisfies Readonly<Partial<Record<keyof TrainingArguments, readonly string[]>>>;

/** Refuses settings that the schedule does not have. */
function assertSchedule(
  { lrSchedulerType, lrSchedulerKwargs, learningRate }: Readonly<Record<string, unknown>>,
): void {
  const settings = lrSchedulerKwargs ?? {};
  if (!isRecord(settings)) {
    throw new UsageError(
      `Cannot train with lrSchedulerKwargs ${
        describeValue(settings)
      }: it must be an object of settings`,
    );
  }
  const name = lrSchedulerType as string;
  const fault = scheduleFault(name, { peak: learningRate as number, settings });
  if (fault === undefined) return;
  throw new UsageError(
    `Cannot train with the schedule ${name}: ${fault}; see --lr-scheduler-kwargs`,
  );
}

/**
 * Refuses what no flag could have said.
 *
 * @throws {UsageError} naming the first argument that is not what it may be
 */
export function assertArguments(args: Readonly<Record<string, unknown>>): void {
  const refuse = (name: string, what: string): never => {
    throw new UsageError(
      `Cannot train with ${name} ${describeValue(args[name])}: it must be ${what}`,
    );
  };
  for (const [name, { what, holds }] of Object.entries(ARGUMENT_RANGES)) {
    const value = args[name];
    if (
      value === undefined || typeof value === "number" && Number.isFinite(value) && holds(value)
    ) {
      continue;
    }
    refuse(name, what);
  }
  for (const [name, choices] of Object.entries<readonly string[]>(ARGUMENT_CHOICES)) {
    const values = [args[name] ?? []].flat();
    if (values.every((value) => choices.includes(value as string))) continue;
    refuse(name, name === "reportTo" ? `a list of ${choices.join(" and ")}` : choices.join(" or "));
  }
  assertSchedule(args);
}
