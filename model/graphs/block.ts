/**
 * The transformer block: RMSNorm, attention, RMSNorm, SwiGLU, with residuals. One block with flags
 * serves every family.
 *
 * In: x [length·rows, hidden] and the layer's weights. Out: the same shape.
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import { type Dim, product } from "../../ort/graph/dim.ts";
import type { Value } from "../../ort/graph/ir.ts";
import { headAttention, rmsNormWithKernel, swiglu } from "../../ort/graph/kernel_ops.ts";
import * as ops from "../../ort/graph/ops.ts";
import { roundToBfloat16 } from "../../ort/tensor/half.ts";
import type { BlockKernel } from "../block_kernels.ts";
import type { ModelConfig } from "../config.ts";
import { blockParameters, type ParameterSpec } from "../parameters.ts";
import type { Precision, PrecisionOptions } from "../precision.ts";
import { GATE_UP, QKV, type StackedParameter } from "../stacked_parameters.ts";

/**
 * Added to the score of a key that is not to be seen. Large enough that its exponential is zero in
 * every dtype, small enough to survive an addition. Not −80 or so: exponentials of that size are
 * denormal, and denormals slow a Gemm a hundredfold.
 */
export const MASKED: number = -1e9;

/** Tokens of a grid of rows by length, laid out flat. */
export const TOKENS: string = product("rows", "length") as string;

/**
 * A linear layer of the block by name, such as `self_attn.q_proj`: x [N, in] → [N, out], plus an
 * addend [N, out] if given. The place where an adapter is injected.
 */
export type LinearLayer = (name: string, x: Value, addend?: Value) => Value;

/**
 * Trained weights beside a block's own, such as LoRA's, and what they make of its linear layers.
 * The block's own weights are frozen then.
 */
export interface BlockAdapter {
  /** The trained weights of a layer, under their names inside the layer. */
  readonly parameters: readonly ParameterSpec[];
  /** What the graph takes besides, computed from all weights between two updates; a constant to it. */
  readonly derived: readonly ParameterSpec[];
  /** The share of inputs that dropout zeroes in training, 0 for none. */
  readonly dropout: number;
  /**
   * The rank of its products and the layers that have some, where B·A·x, with one rank and one scale, is
   * all that they are given.
   */
  readonly products?: { readonly rank: number; readonly layers: readonly string[] };
  /** Why it has none of these, in a few words. */
  readonly noProducts?: string;
  /**
   * Declares the trained weights as inputs of the graph and wraps its linear layers.
   *
   * @param own the layer's own weights
   * @param training whether dropout is applied, by masks that the graph takes as inputs named
   *   `<layer>` + {@linkcode DROPOUT_MASK}
   * @param deviceDropout whether the graph makes these masks itself, as kernels always do, from
   *   {@linkcode DROPOUT_ROWS} and inputs named `<layer>` + {@linkcode DROPOUT_COLUMNS}
   * @param kernels as {@linkcode BlockOptions}
   * @param stacks the layers that are one, as {@linkcode blockWeightInputs}
   * @param onCostly as {@linkcode BlockOptions}, for what is not a linear layer's result
   */
  wrap(
    b: GraphBuilder,
    own: ReadonlyMap<string, Value>,
    options: {
      readonly training: boolean;
      readonly deviceDropout?: boolean;
      readonly kernels?: ReadonlySet<BlockKernel>;
      readonly stacks?: readonly StackedParameter[];
      readonly onCostly?: (value: Value) => void;
    },
  ): { readonly linear: LinearLayer; readonly weights: ReadonlyMap<string, Value> };
}

/** How the name of a dropout mask ends: uint8 [length·rows, in], 1 where an input is kept. */
export const DROPOUT_MASK = ".dropout_mask";
/** Input of graphs that make dropout masks: int32 [length·rows, 1], random odd, new each batch. */
export const DROPOUT_ROWS = "dropout_rows";
/** How the name of a layer's random columns ends: int32 [in], random odd, the same every batch. */
export const DROPOUT_COLUMNS = ".dropout_columns";

/** Mixes q, k and v, [rows, length, heads·D] each, into [length·rows, heads·D]. */
export type Attention = (q: Value, k: Value, v: Value) => Value;

/** Attention that norms and turns heads itself. */
export interface ProjectedAttention {
  /**
   * Mixes what `project` makes, of the linear layer `self_attn.q_proj` by "q" and so on, into
   * [length·rows, heads·D].
   */
  readonly mixProjections: (project: (name: string) => Value) => Value;
}

