/**
 * What the parts of a block are built with: one graph's builder, weights and attention.
 *
 * @module
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import { type Dim, product } from "../../ort/graph/dim.ts";
import type { Value } from "../../ort/graph/ir.ts";
import type { HeadAttentionInputs } from "../../ort/graph/kernel_ops.ts";

/** Tokens of a grid of rows by length, laid out flat. */
export const TOKENS: string = product("rows", "length") as string;

/**
 * A part of a block that there is a kernel for, or of attention in chunks a run of graphs in the place of
 * one (`model/engine/chunked_attention.ts`).
 */
export type BlockKernel =
  | "attention"
  | "chunkedAttention"
  | "dropout"
  | "lora"
  | "rmsNorm"
  | "swiglu";

/**
 * A linear layer of the block by name, such as `self_attn.q_proj`: x [N, in] → [N, out], plus an
 * addend [N, out] if given. The place where an adapter is injected.
 */
export type LinearLayer = (name: string, x: Value, addend?: Value) => Value;

/** Mixes q, k and v, [rows, length, heads·D] each, into [length·rows, heads·D]. */
export type Attention = (q: Value, k: Value, v: Value) => Value;

/**
 * Queries, keys and values before they are turned: the projections, [length·rows, heads·D] each or all
 * three side by side, and the weights [D] and ε of the RMSNorm of each head's queries and keys, where
 * the family has it.
 */
export type ProjectedHeads = Pick<HeadAttentionInputs, "projections" | "norms">;

/** Attention that norms and turns heads itself. */
export interface ProjectedAttention {
  /** Mixes projections into [length·rows, heads·D]. */
  readonly mixProjections: (heads: ProjectedHeads) => Value;
}

/** Inputs that every block of a step shares. */
export interface Rotary {
  /** int64 [rows, length] */
  readonly positions: Value;
  /** [positions, width/2]: of each head the first `width` numbers are turned. */
  readonly cos: Value;
  /** [positions, width/2] */
  readonly sin: Value;
  /** What queries are multiplied by at each position, [positions, 1]. @default they are not */
  readonly queryScale?: Value;
}

/** The state of sequences after some of their tokens, for layers that carry one from token to token. */
export interface SequenceState {
  /** The last inputs of the convolution, [rows, taps − 1, channels]. */
  readonly inputs: Value;
  /** The matrix of each head, float32 [rows, valueHeads, keyDim, valueDim]. */
  readonly matrices: Value;
}

/** Where tokens stand in sequences whose layers carry a state from token to token. */
export interface Sequences {
  /** Sequences, or rows that hold several. */
  readonly rows: Dim;
  /** Tokens of a row. */
  readonly length: Dim;
  /** Tokens that are computed together, a power of 2. */
  readonly chunk: number;
  /** Chunks of a row. */
  readonly chunks: Dim;
  /** Places of its last chunk that hold no token. */
  readonly padding: Dim;
  /** Tokens of a row with those before it that a convolution reads. */
  readonly extended: Dim;
  /** What keeps the segments of a row apart. @default a row is one segment */
  readonly segments?: SequenceSegments;
  /** What rows go on from. @default they begin here */
  readonly past?: SequenceState;
  /** Told of what to go on from after the rows' tokens. */
  readonly onPresent?: (present: SequenceState) => void;
}

/** Masks that keep the segments of rows apart, in float32. */
export interface SequenceSegments {
  /** Whether a token and the one 1, 2 … places before it are of one segment, 1 or 0: [length·rows, taps − 1]. */
  readonly taps: Value;
  /**
   * 0 where a chunk's token i reads token j: of its own segment and not behind it; else {@linkcode HIDDEN}:
   * [chunks, rows, 1, chunk, chunk].
   */
  readonly pairs: Value;
  /** 0 where a token's segment began before its chunk, else {@linkcode HIDDEN}: [chunks, rows, 1, chunk, 1]. */
  readonly carried: Value;
  /** 0 where a token's segment goes on to its chunk's end, else {@linkcode HIDDEN}: the same shape. */
  readonly kept: Value;
}

/** An exponent that leaves nothing, whatever is added to it. */
export const HIDDEN: number = -1e9;

/** What the nodes of a block are made from. */
export interface BlockScope {
  /** The graph that the block is built in. */
  readonly b: GraphBuilder;
  /** The layer's weights by their names inside the layer. */
  readonly weights: ReadonlyMap<string, Value>;
  /** Makes `y = x·Wᵀ (+ bias)` of each projection. */
  readonly linear: LinearLayer;
  /** How queries, keys and values are mixed. */
  readonly attention: Attention | ProjectedAttention;
  /** Where tokens stand, for layers that carry a state. */
  readonly sequences?: Sequences;
  /** Positions and tables that turn queries and keys, unless the attention turns them or nothing does. */
  readonly rotary?: Rotary;
  /** Which parts are built for ortune's own kernels. */
  readonly kernels: ReadonlySet<BlockKernel>;
  /** Called for each activation worth saving: one that would cost a large matrix product to recompute. */
  readonly onSaveable: (value: Value) => void;
}
