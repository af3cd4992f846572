/**
 * Operations that ortune's own kernels run, each with its shape rule and its gradient.
 *
 * In: the builder first, values after it. Out: a value. A graph with such operations is cut into
 * subgraphs (`subgraphs.ts`), between which the kernels are launched (`model/engine/kernel_nodes.ts`). They compute
 * what operators of `ops.ts` compute, in fewer passes over memory and without a matrix of scores.
 *
 * @module
 */

import type { DType } from "../tensor/dtype.ts";
import type { GraphBuilder } from "./builder.ts";
import { sameShape, type Shape } from "./dim.ts";
import { type Attribute, KERNEL_DOMAIN, type Value } from "./ir.ts";
import { rmsNorm } from "./ops.ts";
import { plus } from "./plus.ts";

/** Rows of partial sums that a weight's gradient is made of, on every device. */
export const PARTIAL_SUMS = 256;
/** The same of A and B of an adapter. */
export const LORA_PARTIAL_SUMS = 8;

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
 * silu(gate) · up, element by element: [N, M] each, or side by side in one [N, 2·M]. Shazeer 2020,
 * https://arxiv.org/abs/2002.05202.
 *
 * @example
 * ```ts
 * import { GraphBuilder, swiglu } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("gated");
 * const [gate, up] = ["gate", "up"].map((name) => b.input(name, "bfloat16", ["tokens", 16]));
 * b.output("y", swiglu(b, gate, up));
 * assert.equal(b.build().nodes[0].domain, "ortune");
 * assert.deepEqual(swiglu(b, b.input("gate_up", "bfloat16", ["tokens", 32])).shape, ["tokens", 16]);
 * ```
 *
 * @throws {RangeError} where the two differ in shape, or are no two halves
 */
export function swiglu(b: GraphBuilder, gate: Value, up?: Value): Value {
  if (up && !sameShape(gate.shape, up.shape)) {
    throw new RangeError(`Cannot gate ${up.name} [${up.shape}] by ${gate.name} [${gate.shape}]`);
  }
  const half = Number(gate.shape.at(-1)) / 2;
  if (!up && !Number.isInteger(half)) {
    throw new RangeError(`Cannot gate halves of ${gate.name} [${gate.shape}]`);
  }
  const shape = up ? gate.shape : [...gate.shape.slice(0, -1), half];
  const inputs = up ? [gate, up] : [gate];
  const [y] = kernel(b, "SwiGLU", inputs, [{ dtype: gate.dtype, shape }]);
  b.differentiate(y, {
    inputs,
    rule: ({ dy, give }) => {
      const gradients = kernel(b, "SwiGLUGradient", [...inputs, dy], inputs);
      gradients.forEach((gradient, i) => give(i, (partial) => plus(b, partial, gradient)));
    },
  });
  return y;
}

/**
 * A linear layer, x [N, K] → x·Wᵀ [N, M], whose matrix no tensor holds: what launches the operation knows it
 * by its name. The gradient is the same with the transposed matrix, which need not be exactly that.
 *
 * @example
 * ```ts
 * import { GraphBuilder, packedLinear } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("packed");
 * const x = b.input("x", "float32", ["tokens", 16]);
 * b.output("y", packedLinear(b, x, b.input("w", "uint8", [32, 16])));
 * const { inputs, outputs, nodes } = b.build();
 * assert.deepEqual([inputs.map(({ name }) => name), outputs[0].shape], [["x"], ["tokens", 32]]);
 * assert.deepEqual(nodes.map(({ attributes }) => attributes), [{ matrix: "w" }]);
 * ```
 *
 * @param matrix stands for W [M, K]; as it is read by no operation, it becomes no input of the graph
 */
