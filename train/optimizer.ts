/**
 * What changes trained weights by their gradients, as a trainer drives it.
 *
 * In: gradients that an engine has left in a store, and the losses of an update's batches. Out:
 * parameters changed in place, the loss and the gradient norm of each update, and state for checkpoints.
 *
 * @module
 */

import type { Tensor } from "../ort/runtime/tensor.ts";
import type { WrittenBytes } from "../ort/tensor/file_writer.ts";
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
  /**
   * Takes weights that were loaded into the parameters, as exact as they are stored: for an optimizer that keeps
   * its part of float32 masters itself. Called before {@linkcode Optimizer.load}.
   * @default none: they are in the parameters
   */
  takeWeights?(weights: TensorSource): Promise<void>;
  /** Goes on as after `step` updates, to the bit. */
  resumeAt(step: number): void;
  /**
   * Where processes keep a part of the state each: the ways in which these become a whole.
   * @default each process keeps all
   */
  readonly parts?: StateParts;
}

/** State of which each process keeps a part. */
export interface StateParts {
  /**
   * On the first process, when it is done with {@linkcode Optimizer.state} and files: lets the others go. They
   * call it in place of reading and writing, and give their parts until then.
   */
  settle(): Promise<void>;
  /**
   * On the first process: has all write their parts into one safetensors file, of the very bytes that one
   * process would write.
   *
   * @returns when the parts are on the disk; the file is there when `file` is settled, and not there where that is
   *   undefined, for the file system kept something else than was written
   * @returns undefined where the processes do not share the folder's file system, and nothing was written
   * @throws {Error} naming the process whose write failed
   */
  write(path: string): Promise<{ readonly file: Promise<WrittenBytes | undefined> } | undefined>;
}
