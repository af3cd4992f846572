/**
 * The operations graphs are made of, each with its shape rule.
 *
 * In: the builder first, values after it. Out: a value. Shapes in the comments use the field's
 * letters (N tokens, K in, M out).
 *
 * @module
 */

import type { DType } from "../tensor/dtype.ts";
import { onnxDataType } from "../tensor/onnx_dtype.ts";
import type { GraphBuilder } from "./builder.ts";
import { broadcast, type Dim, product, sameShape, type Shape } from "./dim.ts";
import type { Value } from "./ir.ts";

const MICROSOFT = "com.microsoft";

function expectRank(op: string, value: Value, rank: number): void {
  if (value.shape.length === rank) return;
  throw new RangeError(
    `Cannot apply ${op} to ${value.name}: expected ${rank} dimensions, got [${value.shape}]`,
  );
}

function expectEqual(op: string, a: Dim, b: Dim, left: Value, right: Value): void {
  if (a === b) return;
  throw new RangeError(
    `Cannot apply ${op} to ${left.name} [${left.shape}] and ${right.name} [${right.shape}]: ` +
      `${a} against ${b}`,
  );
}

/** General matrix product `op(a)·op(b) + c`: a and b of rank 2, c of shape [N, M] or [M]. */
export function gemm(
  b: GraphBuilder,
  left: Value,
  right: Value,
  { transA = false, transB = false, c }: { transA?: boolean; transB?: boolean; c?: Value } = {},
): Value {
  expectRank("Gemm", left, 2);
  expectRank("Gemm", right, 2);
  const [rows, inner] = transA ? left.shape.toReversed() : left.shape;
  const [innerRight, columns] = transB ? right.shape.toReversed() : right.shape;
  expectEqual("Gemm", inner, innerRight, left, right);
  if (c && !sameShape(c.shape, [columns]) && !sameShape(c.shape, [rows, columns])) {
    throw new RangeError(
      `Cannot apply Gemm to addend ${c.name} [${c.shape}]: expected [${columns}] or ` +
        `[${rows},${columns}]`,
    );
  }
  return b.node("Gemm", c ? [left, right, c] : [left, right], [
    { dtype: left.dtype, shape: [rows, columns] },
  ], { attributes: { transA: BigInt(transA), transB: BigInt(transB) } })[0];
}

/** A linear layer: x [N, K], weight [M, K], bias [M] or addend [N, M] → [N, M]. */
export function linear(b: GraphBuilder, x: Value, weight: Value, addend?: Value): Value {
  return gemm(b, x, weight, { transB: true, c: addend });
}

/** Batched matrix product over the last two dimensions, times alpha; leading ones must agree. */
export function matmul(
  b: GraphBuilder,
  left: Value,
  right: Value,
  { transA = false, transB = false, alpha = 1 }: {
    transA?: boolean;
    transB?: boolean;
    alpha?: number;
  } = {},
): Value {
  const lead = left.shape.slice(0, -2);
  for (let i = 0; i < lead.length; i++) {
    expectEqual("FusedMatMul", lead[i], right.shape[i], left, right);
  }
  const [rows, inner] = transA ? left.shape.slice(-2).reverse() : left.shape.slice(-2);
  const [innerRight, columns] = transB ? right.shape.slice(-2).reverse() : right.shape.slice(-2);
  expectEqual("FusedMatMul", inner, innerRight, left, right);
  return b.node("FusedMatMul", [left, right], [
    { dtype: left.dtype, shape: [...lead, rows, columns] },
  ], {
    domain: MICROSOFT,
    attributes: { transA: BigInt(transA), transB: BigInt(transB), alpha },
  })[0];
}

function binary(op: string): (b: GraphBuilder, left: Value, right: Value) => Value {
  return (b, left, right) =>
    b.node(op, [left, right], [
      { dtype: left.dtype, shape: broadcast(left.shape, right.shape) },
    ])[0];
}