export function packedLinear(b: GraphBuilder, x: Value, matrix: Value): Value {
  const [rows] = matrix.shape;
  const [y] = kernel(b, PACKED_LINEAR, [x], [{ dtype: x.dtype, shape: [x.shape[0], rows] }], {
    matrix: matrix.name,
  });
  b.differentiate(y, {
    inputs: [x],
    rule: ({ dy, give }) =>
      give(0, (partial) => plus(b, partial, packedLinearGradient(b, dy, matrix))),
  });
  return y;
}

/**
 * dy [N, M] → dy·W [N, K], of {@linkcode packedLinear}.
 *
 * @example
 * ```ts
 * import { GraphBuilder, packedLinearGradient } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("packed_backward");
 * const dy = b.input("dy", "float32", ["tokens", 32]);
 * const dx = packedLinearGradient(b, dy, b.input("w", "uint8", [32, 16]));
 * assert.deepEqual(dx.shape, ["tokens", 16]);
 * ```
 */
export function packedLinearGradient(b: GraphBuilder, dy: Value, matrix: Value): Value {
  const [, columns] = matrix.shape;
  const shape = [dy.shape[0], columns];
  return kernel(b, PACKED_LINEAR_GRADIENT, [dy], [{ dtype: dy.dtype, shape }], {
    matrix: matrix.name,
  })[0];
}

/** The operation of {@linkcode packedLinear}. */
export const PACKED_LINEAR = "PackedLinear";
/** The operation of {@linkcode packedLinearGradient}. */
export const PACKED_LINEAR_GRADIENT = "PackedLinearGradient";

/**
 * RMSNorm as `rmsNorm` of `ops.ts` computes it, x [N, M] · invStd · weight [M], with a gradient that is
 * one operation: it takes along what else reaches x, and adds the weight's gradient in place.
 *
 * @example
 * ```ts
 * import { gradient, GraphBuilder, rmsNormWithKernel } from "@ortune/ortune/unstable-graph";
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

/** Which elements of x [N, M] are dropped. */
export interface HashedDropout {
  /** int32 [N, 1], odd */
  readonly rows: Value;
  /** int32 [M], odd */
  readonly columns: Value;
  /** What is kept is above it. */
  readonly above: number;
}

/**
 * x [N, M] where the product of its row's and its column's number, modulo 2³² and taken as signed, is above
 * a threshold, else 0; nothing is scaled. The gradient is dropped alike.
 *
 * @example
 * ```ts
 * import { GraphBuilder, hashedDropout } from "@ortune/ortune/unstable-graph";
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
  { rows, columns, above }: HashedDropout,
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

/** The gradients of several A or B in a kernel, with their partial sums. */
function loraWeightGradients(
  b: GraphBuilder,
  op: string,
  { inputs, weights, attributes }: {
    readonly inputs: readonly (Value | undefined)[];
    readonly weights: readonly Value[];
    readonly attributes?: Readonly<Record<string, Attribute>>;
  },
): Value[] {
  const elements = weights.reduce((sum, { shape }) => sum + Number(shape[0]) * Number(shape[1]), 0);
  const partials = { dtype: "float32", shape: [LORA_PARTIAL_SUMS, elements] } as const;
  return kernel(b, op, inputs, [...weights, partials], attributes).slice(0, weights.length);
}

/** A layer's A, [rank, in] in float32, and what its dropout takes. */
export interface LoraPart {
  /** A, [rank, in]. */
  readonly a: Value;
  /** int32 [in], odd: a random number for each column. */
  readonly columns?: Value;
}

/**
 * The first product of LoRA adapters on one x [N, in] in bfloat16: [N, parts · rank], of each part
 * scale · dropout(x) · Aᵀ. Neither what dropout leaves nor A in bfloat16 is ever stored.
 * Hu et al. 2021, https://arxiv.org/abs/2106.09685.
 *
 * @example
 * ```ts
 * import { GraphBuilder, loraDown, loraUp } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("adapter");
 * const x = b.input("x", "bfloat16", ["tokens", 64]);
 * const weights = (end: string, shape: number[]) =>
 *   ["gate", "up"].map((name) => b.input(`${name}_${end}`, "float32", shape));
 * const hidden = loraDown(b, x, weights("A", [8, 64]).map((a) => ({ a })), { scale: 4 });
 * const base = b.input("base", "bfloat16", ["tokens", 256]);
 * b.output("y", loraUp(b, base, hidden, weights("B", [128, 8])));
 * assert.deepEqual(hidden.shape, ["tokens", 16]);
 * assert.deepEqual(b.build().nodes.map(({ op }) => op), ["LoraDown", "LoraUp"]);
 * ```
 */
