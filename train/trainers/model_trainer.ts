/**
 * The trainer of any kind, put together from its parts: gradients of several batches, an update, and the
 * files of a checkpoint. In: parameters, an engine and an optimizer over them. Out: a `Trainer`.
 */

import type { Comm } from "../../comm/comm.ts";
import type { Batch } from "../../data/batches/collator.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { TokenLosses, TrainingEngine } from "../../model/engine/training_engine.ts";
import type { DecodeBlockOptions } from "../../model/graphs/decode_graphs.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { type HostCopy, hostCopy } from "../../ort/tensor/host_copy.ts";
import { openSafetensors } from "../../ort/tensor/safetensors_file.ts";
import { writeSafetensors, type WrittenFile } from "../../ort/tensor/safetensors_writer.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { OPTIMIZER_STATE, optimizerStatePath } from "../checkpoints/optimizer_state.ts";
import type { GradientSums } from "../distributed/gradient_sums.ts";
import { shareRows } from "../distributed/share_rows.ts";
import type { TensorComm } from "../distributed/tensor_comm.ts";
import type { PairObjective } from "../pair_objective.ts";
import type { Optimizer } from "../optimizer.ts";
import { roundParameters } from "../optimizers/round_parameters.ts";
import type {
  DeferredSteps,
  Figures,
  SaveOptions,
  Trainer,
  TrainStepOptions,
  TrainStepResult,
} from "../trainer.ts";
import { figureNames, PairLosses } from "../pair_losses.ts";
import type { TrainedParameters } from "./trained_parameters.ts";

/** What a trainer is put together from, and releases. */
export interface TrainerParts {
  /** Where it runs; stays the caller's. */
  readonly runtime: Runtime;
  /** What is trained. */
  readonly parameters: TrainedParameters;
  /** Their gradients, which the engine writes and the optimizer reads. */
  readonly gradients: ParameterStore;
  /** Losses and gradients of a batch. */
  readonly engine: TrainingEngine;
  /** What changes the parameters. */
  readonly optimizer: Optimizer;
  /** What is minimized where examples are pairs. @default the engine's objective */
  readonly pairs?: PairObjective;
  /** Processes that train together. @default this one alone */
  readonly comm?: Comm;
  /** What these sum tensors with. */
  readonly collectives?: TensorComm;
  /** What sums their gradients. */
  readonly sums?: GradientSums;
}

/** What a trainer writes into a checkpoint. */
interface Saved<Source extends TensorSource = TensorSource> {
  readonly weights: Source;
  readonly optimizer: Source;
}

/** A trainer of any kind. */
export class ModelTrainer implements Trainer {
  readonly method: Trainer["method"];
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  readonly weights: Trainer["weights"];
  readonly linear: DecodeBlockOptions["linear"];
  readonly deferred: DeferredSteps | undefined;
  readonly pairs: PairObjective | undefined;
  /** Of the updates whose results are unread. */
  readonly #figures: Figures[] = [];
  readonly #parts: TrainerParts;
  #step = 0;
  /** Kept from one snapshot to the next. */
  #copies: Saved<HostCopy> | undefined;

