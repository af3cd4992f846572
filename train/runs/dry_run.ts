/**
 * The checks of `--dry-run`. In: training options. Out: lines on data, memory and time; no file is
 * written and no run is touched.
 */

import { makeBatches } from "../../data/batches/batches.ts";
import type { Batch } from "../../data/batches/collator.ts";
import { planEpoch } from "../../data/batches/epoch_plan.ts";
import { withReferences } from "../../data/examples/with_references.ts";
import type { Rounding } from "../../model/engine/rounding_tally.ts";
import { formatDuration } from "../track/format_units.ts";
import type { Trainer } from "../trainer.ts";
import { describeBase } from "./describe_base.ts";
import { describeData } from "./describe_data.ts";
import { createTrainer } from "./create_trainer.ts";
import { describeWarmup } from "./idle_settings.ts";
import { bufferFault, checkMemory, describeMemory, describeRoom, memoryWarning } from "./memory.ts";
import { openRun } from "./open_run.ts";
import type { ProgressLineOptions } from "./progress_line.ts";
import { describePlan, planRun, type RunPlan, sortWithinOf, togetherOf } from "./run_plan.ts";
import { resolveTraining } from "./resolve_training.ts";
import type { TrainingArguments, TrainingOptions } from "./training_arguments.ts";
import { readTrainingData, type TrainingData } from "./training_data.ts";
import { during } from "./wait_line.ts";

/** How a dry run reports. */
export interface DryRunOptions {
  /** Ends it between two steps. */
  readonly signal: AbortSignal;
  /** Prints a line. */
  readonly say: (line: string) => void;
  /** Whether lines may be dimmed. */
  readonly color: boolean;
  /** Where to tell how far the data are prepared. @default nowhere */
  readonly progress?: ProgressLineOptions;
  /** ONNX Runtime's library. @default npm's */
  readonly libraryPath?: string;
}

/** Checks everything that a run would stumble over, and times two updates of a throw-away trainer. */
export async function dryRun(
  options: TrainingOptions,
  { signal, say, color, progress, libraryPath }: DryRunOptions,
): Promise<void> {
  const resolved = await resolveTraining(options, { libraryPath });
  for (const line of resolved.found) say(line);
  using opened = await openRun(resolved, { libraryPath });
  const { args, config, tokenizer, padId, gpu } = opened;
  for (const line of opened.lines) say(line);
  using data = await readTrainingData(args, tokenizer, { progress, signal });
  for (const note of data.notes) say(`note: ${note}`);
  for (const line of await describeData(args, { data, config, tokenizer, table: { color } })) {
    say(line);
  }
  const plan = planRun(args, data.train, opened.layout);
  say(describePlan(plan));
  for (const line of describeWarmup(args, plan.updates)) say(`note: ${line}`);
  const room = {
    told: opened.told,
    available: opened.deviceFree,
    kernels: gpu !== undefined,
  };
  const memory = checkMemory(opened, data, room);
  say(describeMemory(memory));
  const hint = describeRoom(opened, data, room);
  if (hint) say(hint);
  const fault = bufferFault(memory, opened);
  if (fault !== undefined) throw new RangeError(fault);
  if (memory.tooMuch) {
    say(memoryWarning(memory, opened));
    say("time: not measured, since the run does not fit in memory");
    return;
  }
  // Said after the line of what is loaded.
  const rounded: Rounding[] = [];
  const onRounding = (rounding: Rounding): void => void rounded.push(rounding);
  await using trainer = await during(
    `loading ${args.model}`,
    () => createTrainer(opened, { onRounding, signal }),
    progress,
  );
  for (const rounding of rounded) say(describeBase(rounding, opened));
  say(
    await during(
      "timing two updates",
      () => timeUpdates(trainer, { args, data, padId, plan, signal }),
      progress,
    ),
  );
  say("dry run: nothing was written");
}

/** Makes two updates, the first of which compiles, and scales the second to the run. */
export async function timeUpdates(
  trainer: Trainer,
  { args, data, padId, plan, signal }: {
    readonly args: TrainingArguments;
    readonly data: TrainingData;
    readonly padId: number;
    readonly plan: RunPlan;
    readonly signal: AbortSignal;
  },
): Promise<string> {
  const { perDeviceTrainBatchSize: batchSize, maxLength, seed, tokensPerStep } = args;
  const packing = args.packing ? { maxLength } : undefined;
  const sortWithin = sortWithinOf(args);
  const together = togetherOf(args);
  const options = {
    ...{ batchSize, packing, tokensPerStep, sortWithin, seed, epoch: 0, padId, together },
  };
  // What pairs are compared with takes no part in the time.
  const examples = withReferences(
    data.train,
    trainer.pairs && new Float64Array(data.train.length),
  );
  const [first, second = first] = planEpoch(data.train.lengths, options)
    .updateEnds(args.gradientAccumulationSteps);
  const windows: Batch[][] = [[]];
  let made = 0;
  for (const batch of makeBatches(examples, options)) {
    if (made === second) break;
    if (made === first) windows.push([]);
    windows.at(-1)!.push(batch);
    made++;
  }
  const seconds: number[] = [];
  for (const window of [windows[0], windows[1] ?? windows[0]]) {
    const began = performance.now();
    await trainer.trainStep(window, { learningRate: args.learningRate, signal });
    seconds.push((performance.now() - began) / 1000);
  }
  const timed = (windows[1] ?? windows[0]).reduce((sum, each) => sum + each.tokens, 0);
  const total = seconds[1] / timed * (plan.tokens / plan.updatesPerEpoch) * plan.updates;
  return `time: ${seconds[0].toFixed(2)} s the first update, ${
    seconds[1].toFixed(2)
  } s the second ` +
    `(${Math.round(timed / seconds[1])} tokens/s); about ${formatDuration(total)} for ` +
    `${plan.updates} updates, evaluation and checkpoints left out`;
}
