/**
 * Operations that ortune's own kernels run, each with its shape rule and its gradient.
 *
 * In: the builder first, values after it. Out: a value. A graph with such operations is cut into
 * stages (`stages.ts`), between which the kernels are launched (`engine/kernel_nodes.ts`). They compute
 * what operators of `ops.ts` compute, in fewer passes over memory and without a matrix of scores.
 *
 * @module
 */

import type { DType } from "../tensor/dtype.ts";
import type { GraphBuilder } from "./builder.ts";
import { product, sameShape, type Shape } from "./dim.ts";
import { type Attribute, KERNEL_DOMAIN, type Value } from "./ir.ts";
import { rmsNorm, rope } from "./ops.ts";
import { plus } from "./plus.ts";

/** Rows of partial sums that a weight's gradient is made of, on every device. */
export const PARTIAL_SUMS = 256;

function kernel(
  b: GraphBuilder,
  op: string,
  inputs: readonly (Value | undefined)[],
  outputs: readonly { readonly dtype: DType; readonly shape: Shape }[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Value[] {
  return b.node(op, inputs, outputs, { domain: KERNEL_DOMAIN, attributes });
}

/**
 * silu(gate) · up, element by element: [N, M]. Shazeer 2020, https://arxiv.org/abs/2002.05202.
 *
 * @example
 * ```ts
 * import { GraphBuilder, swiglu } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("gated");
 * const [gate, up] = ["gate", "up"].map((name) => b.input(name, "bfloat16", ["tokens", 16]));
 * b.output("y", swiglu(b, gate, up));
 * assert.equal(b.build().nodes[0].domain, "ortune");
 * ```
 *
 * @throws {RangeError} where the two differ in shape
 */
export function swiglu(b: GraphBuilder, gate: Value, up: Value): Value {
  if (!sameShape(gate.shape, up.shape)) {
    throw new RangeError(`Cannot gate ${up.name} [${up.shape}] by ${gate.name} [${gate.shape}]`);
  }
  const [y] = kernel(b, "SwiGLU", [gate, up], [gate]);
  b.differentiate(y, {
    inputs: [gate, up],
    rule: ({ dy, give }) => {
      const [dGate, dUp] = kernel(b, "SwiGLUGradient", [gate, up, dy], [gate, up]);
      give(0, (partial) => plus(b, partial, dGate));
      give(1, (partial) => plus(b, partial, dUp));
    },
  });
  return y;
}

/**
 * RMSNorm as `rmsNorm` of `ops.ts` computes it, x [N, M] · invStd · weight [M], with a gradient that is
 * one operation: it takes along what else reaches x, and adds the weight's gradient in place.
 *
 * @example
 * ```ts
 * import { gradient, GraphBuilder, rmsNormWithKernel } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("norm_backward");
 * const x = b.input("x", "float32", ["tokens", 16]);
 * const y = rmsNormWithKernel(b, x, b.input("weight", "float32", [16]), 1e-6);
 * const dy = b.input("dy", "float32", y.shape);
 * b.output("dx", gradient(b, { seeds: new Map([[y, dy]]), wrt: new Map([[x, undefined]]) }).get(x)!);
 * assert.deepEqual(
 *   b.build().nodes.map(({ op }) => op),
 *   ["SimplifiedLayerNormalization", "RMSNormGradient"],
 * );
 * ```
 */
export function rmsNormWithKernel(
  b: GraphBuilder,
  x: Value,
  weight: Value,
  epsilon: number,
): Value {
  const [y, invStd] = rmsNorm(b, x, weight, epsilon);
  b.differentiate(y, {
    inputs: [x, weight],
    rule: ({ dy, needs, partial, give }) => {
      const before = needs(1) ? partial(1) : undefined;
      const [dx, dWeight] = kernel(
        b,
        "RMSNormGradient",
        [x, dy, weight, invStd, partial(0), before],
        [
          x,
          ...needs(1)
            ? [weight, { dtype: "float32", shape: [PARTIAL_SUMS, ...weight.shape] } as const]
            : [],
        ],
      );
      give(0, () => dx);
      give(1, () => dWeight);
    },
  });
  return y;
}

/**
 * Rotary position embedding as `rope` of `ops.ts` computes it, with a gradient that turns back in one
 * pass.
 *
 * @example
 * ```ts
 * import { gradient, GraphBuilder, ropeWithKernel } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("rope_backward");
 * const x = b.input("x", "bfloat16", ["rows", "length", 128]);
 * const positions = b.input("positions", "int64", ["rows", "length"]);
 * const [cos, sin] = ["cos", "sin"].map((name) => b.input(name, "bfloat16", ["positions", 32]));
 * const y = ropeWithKernel(b, x, { positions, cos, sin });
 * const dy = b.input("dy", "bfloat16", y.shape);
 * b.output("dx", gradient(b, { seeds: new Map([[y, dy]]), wrt: new Map([[x, undefined]]) }).get(x)!);
 * assert.deepEqual(b.build().nodes.map(({ op }) => op), ["RotaryEmbeddingGradient"]);
 * ```
 */
export function ropeWithKernel(
  b: GraphBuilder,
  x: Value,
  { positions, cos, sin }: {
    /** int64 [rows, length] */
    readonly positions: Value;
    /** [positions, D/2] */
    readonly cos: Value;
    /** [positions, D/2] */
    readonly sin: Value;
  },
): Value {
  const y = rope(b, x, positions, cos, sin);
  const head_dim = BigInt(2 * Number(cos.shape[1]));
  b.differentiate(y, {
    inputs: [x],
    rule: ({ dy, give }) => {
      const [dx] = kernel(b, "RotaryEmbeddingGradient", [dy, positions, cos, sin], [x], {
        head_dim,
      });
      give(0, (partial) => plus(b, partial, dx));
    },
  });
  return y;
}

/**
 * x [N, M] where the product of its row's and its column's number, modulo 2³² and taken as signed, is above
 * a threshold, else 0; nothing is scaled. The gradient is dropped alike.
 *
 * @example
 * ```ts
 * import { GraphBuilder, hashedDropout } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("dropout");
 * const x = b.input("x", "bfloat16", ["tokens", 16]);
 * const rows = b.input("rows", "int32", ["tokens", 1]);
 * const columns = b.input("columns", "int32", [16]);
 * b.output("y", hashedDropout(b, x, { rows, columns, above: -(2 ** 31) + 2 ** 29 }));
 * assert.equal(b.build().nodes[0].op, "HashedDropout");
 * ```
 */
export function hashedDropout(
  b: GraphBuilder,
  x: Value,
  { rows, columns, above }: {
    /** int32 [N, 1], odd */
    readonly rows: Value;
    /** int32 [M], odd */
    readonly columns: Value;
    /** What is kept is above it. */
    readonly above: number;
  },
): Value {
  const drop = (value: Value): Value =>
    kernel(b, "HashedDropout", [value, rows, columns], [x], { above: BigInt(above) })[0];
  const y = drop(x);
  b.differentiate(y, {
    inputs: [x],
    rule: ({ dy, give }) => give(0, (partial) => plus(b, partial, drop(dy))),
  });
  return y;
}

/** What {@linkcode segmentAttention} works on. */
export interface SegmentAttentionInputs {
  /** [rows, length, heads·D] */
  readonly q: Value;
  /** [rows, length, kvHeads·D] */
  readonly k: Value;
  /** As k. */
  readonly v: Value;
  /** int32 [rows·length]: where each token's segment begins, counted over the whole grid. */
  readonly starts: Value;
  /** int32 [rows·length]: where it ends, exclusive. */
  readonly ends: Value;
  readonly heads: number;
  readonly kvHeads: number;
}

/**
 * Causal attention within segments, scaled by D^−½: mixed values [rows·length, heads·D], and each
 * row's log2 of the sum of e^score, float32 [heads, rows·length].
 * Dao 2023, https://arxiv.org/abs/2307.08691.
 *
 * @example
 * ```ts
 * import { GraphBuilder, segmentAttention } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("attention");
 * const heads = (name: string, n: number) => b.input(name, "bfloat16", ["rows", "length", n * 64]);
 * const [q, k, v] = [heads("q", 4), heads("k", 2), heads("v", 2)];
 * const [starts, ends] = ["starts", "ends"].map((name) => b.input(name, "int32", ["length*rows"]));
 * const { mixed, sums } = segmentAttention(b, { q, k, v, starts, ends, heads: 4, kvHeads: 2 });
 * assert.deepEqual(mixed.shape, ["length*rows", 256]);
 * assert.deepEqual(sums.shape, [4, "length*rows"]);
 * ```
 */
export function segmentAttention(
  b: GraphBuilder,
  { q, k, v, starts, ends, heads, kvHeads }: SegmentAttentionInputs,
): { readonly mixed: Value; readonly sums: Value } {
  const [rows, length, width] = q.shape;
  const tokens = product(rows, length);
  const attributes = { heads: BigInt(heads), kv_heads: BigInt(kvHeads) };
  const perRow = { dtype: "float32", shape: [heads, tokens] } as const;
  const [mixed, sums] = kernel(
    b,
    "SegmentAttention",
    [q, k, v, starts],
    [{ dtype: q.dtype, shape: [tokens, width] }, perRow],
    attributes,
  );
  b.differentiate(mixed, {
    inputs: [q, k, v],
    rule: ({ dy, give }) => {
      const gradients = kernel(
        b,
        "SegmentAttentionGradient",
        [q, k, v, starts, ends, mixed, sums, dy],
        [q, k, v, perRow],
        attributes,
      );
      for (const i of [0, 1, 2]) give(i, (partial) => plus(b, partial, gradients[i]));
    },
  });
  return { mixed, sums };
}