/** Inputs that every block of a step shares. */
export interface Rotary {
  /** int64 [rows, length] */
  readonly positions: Value;
  /** [positions, headDim/2] */
  readonly cos: Value;
  /** [positions, headDim/2] */
  readonly sin: Value;
}

/** What {@linkcode block} is made of. */
export interface BlockOptions {
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  /** The layer's weights by their names inside the layer. */
  readonly weights: ReadonlyMap<string, Value>;
  /**
   * Positions and tables that turn queries and keys.
   * @default the attention turns them
   */
  readonly rotary?: Rotary;
  /** How queries, keys and values are mixed. */
  readonly attention: Attention | ProjectedAttention;
  /**
   * Makes `y = x·Wᵀ (+ bias)` of each projection.
   * @default the layer's own weights
   */
  readonly linear?: LinearLayer;
  /**
   * Which parts are built for ortune's own kernels.
   * @default none
   */
  readonly kernels?: ReadonlySet<BlockKernel>;
  /**
   * Told of each value that backward needs and that costs a matrix product of two big operands to
   * compute again. Attention weights are not among them: they grow with the square of the length.
   */
  readonly onCostly?: (value: Value) => void;
}

/** Declares the layer's weights as graph inputs; those that are stacked as one. */
export function blockWeightInputs(
  b: GraphBuilder,
  config: ModelConfig,
  { precision = "float32", stacks = [] }: PrecisionOptions & {
    /** Stacks that take the place of their parts. @default none */
    readonly stacks?: readonly StackedParameter[];
  } = {},
): Map<string, Value> {
  const parts = new Set(stacks.flatMap(({ of }) => of));
  const specs = [...blockParameters(config).filter(({ name }) => !parts.has(name)), ...stacks];
  return new Map(specs.map(({ name, shape }) => [name, b.input(name, precision, shape)]));
}

/** Declares the rotary inputs. */
export function rotaryInputs(
  b: GraphBuilder,
  config: ModelConfig,
  precision: Precision = "float32",
): Rotary {
  const table = ["positions", config.headDim / 2] as const;
  return {
    positions: b.input("position_ids", "int64", ["rows", "length"]),
    cos: b.input("cos", precision, table),
    sin: b.input("sin", precision, table),
  };
}

/** A linear layer with the layer's own weights; the residual goes in as Gemm's C. */
export function plainLinear(b: GraphBuilder, weights: ReadonlyMap<string, Value>): LinearLayer {
  return (name, x, addend) => {
    const weight = weights.get(`${name}.weight`)!;
    const bias = weights.get(`${name}.bias`);
    if (!bias) return ops.linear(b, x, weight, addend);
    const y = ops.linear(b, x, weight, bias);
    return addend ? ops.add(b, y, addend) : y;
  };
}

/** Builds the block's forward nodes. */
export function block(b: GraphBuilder, x: Value, options: BlockOptions): Value {
  const { config, weights, rotary, attention, kernels = new Set(), onCostly = () => {} } = options;
  const layer = options.linear ?? plainLinear(b, weights);
  const costly = (value: Value): Value => {
    onCostly(value);
    return value;
  };
  const linear: LinearLayer = (name, x, addend) => costly(layer(name, x, addend));
  const norm = (x: Value, name: string): Value =>
    kernels.has("rmsNorm")
      ? rmsNormWithKernel(b, x, weights.get(name)!, config.rmsNormEps)
      : ops.rmsNorm(b, x, weights.get(name)!, config.rmsNormEps)[0];
  const normed = norm(x, "input_layernorm.weight");
  const project = (name: string): Value => linear(`self_attn.${name}_proj`, normed);
  const heads = (name: string, count: number): Value => {
    const width = count * config.headDim;
    let y = project(name);
    if (config.qkNorm && name !== "v") {
      y = ops.reshape(b, y, [product(count, TOKENS), config.headDim]);
      y = norm(y, `self_attn.${name}_norm.weight`);
    }
    y = ops.reshape(b, y, ["rows", "length", width]);
    if (name === "v" || !rotary) return y;
    return ops.rope(b, y, rotary.positions, rotary.cos, rotary.sin);
  };

  const mixed = costly(
    "mixProjections" in attention
      ? attention.mixProjections(project)
      : attention(heads("q", config.heads), heads("k", config.kvHeads), heads("v", config.kvHeads)),
  );
  const attended = linear("self_attn.o_proj", mixed, x);
  const mlpInput = norm(attended, "post_attention_layernorm.weight");
  return layer("mlp.down_proj", gated(), attended);

  function gated(): Value {
    if (weights.has(GATE_UP)) return swiglu(b, linear("mlp.gate_up_proj", mlpInput));
    const gate = linear("mlp.gate_proj", mlpInput);
    const up = linear("mlp.up_proj", mlpInput);
    return kernels.has("swiglu") ? swiglu(b, gate, up) : ops.mul(b, ops.silu(b, gate), up);
  }
}