export function loraDown(
  b: GraphBuilder,
  x: Value,
  parts: readonly LoraPart[],
  { scale, rows, above = 0 }: {
    readonly scale: number;
    /** int32 [N, 1], odd: a random number for each row. @default nothing is dropped */
    readonly rows?: Value;
    /** As {@linkcode HashedDropout}. */
    readonly above?: number;
  },
): Value {
  const attributes = { scale, above: BigInt(above) };
  const weights = parts.map(({ a }) => a);
  const [rank] = weights[0].shape;
  const shape = [x.shape[0], parts.length * Number(rank)];
  const factors = parts.flatMap(({ a, columns }) => [a, columns]);
  const made = { dtype: x.dtype, shape };
  const [hidden] = kernel(b, "LoraDown", [x, rows, ...factors], [made], attributes);
  b.differentiate(hidden, {
    inputs: [x, ...weights],
    rule: ({ dy, give, partial }) => {
      give(0, (past) => {
        const inputs = [dy, past, rows, ...factors];
        return kernel(b, "LoraDownInputGradient", inputs, [x], attributes)[0];
      });
      const gradients = loraWeightGradients(b, "LoraDownWeightGradient", {
        inputs: [x, dy, rows, ...parts.flatMap(({ columns }, i) => [columns, partial(1 + i)])],
        weights,
        attributes,
      });
      gradients.forEach((gradient, i) => give(1 + i, () => gradient));
    },
  });
  return hidden;
}

/**
 * The second product of LoRA adapters, added to what layers side by side give: y [N, all columns] plus
 * hidden · Bᵀ of each part in its columns, with hidden [N, parts · rank] in bfloat16 and B [out, rank] in
 * float32.
 *
 * @example
 * ```ts
 * import { GraphBuilder, loraUp } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("up");
 * const both = b.input("gate_up", "bfloat16", ["tokens", 256]);
 * const hidden = b.input("hidden", "bfloat16", ["tokens", 16]);
 * const weights = ["gate_B", "up_B"].map((name) => b.input(name, "float32", [128, 8]));
 * assert.deepEqual(loraUp(b, both, hidden, weights).shape, ["tokens", 256]);
 * assert.throws(() => loraUp(b, both, hidden, weights.slice(1)), /256 columns, parts have 128/);
 * ```
 *
 * @throws {RangeError} where the parts do not make up the columns of y
 */
export function loraUp(
  b: GraphBuilder,
  y: Value,
  hidden: Value,
  weights: readonly Value[],
): Value {
  const columns = weights.reduce((sum, { shape }) => sum + Number(shape[0]), 0);
  if (y.shape.at(-1) !== columns) {
    throw new RangeError(
      `Cannot adapt ${y.name}: it has ${y.shape.at(-1)} columns, parts have ${columns}`,
    );
  }
  const [sum] = kernel(b, "LoraUp", [y, hidden, ...weights], [y]);
  b.differentiate(sum, {
    inputs: [y, hidden, ...weights],
    rule: ({ dy, give, partial }) => {
      give(0, (past) => plus(b, past, dy));
      give(
        1,
        (past) => plus(b, past, kernel(b, "LoraUpInputGradient", [dy, ...weights], [hidden])[0]),
      );
      const gradients = loraWeightGradients(b, "LoraUpWeightGradient", {
        inputs: [hidden, dy, ...weights.map((_, i) => partial(2 + i))],
        weights,
      });
      gradients.forEach((gradient, i) => give(2 + i, () => gradient));
    },
  });
  return sum;
}

