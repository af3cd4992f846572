/**
 * The training loop.
 *
 * In: a trainer, examples, and options with TrainingArguments' meaning. Out: an async iterator of
 * events; checkpoints in the output folder. At one update the order is log, evaluate, save. On a device
 * a checkpoint is written while later updates are made, and told of when it is there.
 *
 * @module
 */

import type { Comm } from "../../comm/comm.ts";
import { makeBatches } from "../../data/batches/batches.ts";
import type { Batch } from "../../data/batches/collator.ts";
import { planEpoch } from "../../data/batches/epoch_plan.ts";
import type { Example } from "../../data/examples/example.ts";
import type { ExampleList } from "../../data/examples/example_list.ts";
import { withReferences } from "../../data/examples/with_references.ts";
import { type BestEvaluation, type BestMetric, findBest } from "../best_evaluation.ts";
import { ProcessGroup } from "../distributed/process_group.ts";
import { evaluate, type EvaluationResult } from "./evaluate.ts";
import type { EndEvent, SaveEvent, TrainEvent } from "../events.ts";
import { type IntervalStrategy, updatesOf } from "../interval.ts";
import { countUpdates, type StepRule } from "./plan_updates.ts";
import { type CheckpointOptions, RunCheckpoints } from "../checkpoints/run_checkpoints.ts";
import type { Schedule } from "../schedule.ts";
import type { Figures, Trainer, TrainStepResult } from "../trainer.ts";
import {
  addFigures,
  initialState,
  jsonFigures,
  jsonNumber,
  type LoopState,
} from "../checkpoints/trainer_state.ts";

// Skipped updates in a row after which something is wrong that skipping will not mend.
const MAX_SKIPPED = 3;

// Tokens of a packed row of the evaluation, or as many as its longest example has. Short examples
// gain much from sharing a row, while attention's cost grows with its square.
const EVALUATION_ROW = 512;

/** Figures of an evaluation that the model's losses do not tell. */
export type EvalMetrics = (processes: {
  /** This process's number among those that train together, from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly size: number;
  /** Each number summed over all of them. */
  readonly sum: (numbers: readonly number[]) => Promise<readonly number[]>;
  /** Aborted where the run is to end; what is thrown then counts as that. */
  readonly signal: AbortSignal | undefined;
}) => Promise<Figures>;

