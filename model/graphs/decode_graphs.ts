/**
 * The graph of generation: one block whose attention reads and extends a cache of keys and values
 * in place.
 *
 * In: a config. Out: a graph over x [length·rows, hidden]. Weights are inputs, as in the training
 * graphs, so that a model is sampled while it is trained without a copy of it.
 *
 * @module
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import { type Dim, product } from "../../ort/graph/dim.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import { attendTo, MASKED } from "./attention.ts";
import { block, blockWeightInputs, POSITIONS, rotaryInputs } from "./block.ts";
import type { ModelConfig } from "../config.ts";
import { type Attention, type LinearLayer, TOKENS } from "../parts/block_scope.ts";
import type { LayerKind } from "../parts/layer_kind.ts";
import type { Precision, PrecisionOptions } from "../precision.ts";
import { QUERY_SCALE } from "../rope.ts";
import { continuedRows, PAST_STATES } from "./sequences.ts";

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
  POSITIONS,
  "cos",
  "sin",
  QUERY_SCALE,
  "past_key",
  "past_value",
  "last_index",
  "total_length",
  "cache_rows",
  "cache_ids",
  "columns",
  ...Object.values(PAST_STATES),
]);

/** Options of {@linkcode decodeBlockGraph}. */
export interface DecodeBlockOptions extends PrecisionOptions {
  /** The kind of the layer. @default the first layer's */
  readonly kind?: LayerKind;
  /**
   * Makes the block's linear layers from its weights, where an adapter goes in.
   * @default the layer's own weights
   */
  readonly linear?: (b: GraphBuilder, weights: ReadonlyMap<string, Value>) => LinearLayer;
  /**
   * `fused`: ONNX Runtime's GroupQueryAttention, of float32 on the CPU and bfloat16 on CUDA.
   * `plain`: operations that CUDA has in float32 too. It takes the caches as rows, `past_key` and
   * `past_value` [rows·kvHeads·capacity, headDim]; `cache_rows`, int64 [rows·kvHeads·length, 1], the
   * rows to write, (row·kvHeads + head)·capacity + position; and `columns`, int64 [capacity], which
   * counts from 0. It scores the whole capacity.
   * @default "fused"
   */
  readonly attention?: "fused" | "plain";
  /**
   * With plain attention: takes the caches of more sequences, [cached·kvHeads·capacity, headDim], and
   * `cache_ids`, int64 [rows], which of them the rows are. Theirs are copied for the products.
   * @default false: each sequence of the caches is a row
   */
  readonly chosen?: boolean;
  /**
   * For layers that carry a state: whether each row is one token, in place of a chunk's worth and more. They take
   * `past_inputs` and `past_matrices` in place of caches, and give out `present_inputs` and `present_matrices`,
   * which must be other tensors.
   * @default false
   */
  readonly single?: boolean;
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
 * import { parseConfig } from "@ortune/ortune";
 * import { decodeBlockGraph } from "@ortune/ortune/unstable-engine";
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
  {
    kind = config.layerKinds[0],
    linear,
    attention = "fused",
    precision = "float32",
    storage,
    chosen = false,
    single = false,
  }: DecodeBlockOptions = {},
): Graph {
  const b = new GraphBuilder("decode_block");
  const x = b.input("x", precision, [TOKENS, config.hiddenSize]);
  const weights = blockWeightInputs(b, config, { kind, precision, storage });
  const { rope, queryGrowth } = kind;
  const growing = queryGrowth !== undefined;
  const rotary = rotaryInputs(b, { width: rope?.width, growing }, precision);
  const { window } = kind;
  const cached = attention === "fused"
    ? fusedAttention(b, config, { precision, window })
    : plainAttention(b, config, {
      ...{ precision, chosen, window },
      positions: rotary?.positions ?? b.input(POSITIONS, "int64", ["rows", "length"]),
    });
  const sequences = kind.delta && continuedRows(b, kind.delta, { single });
  const options = { config, kind, weights, rotary, sequences, linear: linear?.(b, weights) };
  b.output("y", block(b, x, { ...options, attention: cached.attention }));
  if (kind.delta) return b.build();
  for (const { name, past, present } of cached.caches()) {
    b.output(`present_${name}`, present, { inPlaceOf: past });
  }
  return b.build();
}

/** Attention that extends a cache. */
interface CachedAttention {
  readonly attention: Attention;
  /** Both caches before and after, once the attention was built. */
  readonly caches: () => readonly { name: string; past: Value; present: Value }[];
}

