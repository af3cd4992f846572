/**
 * The transformer block in a graph: its inputs, and what the block of the model's family is built with.
 *
 * In: x [length·rows, hidden] and the layer's weights. Out: the same shape.
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { ModelConfig } from "../config.ts";
import { familyBlock } from "../families/families.ts";
import { blockParameters } from "../parameters.ts";
import { QUERY_SCALE } from "../rope.ts";
import type { LayerKind } from "../parts/layer_kind.ts";
import { matrixInput, matrixLinear } from "./matrix_input.ts";
import type { ParameterSpec } from "../parts/parameter_spec.ts";
import type {
  Attention,
  BlockKernel,
  LinearLayer,
  ProjectedAttention,
  Rotary,
  Sequences,
} from "../parts/block_scope.ts";
import type { Precision, PrecisionOptions } from "../precision.ts";
import type { StackedParameter } from "../stacked_parameters.ts";

/**
 * Trained weights beside a block's own, such as LoRA's, and what they make of its linear layers.
 * The block's own weights are frozen then.
 */
export interface BlockAdapter {
  /** The trained weights of a kind of layers, under their names inside the layer. */
  readonly parameters: (kind: LayerKind) => readonly ParameterSpec[];
  /** What its graph takes besides, computed from all weights between two updates; a constant to it. */
  readonly derived: (kind: LayerKind) => readonly ParameterSpec[];
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
   * Declares the trained weights as inputs of the graph and wraps its linear layers: those that the layer's
   * own weights have.
   *
   * @param own the layer's own weights
   * @param training whether dropout is applied, by masks that the graph takes as inputs named
   *   `<layer>` + {@linkcode DROPOUT_MASK}
   * @param deviceDropout whether the graph makes these masks itself, as kernels always do, from
   *   {@linkcode DROPOUT_ROWS} and inputs named `<layer>` + {@linkcode DROPOUT_COLUMNS}
   * @param kernels as {@linkcode BlockOptions}
   * @param stacks the layers that are one, as {@linkcode blockWeightInputs}
   * @param onSaveable as {@linkcode BlockOptions}, for what is not a linear layer's result
   */
  wrap(
    b: GraphBuilder,
    own: ReadonlyMap<string, Value>,
    options: {
      readonly training: boolean;
      readonly deviceDropout?: boolean;
      readonly kernels?: ReadonlySet<BlockKernel>;
      readonly stacks?: readonly StackedParameter[];
      readonly onSaveable?: (value: Value) => void;
    },
  ): { readonly linear: LinearLayer; readonly weights: ReadonlyMap<string, Value> };
}

/** How the name of a dropout mask ends: uint8 [length·rows, in], 1 where an input is kept. */
export const DROPOUT_MASK = ".dropout_mask";
/** Input of graphs that make dropout masks: int32 [length·rows, 1], random odd, new each batch. */
export const DROPOUT_ROWS = "dropout_rows";
/** How the name of a layer's random columns ends: int32 [in], random odd, the same every batch. */
export const DROPOUT_COLUMNS = ".dropout_columns";

/** What {@linkcode block} is made of. */
export interface BlockOptions {
  /** The model's config, whose family has the block. */
  readonly config: ModelConfig;
  /** The kind of the layer. */
  readonly kind: LayerKind;
  /** The layer's weights by their names inside the layer. */
  readonly weights: ReadonlyMap<string, Value>;
  /**
   * Positions and tables that turn queries and keys.
   * @default the attention turns them, or nothing does
   */
  readonly rotary?: Rotary;
  /** How queries, keys and values are mixed. */
  readonly attention: Attention | ProjectedAttention;
  /** Where tokens stand, for layers that carry a state. @default there are none */
  readonly sequences?: Sequences;
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
   * Called for each activation worth saving: one that would cost a large matrix product to recompute.
   * Attention weights are not among them: they grow with the square of the length.
   * @default nothing is done
   */
  readonly onSaveable?: (value: Value) => void;
}

/** Declares the layer's weights as graph inputs; those that are stacked as one. Answers their values. */
export function blockWeightInputs(
  b: GraphBuilder,
  config: ModelConfig,
  { kind, precision = "float32", storage, stacks = [] }: PrecisionOptions & {
    /** The kind of the layer. @default the first layer's */
    readonly kind?: LayerKind;
    /** Stacks that take the place of their parts. @default none */
    readonly stacks?: readonly StackedParameter[];
  } = {},
): Map<string, Value> {
  const parts = new Set(stacks.flatMap(({ of }) => of));
  const own = blockParameters(config, kind).filter(({ name }) => !parts.has(name));
  const specs = [...own, ...stacks];
  return new Map(specs.map((spec) => [
    spec.name,
    spec.shape.length > 1
      ? matrixInput(b, spec, { precision, storage })
      : b.input(spec.name, precision, spec.shape),
  ]));
}

/** The positions of a graph's tokens. */
export const POSITIONS = "position_ids";

/** Declares what turns queries and keys; undefined where nothing does. */
export function rotaryInputs(
  b: GraphBuilder,
  { width, growing = false }: {
    /** How much of each head is turned. */
    readonly width: number | undefined;
    /** Whether queries grow with their positions. @default false */
    readonly growing?: boolean;
  },
  precision: Precision = "float32",
): Rotary | undefined {
  if (width === undefined) return undefined;
  const table = ["positions", width / 2] as const;
  return {
    positions: b.input(POSITIONS, "int64", ["rows", "length"]),
    cos: b.input("cos", precision, table),
    sin: b.input("sin", precision, table),
    queryScale: growing ? b.input(QUERY_SCALE, precision, ["positions", 1]) : undefined,
  };
}

/** A linear layer with the layer's own weights; the residual goes in as Gemm's C. */
export function plainLinear(b: GraphBuilder, weights: ReadonlyMap<string, Value>): LinearLayer {
  return (name, x, addend) => {
    const weight = weights.get(`${name}.weight`)!;
    const bias = weights.get(`${name}.bias`);
    if (!bias) return matrixLinear(b, x, weight, addend);
    const y = matrixLinear(b, x, weight, bias);
    return addend ? ops.add(b, y, addend) : y;
  };
}

/** Builds the forward nodes of the block of the model's family, of one kind of its layers. */
export function block(b: GraphBuilder, x: Value, options: BlockOptions): Value {
  const {
    config,
    kind,
    weights,
    rotary,
    attention,
    sequences,
    linear = plainLinear(b, weights),
    kernels = new Set(),
    onSaveable = () => {},
  } = options;
  const scope = { b, weights, linear, attention, sequences, rotary, kernels, onSaveable };
  return familyBlock(config, kind).build(scope, x);
}
