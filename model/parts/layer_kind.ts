/**
 * How layers of one model differ: what their attention sees, and how positions get into it.
 *
 * Layers of one kind share compiled graphs; the engine picks the graph, the mask and the rotary tables
 * by a layer's kind.
 *
 * @module
 */

import type { Rope } from "./rope_settings.ts";

/** A kind of layers. Layers of one kind hold one and the same object. */
export interface LayerKind {
  /** Tells the kinds of a model apart, such as transformers' layer type `sliding_attention`. */
  readonly name: string;
  /**
   * How many tokens a query sees, itself and those before it: key j is visible to query i where
   * j ≤ i and i − j < window. @default all before it
   */
  readonly window?: number;
  /** What turns queries and keys. @default they are not turned */
  readonly rope?: Rope;
  /** How queries grow with their positions. @default they do not */
  readonly queryGrowth?: QueryGrowth;
  /** Sizes of a gated delta rule, which takes the place of attention. @default there is attention */
  readonly delta?: DeltaSizes;
}

/** Sizes of a gated delta rule, whose state a head is a matrix [keyDim, valueDim]. */
export interface DeltaSizes {
  /** Heads of queries and keys, `linear_num_key_heads`; divides `valueHeads`. */
  readonly keyHeads: number;
  /** Heads of values and states, `linear_num_value_heads`. */
  readonly valueHeads: number;
  /** Width of a query and of a key, `linear_key_head_dim`. */
  readonly keyDim: number;
  /** Width of a value, `linear_value_head_dim`. */
  readonly valueDim: number;
  /** Tokens that the convolution before it reads, itself among them, `linear_conv_kernel_dim`. */
  readonly taps: number;
  /** Tokens that are computed together, a power of 2. */
  readonly chunk: number;
}

/** Numbers of queries, keys and values of a token together: what the convolution goes over. */
export function deltaChannels({ keyHeads, keyDim, valueHeads, valueDim }: DeltaSizes): number {
  return 2 * keyHeads * keyDim + valueHeads * valueDim;
}

/** The query at position p is multiplied by 1 + beta·ln(1 + ⌊p ÷ span⌋), as Llama 4's. */
export interface QueryGrowth {
  /** `llama_4_scaling_beta` */
  readonly beta: number;
  /** `original_max_position_embeddings` */
  readonly span: number;
}

/** The kinds of a model's layers, each once, in the order of their first layers. */
export function distinctKinds(
  { layerKinds }: { readonly layerKinds: readonly LayerKind[] },
): readonly LayerKind[] {
  return [...new Set(layerKinds)];
}