/** What {@linkcode segmentAttention} works on. */
export interface SegmentAttentionInputs {
  /** [tokens, heads·D] */
  readonly q: Value;
  /** [tokens, kvHeads·D] */
  readonly k: Value;
  /** [tokens, kvHeads·D] */
  readonly v: Value;
  /** int32 [tokens]: the first token that each sees, of its segment or window; never falls. */
  readonly starts: Value;
  /** Query heads. */
  readonly heads: number;
  /** Key heads, which divide the query heads. */
  readonly kvHeads: number;
  /** What scores are multiplied by. */
  readonly scale: number;
}

/**
 * Causal attention within segments or windows, of queries and keys that are turned already:
 * [tokens, heads·D]. Its gradient computes the weights again from q and k, so nothing that grows with
 * the square of the tokens is kept. Dao et al. 2022, https://arxiv.org/abs/2205.14135.
 *
 * @example
 * ```ts
 * import { GraphBuilder, segmentAttention } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("attention");
 * const [q, k, v] = [64, 32, 32].map((width, i) =>
 *   b.input("qkv"[i], "float32", ["tokens", width])
 * );
 * const starts = b.input("starts", "int32", ["tokens"]);
 * const mixed = segmentAttention(b, { q, k, v, starts, heads: 4, kvHeads: 2, scale: 0.25 });
 * assert.deepEqual(mixed.shape, ["tokens", 64]);
 * ```
 */
export function segmentAttention(
  b: GraphBuilder,
  { q, k, v, starts, heads, kvHeads, scale }: SegmentAttentionInputs,
): Value {
  const attributes = { heads: BigInt(heads), kv_heads: BigInt(kvHeads), scale };
  // Without ends and sums, the fifth and the seventh input: only kernels read them.
  const [mixed] = kernel(b, "SegmentAttention", [q, k, v, starts], [q], attributes);
  b.differentiate(mixed, {
    inputs: [q, k, v],
    rule: ({ dy, give }) => {
      const read = [q, k, v, starts, undefined, mixed, undefined, dy];
      const gradients = kernel(b, "SegmentAttentionGradient", read, [q, k, v], attributes);
      gradients.forEach((gradient, i) => give(i, (partial) => plus(b, partial, gradient)));
    },
  });
  return mixed;
}

/** What {@linkcode headAttention} works on. */
export interface HeadAttentionInputs {
  /** q [tokens, heads·D], k and v [tokens, kvHeads·D]; or all side by side in one. */
  readonly projections: readonly [q: Value, k: Value, v: Value] | readonly [qkv: Value];
  /** Weights [D] of the RMSNorm of queries' and of keys' heads. @default they are not normed */
  readonly norms?: { readonly q: Value; readonly k: Value; readonly epsilon: number };
  /** What turns queries and keys. */
  readonly rotary: {
    /** int64 [rows, length] */
    readonly positions: Value;
    /** [positions, D/2] */
    readonly cos: Value;
    /** [positions, D/2] */
    readonly sin: Value;
  };
  /** int32 [tokens]: the first token that each sees, counted over the whole grid; never falls. */
  readonly starts: Value;
  /** int32 [tokens]: after the last token that sees each. */
  readonly ends: Value;
  /** Query heads. */
  readonly heads: number;
  /** Key heads, which divide the query heads. */
  readonly kvHeads: number;
  /** What scores are multiplied by. */
  readonly scale: number;
}

