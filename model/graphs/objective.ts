/**
 * What training minimizes: a loss of each supervised token, taken of its logits.
 *
 * In: logits and targets. Out: losses, and their gradient by the logits, in operators or in a kernel. The
 * engine makes the rest of it: which tokens, the sum over them, and the way on into the model.
 *
 * @module
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Value } from "../../ort/graph/ir.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import type { Precision } from "../precision.ts";

/** How losses are computed. */
export interface LossOptions {
  /**
   * Whether softmax is taken as the exponential of LogSoftmax, in place of Softmax and maxima: on CUDA a
   * maximum needs cuDNN.
   */
  readonly logSoftmax: boolean;
}

/** The losses of a graph. */
export interface Losses {
  /** One a row, float32 [n, 1], in nats. */
  readonly loss: Value;
  /**
   * Makes the gradient of their sum by the logits, [n, vocab], where a graph wants it.
   *
   * @param precision its type, which the model runs in
   */
  gradient(precision: Precision): Value;
}

/** A kernel of ortune's own that takes losses of logits. */
export interface LossKernel {
  /**
   * Writes a loss a row and, unless `gradient` is false, over the logits the gradient times a factor.
   *
   * @param pointers addresses of logits [rows, vocabulary] of the model's type, targets [rows], the factor
   *   float32 [], which is not read without a gradient, and losses float32 [rows]
   */
  launch(
    stream: bigint,
    pointers: {
      readonly logits: bigint;
      readonly targets: bigint;
      readonly factor: bigint;
      readonly losses: bigint;
    },
    sizes: {
      readonly rows: number;
      readonly vocabulary: number;
      readonly targets: "int32" | "int64";
      readonly gradient?: boolean;
    },
  ): void;
}

/** An objective of training. Evaluation takes the same losses, without gradients. */
export interface Objective {
  /**
   * Builds the losses into a graph.
   *
   * @param logits float32 [n, vocab]
   * @param targets int64 [n, 1], ids of the vocabulary
   */
  losses(b: GraphBuilder, logits: Value, targets: Value, options: LossOptions): Losses;
  /**
   * Compiles the same as a kernel.
   * @default none: it is built into graphs beside the engine's other kernels
   */
  loadKernel?(gpu: Gpu, precision: Precision): Promise<LossKernel>;
}
