/** What a run will do, in numbers. In: training flags and examples. Out: updates, tokens, padding. */

import { planEpoch } from "../../data/batches/epoch_plan.ts";
import type { ExampleList } from "../../data/examples/example_list.ts";
import { nextFit } from "../../data/batches/next_fit.ts";
import { computedTokens, type Layout } from "../../model/engine/without_padding.ts";
import { formatCount } from "../track/format_units.ts";
import { isPairLoss } from "../objectives/pair_objectives.ts";
import { countUpdates, type StepRule } from "../loop/plan_updates.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** The run in numbers; the first epoch stands for all. */
export interface RunPlan {
  readonly updates: number;
  readonly updatesPerEpoch: number;
  readonly rows: number;
  /** Tokens an epoch, padding left out. */
  readonly tokens: number;
  /** Tokens an epoch that are computed, padding included. */
  readonly grid: number;
}

/**
 * Counts without making a batch.
 *
 * @param layout how a batch is computed; on the host, as rows of similar length
 */
export function planRun(
  args: Pick<
    TrainingArguments,
    | "perDeviceTrainBatchSize"
    | "gradientAccumulationSteps"
    | "numTrainEpochs"
    | "maxSteps"
    | "packing"
    | "tokensPerStep"
    | "maxLength"
    | "seed"
    | "compat"
    | "loss"
  >,
  { lengths }: Pick<ExampleList, "lengths">,
  layout: Layout = "similar-rows",
): RunPlan {
  const { maxLength, seed, perDeviceTrainBatchSize: batchSize, tokensPerStep } = args;
  const packing = args.packing ? { maxLength } : undefined;
  const sortWithin = sortWithinOf(args);
  const together = togetherOf(args);
  const plan = planEpoch(lengths, {
    ...{ batchSize, packing, tokensPerStep, sortWithin, seed, epoch: 0, together },
  });
  let grid = 0;
  for (const indices of plan.batches()) {
    const members = Array.from(indices, (index) => lengths[index]);
    const starts = packing ? nextFit(members, maxLength) : members.map((_, i) => i);
    const rows = starts.map((start, row) =>
      members.slice(start, starts[row + 1]).reduce((sum, each) => sum + each, 0)
    );
    grid += computedTokens(rows, layout, together);
  }
  const stepRule = stepRuleOf(args);
  const counted = {
    batchSize,
    accumulationSteps: args.gradientAccumulationSteps,
    packing,
    tokensPerStep,
    seed,
    stepRule,
    together,
  };
  const { numTrainEpochs: epochs, maxSteps } = args;
  return {
    updates: countUpdates(lengths, { ...counted, epochs, maxSteps }),
    updatesPerEpoch: plan.updateEnds(args.gradientAccumulationSteps).length,
    rows: lengths.length / together,
    tokens: lengths.reduce((sum, each) => sum + each, 0),
    grid,
  };
}

/** The seed's transformers counted updates rounding down. */
export function stepRuleOf({ compat }: Pick<TrainingArguments, "compat">): StepRule {
  return compat === "seed" ? "floor" : "ceil";
}

/** Batches whose examples are sorted by length; the seed's, and those of pairs, are their sampler's. */
export function sortWithinOf(
  { compat, gradientAccumulationSteps, loss }: Pick<
    TrainingArguments,
    "compat" | "gradientAccumulationSteps" | "loss"
  >,
): number {
  return compat === "seed" || isPairLoss(loss) ? 1 : gradientAccumulationSteps;
}

/** Neighbouring examples that stay in one batch. */
export function togetherOf({ loss }: Pick<TrainingArguments, "loss">): number {
  return isPairLoss(loss) ? 2 : 1;
}

/** One line. */
export function describePlan({ updates, updatesPerEpoch, rows, tokens, grid }: RunPlan): string {
  const padding = (100 * (grid - tokens) / grid).toFixed(1);
  return `plan: ${formatCount(updates)} updates, ${formatCount(updatesPerEpoch)} an epoch; ` +
    `${formatCount(rows)} examples and ${formatCount(tokens)} tokens an epoch, and ${padding} % ` +
    "padding";
}