/**
 * From a block's projections to its mixed values [tokens, heads·D]: norms and rotary position embedding of
 * queries and keys, then causal attention within segments or windows. Also each row's log2 of the sum
 * of e^score, float32 [heads, tokens], which costs the attention to compute again.
 * Dao 2023, https://arxiv.org/abs/2307.08691.
 *
 * @example
 * ```ts
 * import { GraphBuilder, headAttention } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("attention");
 * const [heads, kvHeads] = [4, 2];
 * const qkv = b.input("qkv", "bfloat16", ["tokens", (heads + 2 * kvHeads) * 64]);
 * const [starts, ends] = ["starts", "ends"].map((name) => b.input(name, "int32", ["tokens"]));
 * const table = (name: string) => b.input(name, "bfloat16", ["positions", 32]);
 * const rotary = {
 *   positions: b.input("position_ids", "int64", ["rows", "length"]),
 *   cos: table("cos"),
 *   sin: table("sin"),
 * };
 * const { mixed, sums } = headAttention(b, {
 *   ...{ projections: [qkv], rotary, starts, ends, heads, kvHeads, scale: 0.125 },
 * });
 * b.output("mixed", mixed);
 * assert.deepEqual(b.build().nodes.map(({ op }) => op), ["RotaryHeads", "SegmentAttention"]);
 * assert.deepEqual([mixed.shape, sums.shape], [["tokens", 256], [4, "tokens"]]);
 * ```
 */
export function headAttention(
  b: GraphBuilder,
  { projections, norms, rotary, starts, ends, heads, kvHeads, scale }: HeadAttentionInputs,
): { readonly mixed: Value; readonly sums: Value } {
  const [projected, keys, values] = projections;
  const { dtype, shape: [tokens] } = projected;
  const { positions, cos, sin } = rotary;
  const headDim = 2 * Number(cos.shape[1]);
  const attributes = { heads: BigInt(heads), kv_heads: BigInt(kvHeads) };
  const of = (count: number) => ({ dtype, shape: [tokens, count * headDim] });
  const perHead = { dtype: "float32", shape: [heads, tokens] } as const;
  const read = [projected, keys, positions, cos, sin, norms?.q, norms?.k];
  const turned = kernel(
    b,
    "RotaryHeads",
    read,
    [
      of(heads),
      of(kvHeads),
      ...keys ? [] : [of(kvHeads)],
      ...norms ? [{ dtype: "float32", shape: [tokens, heads + kvHeads] } as const] : [],
    ],
    { ...attributes, ...norms ? { epsilon: norms.epsilon } : {} },
  );
  const [q, k] = turned;
  const v = values ?? turned[2];
  const invStd = norms && turned.at(-1);
  const [mixed, sums] = kernel(
    b,
    "SegmentAttention",
    [q, k, v, starts],
    [of(heads), perHead],
    { ...attributes, scale },
  );
  const inputs = [...projections, ...norms ? [norms.q, norms.k] : []];
  const [ofQ, ofK] = [inputs.length - 2, inputs.length - 1];
  b.differentiate(mixed, {
    inputs,
    rule: ({ dy, needs, partial, give }) => {
      const [dQ, dK, dV] = kernel(
        b,
        "SegmentAttentionGradient",
        [q, k, v, starts, ends, mixed, sums, dy],
        [q, k, v, perHead],
        { ...attributes, scale },
      );
      const trained = norms !== undefined && needs(ofQ);
      const before = trained ? [partial(ofQ), partial(ofK)] : [];
      const made = kernel(
        b,
        "RotaryHeadsGradient",
        [...read, invStd, dQ, dK, keys ? undefined : dV, ...before],
        [
          projected,
          ...keys ? [keys] : [],
          ...trained
            ? [
              norms.q,
              norms.k,
              { dtype: "float32", shape: [PARTIAL_SUMS, 2 * headDim] } as const,
            ]
            : [],
        ],
        attributes,
      );
      give(0, (partial) => plus(b, partial, made[0]));
      if (keys) {
        give(1, (partial) => plus(b, partial, made[1]));
        give(2, (partial) => plus(b, partial, dV));
      }
      if (!trained) return;
      const [dQWeight, dKWeight] = made.slice(projections.length === 1 ? 1 : 2);
      give(ofQ, () => dQWeight);
      give(ofK, () => dKWeight);
    },
  });
  return { mixed, sums };
}