/** What to train on, and when to log, evaluate and save. */
export interface TrainOptions {
  /** What to train on; the order of each epoch comes from `seed`. */
  readonly examples: readonly Example[] | ExampleList;
  /**
   * What to evaluate on.
   * @default none: no evaluation
   */
  readonly evalExamples?: readonly Example[] | ExampleList;
  /** Id of the padding token. */
  readonly padId: number;
  /** The learning rate by update, made for the run's number of updates. */
  readonly schedule: (totalSteps: number) => Schedule;
  /** Rows a batch. @default 1 */
  readonly batchSize?: number;
  /**
   * Rows a batch of the evaluation.
   * @default batchSize
   */
  readonly evalBatchSize?: number;
  /** Batches an update; of no effect with `tokensPerStep`. @default 1 */
  readonly accumulationSteps?: number;
  /**
   * Packed rows an update, in place of `accumulationSteps`: as many as bring it to this number of
   * tokens, padding not counted, in batches of `batchSize` rows. It needs `packing`.
   */
  readonly tokensPerStep?: number;
  /** May be fractional. @default 3 */
  readonly epochs?: number;
  /** Updates to make; wins over epochs where above 0. @default 0 */
  readonly maxSteps?: number;
  /** How the updates of an epoch are counted. @default "ceil" */
  readonly stepRule?: StepRule;
  /** Puts several examples in a row of at most maxLength tokens. */
  readonly packing?: { readonly maxLength: number };
  /**
   * Whether examples of an update are sorted by length before they are cut into its batches, so that these
   * have less padding. What an update sums is the same, but for rounding and an adapter's dropout. It has
   * no effect with `packing`, with batches of one row, or with one batch an update.
   * @default {true}
   */
  readonly sortUpdates?: boolean;
  /**
   * Decides the order of the examples.
   * @default 42
   */
  readonly seed?: number;
  /** Updates between two logs; below 1 a share of the run's. @default 10 */
  readonly loggingSteps?: number;
  /** Logs the first update too. @default false */
  readonly loggingFirstStep?: boolean;
  /** Whether evaluations come by steps, by epochs, or not at all. @default "steps" */
  readonly evalStrategy?: IntervalStrategy;
  /**
   * Updates between two evaluations, below 1 a share of the run's; one more follows the last update.
   * 0 for the last one only.
   * @default 0
   */
  readonly evalSteps?: number;
  /**
   * Further figures of each evaluation, by their names in logs without `eval_`: such as measures of replies that
   * the model generates. They may change nothing of the trainer, nor draw from its random streams. Of several
   * processes all call this, and must get the same.
   * @default none
   */
  readonly evalMetrics?: EvalMetrics;
  /**
   * Whether checkpoints come by steps, by epochs, or not at all, not even after the last update.
   * @default "steps"
   */
  readonly saveStrategy?: IntervalStrategy;
  /**
   * Updates between two checkpoints, below 1 a share of the run's; one more follows the last update.
   * 0 for the last one only.
   * @default 0
   */
  readonly saveSteps?: number;
  /**
   * What is done about evaluations that are better or worse than others.
   * @default the best one is written down and its checkpoint, if it has one, is not rotated away
   */
  readonly best?: BestOptions;
  /** Where checkpoints go; @default nowhere */
  readonly output?: CheckpointOptions;
  /** A checkpoint-N folder to go on from. */
  readonly resumeFrom?: string;
  /** Stops the run after the update under way, with a checkpoint. */
  readonly signal?: AbortSignal;
  /**
   * What pairs are compared with, by example, as `referenceLogps` computes it before the first update of a run. A
   * run that is resumed takes the same numbers.
   * @default none, which objectives without a reference need
   */
  readonly references?: {
    readonly examples: Float64Array;
    readonly evalExamples: Float64Array;
  };
  /**
   * Processes that train together: each calls this with the same options but for `output`, which is the
   * first one's, and with a trainer that was made with the same `comm`. Events are the same on all.
   * @default this one alone
   */
  readonly comm?: Comm;
}

/** What is done about evaluations that are better or worse than others. */
export interface BestOptions {
  /**
   * What evaluations are compared by: a loss, or a figure of pairs or of those that `evalMetrics` tells.
   * @default "eval_loss"
   */
  readonly metric?: BestMetric;
  /**
   * Saves a checkpoint of every evaluation that is the best so far, and goes back to the weights of
   * the best one at the end of a run that was not aborted.
   * @default false
   */
  readonly load?: boolean;
  /** Ends the run after this many evaluations in a row that are no better. @default never */
  readonly patience?: number;
  /** By how much the metric must get better to count as such for `patience`. @default 0 */
  readonly threshold?: number;
}

/**
 * Trains, telling what happens.
 *
 * @example
 * ```ts
 * import {
 *   createFullTrainer, linearSchedule, parseConfig, Runtime, train, writeSafetensors,
 * } from "@ortune/ortune";
 * import { joinExample } from "@ortune/ortune/data";
 * import { layoutParameters, modelParameters, ParameterStore } from "@ortune/ortune/model";
 * import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const json = { model_type: "qwen3", hidden_size: 16, intermediate_size: 32, vocab_size: 261,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, eos_token_id: 258 };
 * using runtime = new Runtime({ threads: 1 });
 * using random = new ParameterStore(runtime, layoutParameters(modelParameters(parseConfig(json))));
 * new TorchGenerator(42).normal(random.flat.float32(), 0, 0.1);
 * await writeFile(`${folder}/config.json`, JSON.stringify(json));
 * await writeSafetensors(`${folder}/model.safetensors`, random);
 * await using trainer = await createFullTrainer(folder, { runtime });
 * const ids = Int32Array.of(79, 75, 258);
 * const examples = [joinExample(ids, ids, { maxLength: 8, terminated: true })];
 * const schedule = (totalSteps: number) => linearSchedule({ peak: 0.01, totalSteps });
 * const losses: number[] = [];
 * const run = train(trainer, { examples, padId: 256, schedule });
 * for await (const event of run) if (event.type === "step") losses.push(event.loss);
 * assert.ok(losses.length === 3 && losses[2] < losses[0]);
 * await rm(folder, { recursive: true });
 * ```
 *
 * @throws {Error} after three updates in a row whose loss or gradient was not finite, and where a
 *   checkpoint does not belong to this run or cannot be saved; the last also when it is left early
 */
