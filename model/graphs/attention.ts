/**
 * How the attention of a block mixes queries, keys and values: over a grid with a mask, in kernels,
 * or over chunks of queries.
 *
 * In: q, k and v of a block. Out: [length·rows, heads·D]. `decode_graphs.ts` has the attention that reads
 * a cache.
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import { type Dim, product } from "../../ort/graph/dim.ts";
import type { Value } from "../../ort/graph/ir.ts";
import { headAttention, segmentAttention } from "../../ort/graph/kernel_ops.ts";
import * as ops from "../../ort/graph/ops.ts";
import { roundToBfloat16 } from "../../ort/tensor/half.ts";
import type { ModelConfig } from "../config.ts";
import {
  type Attention,
  type ProjectedAttention,
  type Rotary,
  TOKENS,
} from "../parts/block_scope.ts";

/**
 * Added to the score of a key that is not to be seen. Large enough that its exponential is zero in
 * every dtype, small enough to survive an addition. Not −80 or so: exponentials of that size are
 * denormal, and denormals slow a Gemm a hundredfold.
 */
export const MASKED: number = -1e9;

/**
 * Attention over the whole grid with an additive mask [rows, 1, 1, length, length]. The heads that
 * share a key head are stacked along the queries, so keys and values are never repeated, and the
 * sum over the group in their gradients comes out of the matrix product.
 */
export function maskedAttention(b: GraphBuilder, config: ModelConfig, mask: Value): Attention {
  return (q, k, v) =>
    attendTo(b, config, q, { ...byHead(b, config, k, v), length: "length", mask });
}

/** Makes of keys and values [rows, length, kvHeads·headDim] what {@linkcode attendTo} reads. */
export function byHead(
  b: GraphBuilder,
  { kvHeads, headDim }: ModelConfig,
  k: Value,
  v: Value,
): Pick<AttentionKeys, "k" | "v"> {
  const split = (x: Value): Value => {
    const [rows, length] = x.shape;
    return ops.transpose(b, ops.reshape(b, x, [rows, length, kvHeads, headDim]), [0, 2, 1, 3]);
  };
  return { k: () => split(k), v: () => split(v) };
}

/** Attention by segments, in an operation that goes over chunks of queries. */
export function chunkedAttention(
  b: GraphBuilder,
  { heads, kvHeads, headDim, attentionScale: scale }: ModelConfig,
  starts: Value,
): Attention {
  const flat = (x: Value, count: number): Value => ops.reshape(b, x, [TOKENS, count * headDim]);
  return (q, k, v) =>
    segmentAttention(b, {
      q: flat(q, heads),
      k: flat(k, kvHeads),
      v: flat(v, kvHeads),
      ...{ starts, heads, kvHeads, scale },
    });
}

/** What attention in a kernel reads besides the projections. */
export interface SegmentInputs {
  /** Positions and tables that turn queries and keys. */
  readonly rotary: Rotary;
  /** Where each token's segment or window begins, counted over the whole grid: int32 [length·rows]. */
  readonly starts: Value;
  /** After the last token that sees it. */
  readonly ends: Value;
}

/** Attention in kernels of ortune's own: no scores in memory, and nothing outside of a segment read. */
export function kernelAttention(
  b: GraphBuilder,
  { heads, kvHeads, attentionScale: scale }: ModelConfig,
  inputs: SegmentInputs,
  onSaveable: (value: Value) => void,
): ProjectedAttention {
  return {
    mixProjections: (projected) => {
      const { mixed, sums } = headAttention(b, { ...projected, heads, kvHeads, scale, ...inputs });
      onSaveable(sums);
      return mixed;
    },
  };
}

/** What queries are held against. */
export interface AttentionKeys {
  /** Makes the keys, [rows, kvHeads, length, headDim], where the product reads them. */
  readonly k: () => Value;
  /** The same of the values. */
  readonly v: () => Value;
  /** How many keys there are. */
  readonly length: Dim;
  /** Added to the scores: [rows, 1, 1, queries, length]. */
  readonly mask: Value;
  /** Called with the weights, [rows, kvHeads, group, queries, length], and the sums they are softmax of. */
  readonly onWeights?: (weights: Value, scores: Value) => void;
}

/** Queries [rows, length, heads·headDim] against keys → [length·rows, heads·headDim]. */
export function attendTo(
  b: GraphBuilder,
  config: ModelConfig,
  q: Value,
  { k, v, length, mask, onWeights = () => {} }: AttentionKeys,
): Value {
  const { heads, kvHeads, headDim, attentionScale: scale } = config;
  const group = heads / kvHeads;
  const stacked = product(group, "length");
  // cuBLAS rounds a product's alpha to the type of its operands.
  const exact = q.dtype === "float32" || roundToBfloat16(scale) === scale;
  const grouped = ops.transpose(
    b,
    ops.reshape(b, exact ? q : ops.scale(b, q, scale), ["rows", "length", kvHeads, group, headDim]),
    [0, 2, 3, 1, 4],
  );
  const queries = ops.reshape(b, grouped, ["rows", kvHeads, stacked, headDim]);
  const scores = ops.matmul(b, queries, k(), { transB: true, alpha: exact ? scale : 1 });
  const byGroup = ops.reshape(b, scores, ["rows", kvHeads, group, "length", length]);
  const masked = ops.add(b, byGroup, mask);
  const weights = ops.softmax(b, masked);
  onWeights(weights, masked);
  const stackedWeights = ops.reshape(b, weights, ["rows", kvHeads, stacked, length]);
  const mixed = ops.matmul(b, stackedWeights, v());
  const ungrouped = ops.transpose(
    b,
    ops.reshape(b, mixed, ["rows", kvHeads, group, "length", headDim]),
    [0, 3, 1, 2, 4],
  );
  return ops.reshape(b, ungrouped, [TOKENS, heads * headDim]);
}