/** left + right, with broadcasting. */
export const add: (b: GraphBuilder, left: Value, right: Value) => Value = binary("Add");
/** left − right, with broadcasting. */
export const sub: (b: GraphBuilder, left: Value, right: Value) => Value = binary("Sub");
/** left · right element by element, with broadcasting. */
export const mul: (b: GraphBuilder, left: Value, right: Value) => Value = binary("Mul");
/** left ÷ right element by element, with broadcasting. */
export const div: (b: GraphBuilder, left: Value, right: Value) => Value = binary("Div");

/** x times a number: in float32 whatever x is, and rounded once, as PyTorch does. No node where it is 1. */
export function scale(b: GraphBuilder, x: Value, factor: number): Value {
  if (factor === 1) return x;
  return cast(b, mul(b, cast(b, x, "float32"), b.float32(factor)), x.dtype);
}

function unary(op: string): (b: GraphBuilder, x: Value) => Value {
  return (b, x) => b.node(op, [x], [{ dtype: x.dtype, shape: x.shape }])[0];
}

/** √x. */
export const sqrt: (b: GraphBuilder, x: Value) => Value = unary("Sqrt");
/** eˣ. */
export const exp: (b: GraphBuilder, x: Value) => Value = unary("Exp");
/** The natural logarithm. */
export const log: (b: GraphBuilder, x: Value) => Value = unary("Log");
/** 1 ÷ (1 + e⁻ˣ). */
export const sigmoid: (b: GraphBuilder, x: Value) => Value = unary("Sigmoid");
/** ln(1 + eˣ). */
export const softplus: (b: GraphBuilder, x: Value) => Value = unary("Softplus");
/** −1, 0 or 1. */
export const sign: (b: GraphBuilder, x: Value) => Value = unary("Sign");
/** The hyperbolic tangent. */
export const tanh: (b: GraphBuilder, x: Value) => Value = unary("Tanh");
/** The same value under a new name. */
export const identity: (b: GraphBuilder, x: Value) => Value = unary("Identity");

/**
 * SiLU, x·sigmoid(x), which is QuickGelu with alpha 1. Of bfloat16 it is computed in float32 and
 * rounded once: the CUDA kernel for bfloat16 rounds 1 − 1/(1 + eˣ) at each step, which leaves nothing
 * of it below x = −5.
 */
export function silu(b: GraphBuilder, x: Value): Value {
  if (x.dtype !== "float32") return cast(b, silu(b, cast(b, x, "float32")), x.dtype);
  return b.node("QuickGelu", [x], [{ dtype: x.dtype, shape: x.shape }], {
    domain: MICROSOFT,
    attributes: { alpha: 1 },
  })[0];
}

/**
 * GELU with the tanh approximation, x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))), which is FastGelu. Hendrycks
 * and Gimpel 2016, https://arxiv.org/abs/1606.08415. Of bfloat16 it is computed in float32 and rounded once,
 * as PyTorch does it.
 */
export function geluTanh(b: GraphBuilder, x: Value): Value {
  if (x.dtype !== "float32") return cast(b, geluTanh(b, cast(b, x, "float32")), x.dtype);
  return b.node("FastGelu", [x], [{ dtype: x.dtype, shape: x.shape }], { domain: MICROSOFT })[0];
}

function overLast(op: string): (b: GraphBuilder, x: Value) => Value {
  return (b, x) =>
    b.node(op, [x], [{ dtype: x.dtype, shape: x.shape }], { attributes: { axis: -1n } })[0];
}

/** Softmax over the last dimension. The CUDA kernel of bfloat16 computes in float32 inside. */
export const softmax: (b: GraphBuilder, x: Value) => Value = overLast("Softmax");
/** The logarithm of softmax over the last dimension, for float32. */
export const logSoftmax: (b: GraphBuilder, x: Value) => Value = overLast("LogSoftmax");

