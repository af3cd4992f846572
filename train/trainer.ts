/**
 * The one interface of trainers: what the loop needs, whatever is being trained.
 *
 * In: batches and a learning rate. Out: losses, gradient norms, and files of a checkpoint.
 *
 * @module
 */

import type { Batch } from "../data/batches/collator.ts";
import type { NamedWeights } from "../model/engine/layered_weights.ts";
import type { TokenLosses } from "../model/engine/training_engine.ts";
import type { DecodeBlockOptions } from "../model/graphs/decode_graphs.ts";
import type { ModelConfig } from "../model/config.ts";
import type { WrittenFile } from "../ort/tensor/safetensors_writer.ts";
import type { PairObjective } from "./pair_objective.ts";

/** The result of one optimizer step. */
export interface TrainStepResult {
  /**
   * Mean loss over the supervised tokens of all batches, in nats: cross-entropy, unless told otherwise. Of pairs
   * the mean over the batches of each one's loss.
   */
  readonly loss: number;
  /** L2 norm of all gradients before clipping. */
  readonly gradNorm: number;
  /** Whether the update was left out because loss or gradient is not finite. */
  readonly skipped: boolean;
  /** Figures of pairs by their names, each a mean over the batches. @default none: no pairs are trained on */
  readonly figures?: Figures;
}

/** Figures by the names that they are logged under. */
export type Figures = Readonly<Record<string, number>>;

/** How one update is made. */
export interface TrainStepOptions {
  /** The rate of this update. */
  readonly learningRate: number;
  /** Aborts between two graphs; the weights then are those of the last whole update. */
  readonly signal?: AbortSignal;
  /** Called after each batch with the number done. */
  readonly onBatch?: (done: number) => void;
}

/** Updates whose numbers are read later than they are made. */
export interface DeferredSteps {
  /** Maximum number of updates whose results may be unread. */
  readonly most: number;
  /**
   * Queues an update on the device, without waiting for it. One whose loss or gradient is not finite
   * changes nothing, and its result says so.
   */
  launch(batches: readonly Batch[], options: TrainStepOptions): Promise<void>;
  /** What the updates launched since the last call came to, in order; waits for them. */
  results(): Promise<readonly TrainStepResult[]>;
  /**
   * Copies all that {@linkcode Trainer.save} writes to the host's memory, as it is after the updates
   * launched so far, to be written while more are made. A copy takes the place of the one before.
   * @default none: no update is made while files are written
   */
  snapshot?(): Promise<Pick<Trainer, "save">>;
  /** The most that was taken of the device's memory, where it has its own. */
  memoryBytes?(): number;
}

/** What is written of a trainer. */
export interface SaveOptions {
  /** Leaves the optimizer's state out, without which the run cannot be resumed. @default false */
  readonly modelOnly?: boolean;
}

/** Trains a model, one update at a time. */
export interface Trainer extends AsyncDisposable {
  /** What is trained, as events and files name it: all weights, or an adapter's. */
  readonly method: "full" | "lora";
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  /** Updates made. */
  readonly step: number;
  /** Numbers that the optimizer changes. */
  readonly trainableParameters: number;
  /**
   * What is minimized where examples are pairs: a chosen reply and a rejected one in turns.
   * @default each example is trained on by itself
   */
  readonly pairs?: PairObjective;
  /** One update from all given batches together: gradients, clipping, optimizer. */
  trainStep(batches: readonly Batch[], options: TrainStepOptions): Promise<TrainStepResult>;
  /**
   * Updates without a wait after each, where they run on a device: reading a number there makes the
   * host wait for all work that was queued. {@linkcode Trainer.step} counts an unread update as made.
   * @default none: trainStep's numbers are there at once
   */
  readonly deferred?: DeferredSteps;
  /** The loss of each supervised token, in evaluation mode. */
  evaluate(batch: Batch, signal?: AbortSignal): Promise<TokenLosses>;
  /** The tensors generation runs on; no copy. */
  readonly weights: NamedWeights;
  /** Makes a block's linear layers of them for generation. @default {the block's own} */
  readonly linear?: DecodeBlockOptions["linear"];
  /**
   * Puts the weights that are evaluated and saved in place of those that are trained, until the next update:
   * where the two differ, generation runs on them then.
   * @default none: they are the same
   */
  useSavedWeights?(): Promise<void>;
  /** Writes weights, config and optimizer state into an existing folder. */
  save(directory: string, options?: SaveOptions): Promise<readonly WrittenFile[]>;
  /**
   * Where processes train together and each keeps a part of what is saved: the first calls this when
   * {@linkcode Trainer.save} is over, and the others in its place, to give it their parts.
   * @default none: the first has all
   */
  settleSave?(): Promise<void>;
  /** Takes the weights of a checkpoint, and leaves the optimizer as it is: training is over. */
  load(directory: string): Promise<void>;
  /** Takes weights and optimizer state from a checkpoint made at update `step`. */
  resume(directory: string, step: number): Promise<void>;
}
