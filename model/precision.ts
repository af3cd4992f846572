/**
 * What numbers a model's graphs compute with.
 *
 * In: a precision. Out: options of every graph function.
 *
 * `bfloat16` means, in the order of Hugging Face's models in bfloat16:
 * - weights, activations, the residual stream and gradients are bfloat16; a product accumulates in
 *   float32 and is rounded once. A weight's gradient is a product with the gradient so far as its
 *   addend: one rounding a batch, none within it;
 * - RMSNorm computes x·invStd in float32, rounds, and multiplies the weight in bfloat16;
 * - softmax, SiLU, RMSNorm's and softmax's gradients, and cross-entropy with its gradient are
 *   float32 inside; cosines and sines are computed in float32 and rounded;
 * - scores are scaled exactly: by the product's alpha where that is a bfloat16 (a head of 64 or
 *   256), else on the queries in float32;
 * - an adapter's weights and arithmetic stay float32: x is cast up, the result cast back, as in PEFT.
 *
 * @module
 */

import type { BaseStorage } from "./base_storage.ts";

/** The type of a graph's weights and activations. */
export type Precision = "float32" | "bfloat16";

/** The option that every graph function takes. */
export interface PrecisionOptions {
  /**
   * The type of weights and activations.
   * @default "float32"
   */
  readonly precision?: Precision;
  /**
   * How the matrices are stored that graphs take as inputs; frozen ones may be in fewer bits.
   * @default in the precision
   */
  readonly storage?: BaseStorage;
}