/** The same elements in another shape. */
export function reshape(b: GraphBuilder, x: Value, shape: Shape): Value {
  if (product(...x.shape) !== product(...shape)) {
    throw new RangeError(`Cannot reshape ${x.name} from [${x.shape}] to [${shape}]`);
  }
  return b.node("Reshape", [x, b.shape(shape)], [{ dtype: x.dtype, shape }])[0];
}

/** Dimensions in another order: output dimension i is input dimension perm[i]. */
export function transpose(b: GraphBuilder, x: Value, perm: readonly number[]): Value {
  expectRank("Transpose", x, perm.length);
  return b.node("Transpose", [x], [
    { dtype: x.dtype, shape: perm.map((axis) => x.shape[axis]) },
  ], { attributes: { perm: perm.map(BigInt) } })[0];
}

/**
 * RMSNorm over the last dimension: x · invStd · weight. Also answers invStd, [..., 1], which its
 * gradient needs. Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.
 *
 * Of bfloat16 all is computed in float32 and rounded once, in the kernel of ONNX Runtime; Hugging
 * Face's models round x · invStd before the weight, too.
 */
export function rmsNorm(b: GraphBuilder, x: Value, weight: Value, epsilon: number): [Value, Value] {
  const [y, invStd] = b.node("SimplifiedLayerNormalization", [x, weight], [
    { dtype: x.dtype, shape: x.shape },
    { dtype: "float32", shape: [...x.shape.slice(0, -1), 1] },
  ], { attributes: { axis: -1n, epsilon, stash_type: 1n } });
  return [y, invStd];
}

/**
 * Rotary position embedding by half rotation. x [rows, length, heads·D], positions [rows, length],
 * cos and sin [positions, width/2], where the first `width` of the D numbers are turned. Su et al. 2021,
 * https://arxiv.org/abs/2104.09864.
 */
export function rope(
  b: GraphBuilder,
  x: Value,
  { positions, cos, sin, heads }: {
    readonly positions: Value;
    readonly cos: Value;
    readonly sin: Value;
    readonly heads: number;
  },
): Value {
  expectRank("RotaryEmbedding", x, 3);
  const [width, headDim] = [2 * Number(cos.shape[1]), Number(x.shape[2]) / heads];
  // Where all is turned the operator finds heads by the tables' width.
  const attributes: Record<string, bigint> = width === headDim
    ? {}
    : { num_heads: BigInt(heads), rotary_embedding_dim: BigInt(width) };
  return b.node("RotaryEmbedding", [x, positions, cos, sin], [
    { dtype: x.dtype, shape: x.shape },
  ], { domain: MICROSOFT, attributes })[0];
}

function reduction(op: string) {
  return (b: GraphBuilder, x: Value, axis: number, { keepDims = true } = {}): Value => {
    const at = axis < 0 ? x.shape.length + axis : axis;
    const shape = x.shape.flatMap((dim, i) => i !== at ? [dim] : keepDims ? [1] : []);
    return b.node(op, [x, b.int64([axis])], [{ dtype: x.dtype, shape }], {
      attributes: { keepdims: BigInt(keepDims) },
    })[0];
  };
}

/** Reduces one dimension, counted from the end where negative. */
export type Reduction = (
  b: GraphBuilder,
  x: Value,
  axis: number,
  options?: { keepDims?: boolean },
) => Value;

/**
 * The sum of all rows: x [N, M] → [M]. Of bfloat16 it is a product with ones, which adds in float32 and
 * in a fixed order: CUDA's ReduceSum over rows adds blocks of them atomically, rounding at each.
 */
export function sumRows(b: GraphBuilder, x: Value): Value {
  if (x.dtype === "float32") return reduceSum(b, x, 0, { keepDims: false });
  expectRank("sumRows", x, 2);
  const [rows, columns] = x.shape;
  const ones = expand(b, b.float(x.dtype, 1), [1, rows]);
  return reshape(b, gemm(b, ones, x), [columns]);
}

