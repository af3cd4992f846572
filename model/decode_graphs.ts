/**
 * The graph of generation: one block whose attention reads and extends a cache of keys and values
 * in place.
 *
 * In: a config. Out: a graph over x [length·rows, hidden]. Weights are inputs, as in the training
 * graphs, so that a model is sampled while it is trained without a copy of it.
 *
 * @module
 */

import { GraphBuilder } from "../graph/builder.ts";
import type { Dim } from "../graph/dim.ts";
import type { Graph, Value } from "../graph/ir.ts";
import * as ops from "../graph/ops.ts";
import {
  type Attention,
  block,
  blockWeightInputs,
  type LinearLayer,
  rotaryInputs,
  TOKENS,
} from "./block.ts";
import type { ModelConfig } from "./config.ts";

// GroupQueryAttention refuses any other head size (group_query_attention_helper.h of ONNX Runtime).
const HEAD_MULTIPLE = 8;

/**
 * Width of a head in the cache: headDim rounded up to what GroupQueryAttention takes. The elements
 * added are zeros, which change neither a score nor a mixed value.
 */
export function cacheHeadDim(config: ModelConfig): number {
  return Math.ceil(config.headDim / HEAD_MULTIPLE) * HEAD_MULTIPLE;
}

/**
 * The inputs of {@linkcode decodeBlockGraph} that a step gives; all others are the layer's weights.
 */
export const STEP_INPUTS: ReadonlySet<string> = new Set([
  "x",
  "position_ids",
  "cos",
  "sin",
  "past_key",
  "past_value",
  "last_index",
  "total_length",
]);

/** Options of {@linkcode decodeBlockGraph}. */
export interface DecodeBlockOptions {
  /**
   * Makes the block's linear layers from its weights, where an adapter goes in.
   * @default the layer's own weights
   */
  readonly linear?: (b: GraphBuilder, weights: ReadonlyMap<string, Value>) => LinearLayer;
}

/**
 * The next tokens of a row through one block: x [length·rows, hidden] → y of the same shape.
 *
 * Keys and values are written into `past_key` and `past_value`, [rows, kvHeads, capacity, D], from
 * position `last_index` + 1 − length on. Bind `present_key` and `present_value` to the same
 * tensors: nothing else of the cache is touched or copied. With one row, `length` may be anything
 * at any position; with several, more than one token a row only at the start.
 *
 * @example
 * ```ts
 * import { decodeBlockGraph, parseConfig } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * const graph = decodeBlockGraph(config);
 * assert.deepEqual(graph.inputs.find(({ name }) => name === "past_key")!.shape, [
 *   "rows", 2, "capacity", 8,
 * ]);
 * assert.equal(graph.aliases.get("present_key"), "past_key");
 * ```
 */
export function decodeBlockGraph(
  config: ModelConfig,
  { linear }: DecodeBlockOptions = {},
): Graph {
  const b = new GraphBuilder("decode_block");
  const x = b.input("x", "float32", [TOKENS, config.hiddenSize]);
  const weights = blockWeightInputs(b, config);
  const rotary = rotaryInputs(b, config);
  const shape = ["rows", config.kvHeads, "capacity", cacheHeadDim(config)];
  const pastKey = b.input("past_key", "float32", shape);
  const pastValue = b.input("past_value", "float32", shape);
  const lastIndex = b.input("last_index", "int32", ["rows"]);
  const totalLength = b.input("total_length", "int32", []);
  let present: readonly Value[] = [];
  const attention: Attention = (q, k, v) => {
    const { heads, kvHeads, headDim } = config;
    const [mixed, ...caches] = ops.groupQueryAttention(b, {
      q: widenHeads(b, config, q, heads),
      k: widenHeads(b, config, k, kvHeads),
      v: widenHeads(b, config, v, kvHeads),
      cacheK: pastKey,
      cacheV: pastValue,
      lastIndex,
      totalLength,
      heads,
      kvHeads,
      scale: headDim ** -0.5,
    });
    present = caches;
    return narrowHeads(b, config, mixed);
  };
  const options = { config, weights, rotary, attention, linear: linear?.(b, weights) };
  b.output("y", block(b, x, options));
  b.output("present_key", present[0], { inPlaceOf: pastKey });
  b.output("present_value", present[1], { inPlaceOf: pastValue });
  return b.build();
}

/** [rows, length, heads·headDim] → [rows, length, heads·D], zeros at the end of each head. */
function widenHeads(b: GraphBuilder, config: ModelConfig, x: Value, heads: number): Value {
  const { headDim } = config;
  const width = cacheHeadDim(config);
  if (width === headDim) return x;
  const byHead: Dim[] = ["rows", "length", heads];
  const [padded] = b.node(
    "Pad",
    [ops.reshape(b, x, [...byHead, headDim]), b.int64([0, 0, 0, 0, 0, 0, 0, width - headDim])],
    [{ dtype: x.dtype, shape: [...byHead, width] }],
  );
  return ops.reshape(b, padded, ["rows", "length", heads * width]);
}

/** [rows, length, heads·D] → [length·rows, heads·headDim]. */
function narrowHeads(b: GraphBuilder, config: ModelConfig, x: Value): Value {
  const { heads, headDim } = config;
  const width = cacheHeadDim(config);
  if (width === headDim) return ops.reshape(b, x, [TOKENS, heads * headDim]);
  const [narrow] = b.node(
    "Slice",
    [ops.reshape(b, x, [TOKENS, heads, width]), b.int64([0]), b.int64([headDim]), b.int64([2])],
    [{ dtype: x.dtype, shape: [TOKENS, heads, headDim] }],
  );
  return ops.reshape(b, narrow, [TOKENS, heads * headDim]);
}