export async function* train(
  trainer: Trainer,
  options: TrainOptions,
): AsyncGenerator<TrainEvent, void, void> {
  yield* new Run(trainer, options).events();
}

/** Refuses what pairs cannot be trained on with. */
function assertPairs(
  { pairs }: Trainer,
  { examples, evalExamples = [], packing, references }: TrainOptions,
): void {
  if (!pairs) return;
  const odd = [examples, evalExamples].find(({ length }) => length % 2 !== 0);
  if (odd) {
    throw new RangeError(
      `Cannot train on pairs: ${odd.length} examples are no chosen and rejected replies in turns`,
    );
  }
  if (packing) {
    throw new RangeError(
      "Cannot train on packed pairs: their loss is a mean over the rows of a batch",
    );
  }
  if (!pairs.reference || references) return;
  throw new RangeError(
    "Cannot train on pairs: the objective compares them with a reference; give references, as referenceLogps " +
      "computes them",
  );
}

/** Everything an update is made of, gathered before it starts. */
interface Window {
  readonly batches: readonly Batch[];
  /** Epochs done after this window. */
  readonly epochFraction: number;
  /** Where the data stand after this window. */
  readonly next: { readonly epoch: number; readonly batch: number };
}

/** An update that was started. */
interface Launched {
  readonly window: Window;
  readonly learningRate: number;
  readonly began: number;
  /** What it came to, where that was known at once. */
  readonly result: TrainStepResult | undefined;
}

/** What the log tells of an update that was made. */
interface Made {
  readonly gradNorm: number;
  readonly learningRate: number;
}

type ResolvedOptions = ReturnType<typeof withDefaults>;

/** Options with the defaults that more than one method needs. */
function withDefaults(
  {
    batchSize = 1,
    accumulationSteps = 1,
    epochs = 3,
    sortUpdates = true,
    seed = 42,
    evalStrategy = "steps",
    saveStrategy = "steps",
    ...options
  }: TrainOptions,
) {
  const defaulted = { batchSize, accumulationSteps, epochs, sortUpdates, seed };
  return { ...options, ...defaulted, evalStrategy, saveStrategy };
}

class Run {
  readonly #trainer: Trainer;
  readonly #options: ResolvedOptions;
  readonly #examples: ExampleList;
  readonly #evalExamples: ExampleList;
  /** Neighbouring examples that stay in one batch. */
  readonly #together: number;
  readonly #group: ProcessGroup;
  readonly #totalSteps: number;
  readonly #schedule: Schedule;
  /** Updates between two of each, shares worked out. */
  readonly #every: { readonly log: number; readonly evaluation: number; readonly save: number };
  readonly #checkpoints: RunCheckpoints;
  #state: LoopState = initialState();
  #epochFraction = 0;
  /** Updates that the run which is resumed was to make. */
  #plannedSteps: number | undefined;
  #evaluatedStep = -1;
  /** Updates whose results are unread, oldest first; never any but on a device. */
  readonly #pending: Launched[] = [];