/** Sum over one dimension. */
export const reduceSum: Reduction = reduction("ReduceSum");
/** Sum of squares over one dimension. */
export const reduceSumSquare: Reduction = reduction("ReduceSumSquare");
/** Largest over one dimension. */
export const reduceMax: Reduction = reduction("ReduceMax");

/** Rows of a table: table [V, H], ids of any shape → [...ids, H]. */
export function gather(b: GraphBuilder, table: Value, ids: Value): Value {
  return b.node("Gather", [table, ids], [
    { dtype: table.dtype, shape: [...ids.shape, ...table.shape.slice(1)] },
  ], { attributes: { axis: 0n } })[0];
}

/** One element a row: x [N, V], ids [N, 1] → [N, 1]. */
export function gatherElements(b: GraphBuilder, x: Value, ids: Value): Value {
  return b.node("GatherElements", [x, ids], [{ dtype: x.dtype, shape: ids.shape }], {
    attributes: { axis: 1n },
  })[0];
}

/** x [N, V] with element ids[n] of each row n replaced by updates[n]; ids and updates [N, 1]. */
export function scatterElements(b: GraphBuilder, x: Value, ids: Value, updates: Value): Value {
  return b.node("ScatterElements", [x, ids, updates], [{ dtype: x.dtype, shape: x.shape }], {
    attributes: { axis: 1n },
  })[0];
}

/** x [N, H] with rows ids [n, 1] (no two alike) replaced by updates [n, H], or with these added. */
export function scatterRows(
  b: GraphBuilder,
  x: Value,
  ids: Value,
  updates: Value,
  { add = false }: { readonly add?: boolean } = {},
): Value {
  return b.node("ScatterND", [x, ids, updates], [{ dtype: x.dtype, shape: x.shape }], {
    attributes: add ? { reduction: "add" } : {},
  })[0];
}

/** A dimension of size 1 put in before dimension `axis`. */
export function unsqueeze(b: GraphBuilder, x: Value, axis: number): Value {
  return b.node("Unsqueeze", [x, b.int64([axis])], [
    { dtype: x.dtype, shape: [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)] },
  ])[0];
}

function logical(op: string): (b: GraphBuilder, left: Value, right: Value) => Value {
  return (b, left, right) =>
    b.node(op, [left, right], [{ dtype: "bool", shape: broadcast(left.shape, right.shape) }])[0];
}

/** left = right, element by element. */
export const equal: (b: GraphBuilder, left: Value, right: Value) => Value = logical("Equal");
/** left > right, element by element. */
export const greater: (b: GraphBuilder, left: Value, right: Value) => Value = logical("Greater");
/** left ≤ right, element by element. */
export const lessOrEqual: (b: GraphBuilder, left: Value, right: Value) => Value = logical(
  "LessOrEqual",
);
/** Both, element by element. */
export const and: (b: GraphBuilder, left: Value, right: Value) => Value = logical("And");

/** `yes` where the condition holds, else `no`. */
export function where(b: GraphBuilder, condition: Value, yes: Value, no: Value): Value {
  return b.node("Where", [condition, yes, no], [
    { dtype: yes.dtype, shape: broadcast(condition.shape, broadcast(yes.shape, no.shape)) },
  ])[0];
}

/** An element, or what has 1 in place of some sizes, repeated to a shape. */
export function expand(b: GraphBuilder, x: Value, shape: Shape): Value {
  const sizes = b.shape(shape, { inferred: false });
  return b.node("Expand", [x, sizes], [{ dtype: x.dtype, shape }])[0];
}

