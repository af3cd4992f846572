/**
 * What changes trained weights by their gradients, as a trainer drives it.
 *
 * In: gradients that an engine has left in a store, and the losses of an update's batches. Out:
 * parameters changed in place, the loss and the gradient norm of each update, and state for checkpoints.
 *
 * @module
 */

import type { Tensor } from "../ort/runtime/tensor.ts";
import type { TensorSource } from "../ort/tensor/tensor_source.ts";
import type { TrainStepResult } from "./trainer.ts";

/** What one update is made with. */
export interface UpdateOptions {
  /** The rate of this update. */
  readonly learningRate: number;
  /** Supervised tokens of all its batches: its loss is a mean over them. */
  readonly tokens: number;
  /** Decides how this update is rounded, where it is at random. */
  readonly seed: number | string;
}

/**
 * Parameters that a model is evaluated and saved with, in the place of those that are trained. The trained ones
 * must be back before gradients are taken.
 */
export interface EvaluationParameters {
  /** Puts them in the place of the trained ones. */
  enter(): void;
  /** Puts the trained ones back, to the bit. */
  leave(): void;
  /** Takes what is in that place, filled from elsewhere, as both. */
  adopt(): void;
}

/**
 * An optimizer over one store of parameters and the store of their gradients.
 *
 * One update is {@linkcode Optimizer.begin}, {@linkcode Optimizer.addLosses} for each batch, and
 * {@linkcode Optimizer.update}: it clips the gradients by their global norm and changes the parameters,
 * or changes nothing where loss or norm is not finite. An update that was begun and not made leaves no
 * trace.
 */
export interface Optimizer extends Disposable {
  /** Maximum number of updates whose results may be unread. */
  readonly maxUnread: number;
  /**
   * What the model is evaluated and saved with.
   * @default the parameters that are trained
   */
  readonly evaluation?: EvaluationParameters;
  /** Starts an update, before its first batch is run. */
  begin(options: UpdateOptions): void;
  /**
   * Adds a batch's losses to the update's mean.
   *
   * @param losses float32 [tokens, 1], whose memory may be reused as soon as this returns
   */
  addLosses(losses: Tensor): void;
  /**
   * Makes the update, or queues it on the device. Not to be interrupted: half an update is no state to
   * save.
   *
   * @throws {Error} where {@linkcode Optimizer.maxUnread} results are unread
   */
  update(): Promise<void>;
  /** The results of all updates since the last call, in order; waits for them. */
  results(): readonly TrainStepResult[];
  /** What a checkpoint keeps beside the weights, `<parameter>.<name>` for each parameter. */
  state(): TensorSource;
  /**
   * Takes what {@linkcode Optimizer.state} was written to.
   *
   * @throws {Error} where the source holds other types or shapes
   */
  load(source: TensorSource): Promise<void>;
  /** Goes on as after `step` updates, to the bit. */
  resumeAt(step: number): void;
  /**
   * Where processes keep a part of the state each: the first calls this when it has read
   * {@linkcode Optimizer.state}, and the others in place of reading, to give it their parts.
   * @default none: each keeps all
   */
  settle?(): Promise<void>;
}