  constructor(trainer: Trainer, given: TrainOptions) {
    const options = withDefaults(given);
    const { examples, batchSize, accumulationSteps, epochs, seed } = options;
    const { maxSteps = 0, loggingSteps = 10, evalSteps = 0, saveSteps = 0 } = options;
    if (examples.length === 0) {
      throw new RangeError("Cannot train: there are no examples");
    }
    assertPairs(trainer, options);
    this.#trainer = trainer;
    this.#options = options;
    this.#together = trainer.pairs ? 2 : 1;
    this.#examples = withReferences(examples, options.references?.examples);
    this.#evalExamples = withReferences(
      options.evalExamples ?? [],
      options.references?.evalExamples,
    );
    this.#group = new ProcessGroup(options.comm, options.signal);
    this.#totalSteps = countUpdates(this.#examples.lengths, {
      batchSize,
      accumulationSteps,
      epochs,
      maxSteps,
      packing: options.packing,
      tokensPerStep: options.tokensPerStep,
      stepRule: options.stepRule,
      seed,
      together: this.#together,
    });
    this.#schedule = options.schedule(this.#totalSteps);
    this.#every = {
      log: updatesOf(loggingSteps, this.#totalSteps),
      evaluation: updatesOf(evalSteps, this.#totalSteps),
      save: updatesOf(saveSteps, this.#totalSteps),
    };
    this.#checkpoints = new RunCheckpoints(trainer, {
      output: options.output,
      totalSteps: this.#totalSteps,
      epochs,
      batchSize,
      loggingSteps: this.#every.log,
      evalSteps: this.#every.evaluation,
      saveSteps: this.#every.save,
      saveStrategy: options.saveStrategy,
      bestSaved: options.best?.load,
      seed,
      schedule: this.#schedule,
    });
  }

  /** All of the run; when it ends, however it does, no save is under way. */
  async *events(): AsyncGenerator<TrainEvent, void, void> {
    try {
      yield* this.#run();
    } catch (cause) {
      // That a save failed as well matters less than what ended the run.
      await this.#checkpoints.finish().catch(() => {});
      throw cause;
    } finally {
      await this.#checkpoints.finish();
    }
  }

  async *#run(): AsyncGenerator<TrainEvent, void, void> {
    const { resumeFrom, epochs } = this.#options;
    const began = performance.now();
    if (resumeFrom !== undefined) await this.#resume(resumeFrom);
    yield {
      type: "start",
      method: this.#trainer.method,
      totalSteps: this.#totalSteps,
      epochs,
      examples: this.#examples.length / this.#together,
      evalExamples: this.#evalExamples.length / this.#together,
      trainableParameters: this.#trainer.trainableParameters,
      resumedStep: this.#state.step,
      ...this.#plannedSteps === undefined || this.#plannedSteps === this.#totalSteps
        ? {}
        : { plannedSteps: this.#plannedSteps },
    };
    const tokensBefore = this.#state.tokensSeen;
    const reason = yield* this.#updates();
    yield* this.#save();
    await this.#trainer.useSavedWeights?.();
    const best = await this.#chooseBest(reason);
    yield {
      type: "end",
      step: this.#state.step,
      epoch: this.#epochFraction,
      reason,
      ...best ? { best } : {},
      tokens: this.#state.tokensSeen - tokensBefore,
      seconds: (performance.now() - began) / 1000,
      ...this.#state.step > 0 ? { trainLoss: this.#state.lossSum / this.#state.step } : {},
    };
  }

  /** All updates; a window is asked for before it is known whether the run has ended. */
  async *#updates(): AsyncGenerator<TrainEvent, EndEvent["reason"], void> {
    const { saveStrategy } = this.#options;
    const { signal } = this.#group;
    const state = this.#state;
    let logged = { at: performance.now(), tokens: state.tokensSeen };
    // An earlier run may have been aborted between an update and its evaluation.
    if (this.#evaluationDue()) {
      if ((yield* this.#evaluate()) === "aborted") return "aborted";
      if (this.#bestToSave()) yield* this.#save();
    }
    if (this.#stale()) return "early-stopped";
    for (const window of this.#windows()) {
      if (state.step >= this.#totalSteps) break;
      const made = yield* this.#update(window);
      await this.#group.agree();
      yield* this.#checkpoints.told();
      if (made === "aborted") return made;
      if (made === "pending" || made === "skipped" && state.batch > 0) continue;
      if (made !== "skipped" && this.#logDue(state.step)) {
        const now = performance.now();
        const tokensPerSecond = (state.tokensSeen - logged.tokens) / (now - logged.at) * 1000;
        logged = { at: now, tokens: state.tokensSeen };
        yield this.#log(made, tokensPerSecond);
      }
      if (this.#evaluationDue() && (yield* this.#evaluate()) === "aborted") return "aborted";
      const due = this.#due(saveStrategy, this.#every.save, state);
      if (state.step > 0 && due || this.#bestToSave()) yield* this.#save();
      if (signal?.aborted) return "aborted";
      if (this.#stale()) return "early-stopped";
    }
    return "completed";
  }

  #best(): BestEvaluation | undefined {
    return findBest(this.#state.logHistory, this.#options.best);
  }

  /** Whether the update that was made last is the best so far, and is to be kept for that. */
  #bestToSave(): boolean {
    const { step } = this.#state;
    return this.#options.best?.load === true && this.#evaluatedStep === step &&
      this.#best()?.step === step;
  }

  /** Whether evaluations have not got better for too long. */
  #stale(): boolean {
    const { patience = Infinity } = this.#options.best ?? {};
    return (this.#best()?.stale ?? 0) >= patience;
  }

  /** Names the best evaluation; goes back to its weights where that was asked for. */
  async #chooseBest(reason: EndEvent["reason"]): Promise<EndEvent["best"]> {
    const { metric = "eval_loss", load = false } = this.#options.best ?? {};
    const found = this.#best();
    if (!found) return undefined;
    const { step, value } = found;
    const saved = await this.#checkpoints.find(step);
    const loaded = load && reason !== "aborted" && saved !== undefined;
    if (loaded && step !== this.#state.step) await this.#checkpoints.goBack(saved);
    return { step, metric, value, directory: saved, loaded };
  }

  /** Whether an update is logged. */
  #logDue(step: number): boolean {
    return step % this.#every.log === 0 || step === 1 && this.#options.loggingFirstStep === true;
  }

  /** Whether something that comes so often does after an update; `batch` 0 is the start of an epoch. */
  #due(
    strategy: IntervalStrategy,
    every: number,
    { step, batch }: { readonly step: number; readonly batch: number },
  ): boolean {
    if (strategy === "epoch") return batch === 0;
    return strategy === "steps" && every > 0 && step % every === 0;
  }

  /** Whether the update that was made last is to be evaluated. */
  #evaluationDue(): boolean {
    const { evalStrategy } = this.#options;
    const { step } = this.#state;
    if (this.#evalExamples.length === 0 || evalStrategy === "no") return false;
    if (step === 0 || this.#evaluatedStep === step) return false;
    return step >= this.#totalSteps || this.#due(evalStrategy, this.#every.evaluation, this.#state);
  }

  /** One update, or none where it was aborted or its numbers are not finite; perhaps unread. */
  async *#update(
    window: Window,
  ): AsyncGenerator<TrainEvent, Made | "aborted" | "skipped" | "pending", void> {
    const began = performance.now();
    const learningRate = this.#schedule(this.#state.step + this.#pending.length);
    try {
      const result = yield* this.#trainStep(window.batches, learningRate);
      this.#pending.push({ window, learningRate, began, result });
    } catch (cause) {
      if (!this.#group.signal?.aborted) throw cause;
      yield* this.#settle();
      return "aborted";
    }
    return this.#readingDue() ? yield* this.#settle() : "pending";
  }

  /** Whether somebody wants to know what the updates came to: reading makes the host wait. */
  #readingDue(): boolean {
    const { deferred } = this.#trainer;
    const { evalStrategy, saveStrategy } = this.#options;
    const { signal } = this.#group;
    const step = this.#state.step + this.#pending.length;
    if (!deferred || this.#pending.length >= deferred.most || signal?.aborted) return true;
    if (step >= this.#totalSteps || this.#logDue(step)) return true;
    const at = { step, batch: this.#pending.at(-1)!.window.next.batch };
    return this.#due(evalStrategy, this.#every.evaluation, at) ||
      this.#due(saveStrategy, this.#every.save, at);
  }

  /** Tells what came of all updates that are unread; answers the last one's. */
  async *#settle(): AsyncGenerator<TrainEvent, Made | "skipped" | "pending", void> {
    const pending = this.#pending.splice(0);
    const results = await this.#trainer.deferred?.results() ?? [];
    let last: Made | "skipped" | "pending" = "pending";
    const began = pending[0]?.began;
    const seconds = (performance.now() - began) / 1000 / pending.length;
    for (const [i, each] of pending.entries()) {
      last = yield* this.#account(each, { result: each.result ?? results[i], seconds });
    }
    return last;
  }

  /** Puts an update into the state, or counts it as skipped. */
  async *#account(
    { window, learningRate }: Launched,
    { result, seconds }: { readonly result: TrainStepResult; readonly seconds: number },
  ): AsyncGenerator<TrainEvent, Made | "skipped", void> {
    const state = this.#state;
    const { batches } = window;
    [state.epoch, state.batch] = [window.next.epoch, window.next.batch];
    if (result.skipped) {
      const { loss, gradNorm } = result;
      const consecutive = ++state.skippedInRow;
      yield { type: "skip", step: state.step + 1, loss, gradNorm, consecutive };
      if (consecutive < MAX_SKIPPED) return "skipped";
      throw new Error(
        `Cannot go on training at update ${state.step + 1}: loss ${loss} or gradient norm ` +
          `${gradNorm} was not finite ${consecutive} times in a row; the weights are those of ` +
          `update ${state.step}. Lower --learning-rate, or look at the data`,
      );
    }
    const { loss, gradNorm, figures } = result;
    const tokens = batches.reduce((sum, batch) => sum + batch.tokens, 0);
    state.step++;
    state.skippedInRow = 0;
    state.tokensSeen += tokens;
    state.lossSum += loss;
    state.sinceLog.sum += loss;
    state.sinceLog.count++;
    if (figures) addFigures(state, figures, batches.length);
    this.#epochFraction = window.epochFraction;
    yield {
      type: "step",
      step: state.step,
      epoch: window.epochFraction,
      loss,
      ...figures ? { figures } : {},
      gradNorm,
      learningRate,
      tokens,
      supervisedTokens: batches.reduce((sum, batch) => sum + batch.supervised, 0),
      seconds,
    };
    return { gradNorm, learningRate };
  }

  /** The trainer's step, telling of each batch while it is under way; unread where it is deferred. */
  async *#trainStep(
    batches: readonly Batch[],
    learningRate: number,
  ): AsyncGenerator<TrainEvent, TrainStepResult | undefined, void> {
    let done = 0;
    let wake = () => {};
    const options = {
      learningRate,
      signal: this.#group.signal,
      onBatch: (count: number) => {
        done = count;
        wake();
      },
    };
    const { deferred } = this.#trainer;
    const working = deferred
      ? deferred.launch(batches, options).then(() => undefined)
      : this.#trainer.trainStep(batches, options);
    const settled = working.then(() => true, () => true);
    try {
      for (let told = 0;;) {
        const progress = new Promise<boolean>((resolve) => wake = () => resolve(false));
        if (done === told && await Promise.race([settled, progress])) return await working;
        told = done;
        yield {
          type: "micro-step",
          step: this.#state.step + this.#pending.length + 1,
          micro: done,
          microSteps: batches.length,
        };
      }
    } finally {
      // Who stops listening may go on to dispose of the trainer.
      await settled;
    }
  }

  /** Windows of batches from where the data stand, epoch after epoch without end. */
  *#windows(): Generator<Window, void, void> {
    const { padId, batchSize, accumulationSteps, seed } = this.#options;
    const { packing, tokensPerStep, sortUpdates } = this.#options;
    const { lengths } = this.#examples;
    for (let { epoch, batch: skip } = this.#state;; epoch++, skip = 0) {
      // A loss of pairs is a mean over those of a batch, which are the sampler's, as TRL's are.
      const sortWithin = sortUpdates && !this.#trainer.pairs ? accumulationSteps : 1;
      const together = this.#together;
      const plan = { batchSize, packing, tokensPerStep, sortWithin, seed, epoch, together };
      const planned = planEpoch(lengths, plan);
      const { count } = planned;
      const ends = planned.updateEnds(accumulationSteps);
      let update = ends.findIndex((end) => end > skip);
      let window: Batch[] = [];
      let batch = skip;
      for (const each of makeBatches(this.#examples, { ...plan, padId, skip })) {
        window.push(each);
        batch++;
        if (batch < ends[update]) continue;
        update++;
        yield {
          batches: window,
          epochFraction: epoch + batch / count,
          next: batch < count ? { epoch, batch } : { epoch: epoch + 1, batch: 0 },
        };
        window = [];
      }
    }
  }

  #log(
    { gradNorm, learningRate }: { gradNorm: number; learningRate: number },
    tokensPerSecond: number,
  ): TrainEvent {
    const state = this.#state;
    const { step } = state;
    const epoch = this.#epochFraction;
    const loss = state.sinceLog.sum / state.sinceLog.count;
    const { batches = 0, figures: sums } = state.sinceLog;
    const figures = sums && Object.fromEntries(
      Object.entries(sums).map(([name, sum]) => [name, sum / batches]),
    );
    state.sinceLog = { sum: 0, count: 0 };
    state.logHistory.push({
      epoch,
      grad_norm: jsonNumber(gradNorm),
      learning_rate: learningRate,
      loss: jsonNumber(loss),
      step,
      ...jsonFigures(figures),
    });
    // Told, but not kept in the checkpoint: memory and clock differ between runs of equal bytes.
    const memoryBytes = this.#trainer.deferred?.memoryBytes?.() ?? Deno.memoryUsage().rss;
    return {
      type: "log",
      ...{ step, epoch, loss, gradNorm, learningRate, tokensPerSecond, memoryBytes },
      ...figures ? { figures } : {},
    };
  }

  async *#evaluate(): AsyncGenerator<TrainEvent, "evaluated" | "aborted", void> {
    const { batchSize, evalBatchSize = batchSize, padId } = this.#options;
    const { step, logHistory } = this.#state;
    const longest = this.#evalExamples.lengths.reduce((a, b) => Math.max(a, b), 0);
    const began = performance.now();
    let result: EvaluationResult;
    let figures: Figures | undefined;
    try {
      result = await evaluate(this.#trainer, this.#evalExamples, {
        batchSize: evalBatchSize,
        padId,
        packing: { maxLength: Math.max(EVALUATION_ROW, longest) },
        group: this.#group,
      });
      figures = await this.#evalFigures(result.figures);
    } catch (cause) {
      if (!this.#group.signal?.aborted) throw cause;
      return "aborted";
    }
    this.#evaluatedStep = step;
    const epoch = this.#epochFraction;
    logHistory.push({
      epoch,
      eval_loss: jsonNumber(result.evalLoss),
      eval_token_loss: jsonNumber(result.evalTokenLoss),
      step,
      ...jsonFigures(figures, "eval_"),
    });
    const seconds = (performance.now() - began) / 1000;
    const best = this.#best()?.step === step ? { best: true } as const : {};
    const more = figures ? { figures } : {};
    yield { type: "evaluate", step, epoch, ...result, ...more, seconds, ...best };
    return "evaluated";
  }

  /** Figures besides the losses: those of pairs, and further ones of the weights that are evaluated. */
  async #evalFigures(ofPairs: Figures | undefined): Promise<Figures | undefined> {
    const { evalMetrics, best: { metric = "eval_loss" } = {} } = this.#options;
    if (evalMetrics === undefined) return ofPairs;
    await this.#trainer.useSavedWeights?.();
    const { rank, size, signal } = this.#group;
    const sum = (numbers: readonly number[]) => this.#group.sum(numbers);
    const figures = { ...ofPairs, ...await evalMetrics({ rank, size, sum, signal }) };
    if (["eval_loss", "eval_token_loss"].includes(metric) || metric.slice(5) in figures) {
      return figures;
    }
    throw new Error(
      `Cannot choose the best evaluation by ${metric}: no row that was answered has it; the rows have ` +
        `${Object.keys(figures).map((name) => `eval_${name}`).join(", ") || "none"}`,
    );
  }

  async *#save(): AsyncGenerator<SaveEvent, void, void> {
    const state = this.#state;
    // Before the first update there is nothing that the base model does not have.
    if (this.#options.saveStrategy === "no" || state.step === 0) return;
    const goesOn = state.step < this.#totalSteps && !this.#group.signal?.aborted &&
      !this.#stale();
    yield* this.#checkpoints.save(
      { state, epochFraction: this.#epochFraction, best: this.#best() },
      { goesOn },
    );
  }

  async #resume(directory: string): Promise<void> {
    const { state, epochFraction, totalSteps } = await this.#checkpoints.resume(directory);
    this.#state = state;
    this.#plannedSteps = totalSteps;
    this.#epochFraction = epochFraction;
    const { step, logHistory } = state;
    // A checkpoint follows the evaluation of its update, so that one is not made again.
    if (logHistory.some((row) => row.step === step && "eval_loss" in row)) {
      this.#evaluatedStep = step;
    }
  }
}