/** Tensors end to end along a dimension, which then has the size `joined`. */
export function concat(
  b: GraphBuilder,
  parts: readonly Value[],
  { axis, joined }: { readonly axis: number; readonly joined: Dim },
): Value {
  const [first, ...rest] = parts;
  for (const part of rest) {
    first.shape.forEach((dim, i) => {
      if (i !== axis) expectEqual("Concat", dim, part.shape[i], first, part);
    });
  }
  const shape = first.shape.map((dim, i) => i === axis ? joined : dim);
  return b.node("Concat", parts, [{ dtype: first.dtype, shape }], {
    attributes: { axis: BigInt(axis) },
  })[0];
}

/** Of a dimension the elements from `start` to before `end`. */
export function slice(
  b: GraphBuilder,
  x: Value,
  { axis, start, end }: { readonly axis: number; readonly start: number; readonly end: number },
): Value {
  const bounds = [start, end, axis].map((each) => b.int64([each]));
  const shape = x.shape.map((dim, i) => i === axis ? end - start : dim);
  return b.node("Slice", [x, ...bounds], [{ dtype: x.dtype, shape }])[0];
}

/** The same numbers in another dtype; no node where it is the same. */
export function cast(b: GraphBuilder, x: Value, dtype: DType): Value {
  if (x.dtype === dtype) return x;
  return b.node("Cast", [x], [{ dtype, shape: x.shape }], {
    attributes: { to: BigInt(onnxDataType(dtype)) },
  })[0];
}

/**
 * Attention over a cache: queries [rows, length, heads·D] against keys and values that are first
 * written into cacheK and cacheV [rows, kvHeads, capacity, D] at each row's end. Causal.
 * Answers the mixed values and both caches (to be bound in place).
 */
export function groupQueryAttention(
  b: GraphBuilder,
  {
    q,
    k,
    v,
    cacheK,
    cacheV,
    lastIndex,
    totalLength,
    heads,
    kvHeads,
    scale,
    window,
    rotary,
    present,
  }: {
    readonly q: Value;
    readonly k: Value;
    readonly v: Value;
    readonly cacheK: Value;
    readonly cacheV: Value;
    /** int32 [rows]: the row's total length − 1. */
    readonly lastIndex: Value;
    /** int32 []: the longest row's total length. */
    readonly totalLength: Value;
    readonly heads: number;
    readonly kvHeads: number;
    readonly scale: number;
    /** How many tokens a query sees, itself and those before it. @default all before it */
    readonly window?: number;
    /** Tables [positions, D/2]: queries and keys are turned here. @default they come turned */
    readonly rotary?: { readonly cos: Value; readonly sin: Value };
    /** Shape of the caches given out. @default that of the caches taken */
    readonly present?: Shape;
  },
): [Value, Value, Value] {
  // In float32 the CPU's attention of one token is a quarter faster where no product need scale its result.
  const plain = q.dtype === "float32";
  const [y, presentK, presentV] = b.node(
    "GroupQueryAttention",
    [
      plain ? mul(b, q, b.float32(scale)) : q,
      k,
      v,
      cacheK,
      cacheV,
      lastIndex,
      totalLength,
      ...rotary ? [rotary.cos, rotary.sin] : [],
    ],
    [
      { dtype: q.dtype, shape: q.shape },
      ...[cacheK, cacheV].map(({ dtype, shape }) => ({ dtype, shape: present ?? shape })),
    ],
    {
      domain: MICROSOFT,
      attributes: {
        num_heads: BigInt(heads),
        kv_num_heads: BigInt(kvHeads),
        scale: plain ? 1 : scale,
        ...rotary ? { do_rotary: 1n } : {},
        ...window === undefined ? {} : { local_window_size: BigInt(window) },
      },
    },
  );
  return [y, presentK, presentV];
}

/** Weights [M, K] as small whole numbers in blocks that share a scale; the middle one stands for 0. */
export interface BlockWeights {
  /** uint8 [M, K/block, block·bits/8], two 4-bit numbers to a byte with the first in the low half. */
  readonly data: Value;
  /** [M, K/block] */
  readonly scales: Value;
  /** Numbers that share a scale: 16, 32, 64 … */
  readonly block: number;
  /** Bits of a number. */
  readonly bits: 4 | 8;
}