  /** Takes its parts over. */
  constructor(parts: TrainerParts) {
    const { runtime: { cuda }, parameters, engine, optimizer } = parts;
    this.method = parameters.method;
    this.config = parameters.config;
    this.weights = parameters.weights;
    this.linear = parameters.linear;
    this.pairs = parts.pairs;
    this.#parts = parts;
    if (!engine.graphsOnly) return;
    this.deferred = {
      most: optimizer.maxUnread,
      launch: (batches, options) => this.#launch(batches, options),
      results: () => this.#results(),
      // A part of it can only be copied with the others' help, who go on training meanwhile.
      ...optimizer.parts ? {} : { snapshot: () => this.#snapshot() },
      ...cuda ? { memoryBytes: () => cuda.memory().usedPeak } : {},
    };
  }

  get step(): number {
    return this.#step;
  }

  get trainableParameters(): number {
    const { store: { layout: { specs } }, sizes } = this.#parts.parameters;
    if (sizes) return sizes.values().reduce((sum, size) => sum + size, 0);
    return specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  }

  async trainStep(
    batches: readonly Batch[],
    options: TrainStepOptions,
  ): Promise<TrainStepResult> {
    if (!this.deferred && countSupervised(batches) === 0) {
      // As a loss that is not finite: there is nothing to divide by.
      return { loss: NaN, gradNorm: NaN, skipped: true };
    }
    await this.#launch(batches, options);
    return (await this.#results()).at(-1)!;
  }

  /** One update, which on a device is only queued. */
  async #launch(
    batches: readonly Batch[],
    { learningRate, signal, onBatch }: TrainStepOptions,
  ): Promise<void> {
    const { engine, optimizer, parameters, gradients, comm, sums, pairs } = this.#parts;
    if (optimizer.evaluation) {
      optimizer.evaluation.leave();
      await parameters.updated?.();
    }
    const tokens = countSupervised(batches);
    if (tokens === 0) {
      throw new RangeError(
        `Cannot make an update of ${batches.length} batches: no row in them has an answer left within ` +
          "the longest length; raise it, or drop such rows",
      );
    }
    // A loss of pairs is a mean already.
    optimizer.begin({ learningRate, tokens: pairs ? 1 : tokens, seed: this.#dropoutSeed(0) });
    const share = comm && shareRows(batches, comm.size, pairs ? 2 : 1)[comm.rank];
    const figures = pairs && new Float64Array(figureNames(pairs).length);
    // Batches of rows without an answer left add nothing to the update.
    const run = [...batches.keys()].filter((i) =>
      share ? share[i].length > 0 : batches[i].supervised > 0
    );
    for (const i of run) {
      const pair = pairs && new PairLosses(batches[i], pairs, 1 / batches.length);
      const { losses } = await engine.launch(pair?.batch ?? batches[i], {
        scale: 1 / tokens,
        weigh: pair?.weigh,
        first: i === run[0],
        dropoutSeed: this.#dropoutSeed(i),
        rows: share?.[i],
        onFinal: i === run.at(-1) ? sums?.final : undefined,
        signal,
      });
      optimizer.addLosses(losses);
      pair?.figures.forEach((figure, each) => figures![each] += figure / batches.length);
      onBatch?.(i + 1);
    }
    // There are fewer rows than processes.
    if (run.length === 0) gradients.zero();
    await sums?.finish();
    if (figures) {
      await comm?.allReduceSum(figures);
      const named = figureNames(pairs!).map((name, i) => [name, figures[i]]);
      this.#figures.push(Object.fromEntries(named));
    }
    parameters.prepare?.(gradients);
    await optimizer.update();
    await parameters.updated?.();
    this.#step++;
  }

  async #results(): Promise<readonly TrainStepResult[]> {
    const { collectives, optimizer } = this.#parts;
    // Reading blocks this thread, which would not hear of sums that fail.
    await collectives?.finish();
    const figures = this.#figures.splice(0);
    const results = optimizer.results().map((result, i) =>
      figures.length > 0 ? { ...result, figures: figures[i] } : result
    );
    this.#step -= results.filter(({ skipped }) => skipped).length;
    return results;
  }

  /** A seed of its own for every batch of the run, the same again when it is resumed. */
  #dropoutSeed(batch: number): string {
    return `${this.#parts.parameters.seed ?? 0}.${this.#step}.${batch}`;
  }

  async evaluate(batch: Batch, signal?: AbortSignal): Promise<TokenLosses> {
    await this.useSavedWeights();
    return await this.#parts.engine.evaluate(batch, signal);
  }

  async useSavedWeights(): Promise<void> {
    const { parameters, optimizer } = this.#parts;
    if (!optimizer.evaluation) return;
    optimizer.evaluation.enter();
    await parameters.updated?.();
  }

  get #saved(): Saved {
    const { parameters: { rounded, store }, optimizer } = this.#parts;
    return { weights: rounded ?? store, optimizer: optimizer.state() };
  }

  async save(directory: string, options?: SaveOptions): Promise<readonly WrittenFile[]> {
    await this.useSavedWeights();
    return await this.#write(directory, this.#saved, options);
  }

  /** Reading makes the host wait for all that was launched, so both copies are of one update. */
  async #snapshot(): Promise<Pick<Trainer, "save">> {
    await this.useSavedWeights();
    const { weights, optimizer } = this.#saved;
    const copies = this.#copies ??= {
      weights: hostCopy(weights),
      optimizer: hostCopy(optimizer),
    };
    await copies.weights.fill();
    await copies.optimizer.fill();
    return { save: (directory, options) => this.#write(directory, copies, options) };
  }

  async #write(
    directory: string,
    { weights, optimizer }: Saved,
    { modelOnly = false }: SaveOptions = {},
  ): Promise<readonly WrittenFile[]> {
    const { parameters, optimizer: { parts } } = this.#parts;
    const path = `${directory}/${OPTIMIZER_STATE}`;
    // First, so that the last process reads it while this one writes the weights.
    const together = modelOnly ? undefined : await parts?.write(path);
    const written = await parameters.save(directory, weights);
    if (modelOnly) return written;
    const state = await together?.file ?? await writeSafetensors(path, optimizer);
    return [...written, { name: OPTIMIZER_STATE, ...state }];
  }

  async settleSave(): Promise<void> {
    await this.#parts.optimizer.parts?.settle();
  }

  async load(directory: string): Promise<void> {
    await this.#loadWeights(directory);
    this.#round();
    this.#parts.optimizer.evaluation?.adopt();
  }

  async #loadWeights(directory: string): Promise<void> {
    const { parameters, optimizer } = this.#parts;
    await parameters.load(directory, async (weights) => await optimizer.takeWeights?.(weights));
  }

  async resume(directory: string, step: number): Promise<void> {
    const { optimizer } = this.#parts;
    await this.#loadWeights(directory);
    await using state = await openSafetensors(await optimizerStatePath(directory));
    // Which may fill the parameters more exactly than the checkpoint's weights did.
    await optimizer.load(state);
    this.#round();
    optimizer.resumeAt(step);
    this.#step = step;
  }

  #round(): void {
    const { runtime, parameters: { store, rounded } } = this.#parts;
    if (rounded) roundParameters(runtime, store, rounded);
  }

  /** Releases all parts but the runtime and the processes. */
  // deno-lint-ignore require-await -- the interface leaves room for trainers that must wait
  async [Symbol.asyncDispose](): Promise<void> {
    const { engine, optimizer, sums, collectives, gradients, parameters } = this.#parts;
    for (const part of [engine, optimizer, sums, collectives, gradients, parameters]) {
      part?.[Symbol.dispose]();
    }
  }
}

function countSupervised(batches: readonly Batch[]): number {
  return batches.reduce((sum, batch) => sum + batch.supervised, 0);
}