/**
 * Attention over the whole grid with an additive mask [rows, 1, 1, length, length]. The heads that
 * share a key head are stacked along the queries, so keys and values are never repeated, and the
 * sum over the group in their gradients comes out of the matrix product.
 */
export function maskedAttention(b: GraphBuilder, config: ModelConfig, mask: Value): Attention {
  const { kvHeads, headDim } = config;
  const byHead = (x: Value): Value =>
    ops.transpose(b, ops.reshape(b, x, ["rows", "length", kvHeads, headDim]), [0, 2, 1, 3]);
  return (q, k, v) => {
    const keys = { k: () => byHead(k), v: () => byHead(v), length: "length", mask };
    return attendTo(b, config, q, keys);
  };
}

/** What attention in a kernel reads besides the projections. */
export interface SegmentInputs {
  /** The layer's weights by their names inside the layer, of which it takes the heads' norms. */
  readonly weights: ReadonlyMap<string, Value>;
  /** Cosines and sines of the positions. */
  readonly rotary: Rotary;
  /** Where each token's segment begins, counted over the whole grid: int32 [length·rows]. */
  readonly starts: Value;
  /** Where it ends, exclusive. */
  readonly ends: Value;
}

/** Attention in kernels of ortune's own: no scores in memory, and nothing outside of a segment read. */
export function kernelAttention(
  b: GraphBuilder,
  { heads, kvHeads, qkNorm, rmsNormEps: epsilon }: ModelConfig,
  { weights, ...inputs }: SegmentInputs,
  onCostly: (value: Value) => void,
): ProjectedAttention {
  const [q, k] = ["q", "k"].map((name) => weights.get(`self_attn.${name}_norm.weight`)!);
  const norms = qkNorm ? { q, k, epsilon } : undefined;
  return {
    mixProjections: (project) => {
      const { mixed, sums } = headAttention(b, {
        projections: weights.has(QKV)
          ? [project("qkv")]
          : [project("q"), project("k"), project("v")],
        norms,
        heads,
        kvHeads,
        ...inputs,
      });
      onCostly(sums);
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
}

/** Queries [rows, length, heads·headDim] against keys → [length·rows, heads·headDim]. */
export function attendTo(
  b: GraphBuilder,
  config: ModelConfig,
  q: Value,
  { k, v, length, mask }: AttentionKeys,
): Value {
  const { heads, kvHeads, headDim } = config;
  const group = heads / kvHeads;
  const stacked = product(group, "length");
  const scale = headDim ** -0.5;
  // cuBLAS rounds a product's alpha to the type of its operands.
  const exact = q.dtype === "float32" || roundToBfloat16(scale) === scale;
  const grouped = ops.transpose(
    b,
    ops.reshape(b, exact ? q : scaled(b, q, scale), ["rows", "length", kvHeads, group, headDim]),
    [0, 2, 3, 1, 4],
  );
  const queries = ops.reshape(b, grouped, ["rows", kvHeads, stacked, headDim]);
  const scores = ops.matmul(b, queries, k(), { transB: true, alpha: exact ? scale : 1 });
  const byGroup = ops.reshape(b, scores, ["rows", kvHeads, group, "length", length]);
  const weights = ops.softmax(b, ops.add(b, byGroup, mask));
  const stackedWeights = ops.reshape(b, weights, ["rows", kvHeads, stacked, length]);
  const mixed = ops.matmul(b, stackedWeights, v());
  const ungrouped = ops.transpose(
    b,
    ops.reshape(b, mixed, ["rows", kvHeads, group, "length", headDim]),
    [0, 3, 1, 2, 4],
  );
  return ops.reshape(b, ungrouped, [TOKENS, heads * headDim]);
}

/** x times a factor in float32, rounded once. */
function scaled(b: GraphBuilder, x: Value, factor: number): Value {
  return ops.cast(b, ops.mul(b, ops.cast(b, x, "float32"), b.float32(factor)), x.dtype);
}