/**
 * A linear layer with weights of few bits: x [N, K] → [N, M].
 *
 * @param accuracyLevel 4 lets the kernel round x to 8 bits too, 0 does not
 */
export function matMulNBits(
  b: GraphBuilder,
  x: Value,
  { data, scales, block, bits }: BlockWeights,
  { accuracyLevel }: { readonly accuracyLevel: 0 | 4 },
): Value {
  expectRank("MatMulNBits", x, 2);
  const [rows, inner] = x.shape;
  const [columns, blocks] = scales.shape;
  // The last block of a row may be a part.
  const padded = typeof inner === "number" ? Math.ceil(inner / block) * block : inner;
  expectEqual("MatMulNBits", padded, product(blocks, block), x, scales);
  return b.node("MatMulNBits", [x, data, scales], [{ dtype: x.dtype, shape: [rows, columns] }], {
    domain: MICROSOFT,
    attributes: {
      K: BigInt(inner),
      N: BigInt(columns),
      bits: BigInt(bits),
      block_size: BigInt(block),
      accuracy_level: BigInt(accuracyLevel),
    },
  })[0];
}

/**
 * Rows of weights of few bits, widened: ids of any shape → [...ids, blocks, block], in the scales' type. They lie as
 * {@linkcode matMulNBits} reads them.
 */
export function gatherNBits(
  b: GraphBuilder,
  { data, scales, block, bits }: BlockWeights,
  ids: Value,
): Value {
  expectRank("GatherBlockQuantized", data, 3);
  const [, blocks] = scales.shape;
  expectEqual("GatherBlockQuantized", data.shape[1], blocks, data, scales);
  const shape = [...ids.shape, blocks, block];
  return b.node("GatherBlockQuantized", [data, ids, unsqueeze(b, scales, 2)], [
    { dtype: scales.dtype, shape },
  ], {
    domain: MICROSOFT,
    attributes: {
      gather_axis: 0n,
      quantize_axis: 2n,
      block_size: BigInt(block),
      bits: BigInt(bits),
    },
  })[0];
}

/**
 * Small whole numbers times their scales: int8 [...rows, K] and float32 [...rows, K/block] → float32
 * [...rows, K]. The last block of a row may be a part.
 */
export function dequantizeLinear(
  b: GraphBuilder,
  numbers: Value,
  scales: Value,
  { block, zero }: {
    readonly block: number;
    /** What is taken off the numbers first, of their type and the scales' shape. @default 0 */
    readonly zero?: Value;
  },
): Value {
  return b.node("DequantizeLinear", [numbers, scales, ...zero ? [zero] : []], [
    { dtype: scales.dtype, shape: numbers.shape },
  ], { attributes: { axis: BigInt(numbers.shape.length - 1), block_size: BigInt(block) } })[0];
}

/**
 * The same of numbers of 4 bits, 8 for 0, two to a byte: uint8 [rows, K/2], where the low halves are
 * the first half of a row's columns.
 */
export function dequantizeHalves(
  b: GraphBuilder,
  bytes: Value,
  scales: Value,
  { block, columns }: { readonly block: number; readonly columns: Dim },
): Value {
  const small = (value: number): Value => cast(b, b.int32(value), "uint8");
  const half = (op: string, by: number, attributes = {}): Value =>
    b.node(op, [bytes, small(by)], [bytes], { attributes })[0];
  const halves = [half("BitwiseAnd", 15), half("BitShift", 4, { direction: "RIGHT" })];
  const numbers = concat(b, halves, { axis: 1, joined: columns });
  const zero = add(b, cast(b, mul(b, scales, b.float32(0)), "uint8"), small(8));
  return dequantizeLinear(b, numbers, scales, { block, zero });
}