function fusedAttention(
  b: GraphBuilder,
  config: ModelConfig,
  { precision, window }: { readonly precision: Precision; readonly window: number | undefined },
): CachedAttention {
  const { heads, kvHeads, attentionScale: scale } = config;
  const shape = ["rows", kvHeads, "capacity", cacheHeadDim(config)];
  const pastKey = b.input("past_key", precision, shape);
  const pastValue = b.input("past_value", precision, shape);
  const lastIndex = b.input("last_index", "int32", ["rows"]);
  const totalLength = b.input("total_length", "int32", []);
  let present: readonly Value[] = [];
  return {
    attention: (q, k, v) => {
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
        scale,
        window,
      });
      present = caches;
      return narrowHeads(b, config, mixed);
    },
    caches: () => [
      { name: "key", past: pastKey, present: present[0] },
      { name: "value", past: pastValue, present: present[1] },
    ],
  };
}

function plainAttention(
  b: GraphBuilder,
  config: ModelConfig,
  { precision, chosen, window, positions }: {
    readonly precision: Precision;
    readonly chosen: boolean;
    readonly window: number | undefined;
    readonly positions: Value;
  },
): CachedAttention {
  const { kvHeads, headDim } = config;
  const slots = b.input("cache_rows", "int64", [product("rows", kvHeads, "length"), 1]);
  const ids = chosen ? b.input("cache_ids", "int64", ["rows"]) : undefined;
  const columns = b.input("columns", "int64", ["capacity"]);
  const cached = product(chosen ? "cached" : "rows", kvHeads, "capacity");
  const cache = (name: string) => ({
    name,
    past: b.input(`past_${name}`, precision, [cached, headDim]),
  });
  const [key, value] = [cache("key"), cache("value")];
  const written: { name: string; past: Value; present: Value }[] = [];
  /** Writes x, [rows, length, kvHeads·headDim], and answers the whole cache by head. */
  const extend = ({ name, past }: ReturnType<typeof cache>, x: Value): Value => {
    const split = ops.reshape(b, x, ["rows", "length", kvHeads, headDim]);
    const byHead = ops.transpose(b, split, [0, 2, 1, 3]);
    const rows = ops.reshape(b, byHead, [product("rows", kvHeads, "length"), headDim]);
    const present = ops.scatterRows(b, past, slots, rows);
    written.push({ name, past, present });
    const sequences = ids
      ? ops.gather(
        b,
        ops.reshape(b, present, ["cached", product(kvHeads, "capacity", headDim)]),
        ids,
      )
      : present;
    return ops.reshape(b, sequences, ["rows", kvHeads, "capacity", headDim]);
  };
  return {
    attention: (q, k, v) => {
      const [keys, values] = [extend(key, k), extend(value, v)];
      const queries = ops.unsqueeze(b, positions, 2);
      let seen = ops.lessOrEqual(b, columns, queries);
      if (window !== undefined) {
        const before = ops.sub(b, queries, b.int64([window]));
        seen = ops.and(b, seen, ops.greater(b, columns, before));
      }
      const visible = ops.where(b, seen, b.float(precision, 0), b.float(precision, MASKED));
      const mask = ops.reshape(b, visible, ["rows", 1, 1, "length", "capacity"]);
      return attendTo(b, config, q, { k: () => keys, v: () => values, length: "capacity", mask });
    },
    caches: () => written,
  };
}

/** [rows, length, heads·headDim] → [rows, length, heads·D], zeros at the end of each head. */
function widenHeads(b: GraphBuilder, config: ModelConfig, x: Value, heads: number): Value {
  const { headDim } = config;
  const width = cacheHeadDim(config);
  if (width === headDim) return x;
  const byHead: Dim[] = ["rows", "length", heads];
  if (x.dtype !== "float32") { // CUDA pads no bfloat16
    const zeros = ops.expand(b, b.float(x.dtype, 0), [...byHead, width - headDim]);
    const split = ops.reshape(b, x, [...byHead, headDim]);
    const joined = ops.concat(b, [split, zeros], { axis: 3, joined: width });
    return ops.reshape(b, joined, ["rows", "length", heads * width]);
  }
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
  const byHead = ops.reshape(b, x, [TOKENS, heads, width]);
  const narrow = ops.slice(b, byHead, { axis: 2, start: 0, end: headDim });
  return ops.reshape(b, narrow, [TOKENS, heads * headDim]);
}
