/** Small uses of every operation that has a gradient rule. */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Shape, Symbols } from "../../ort/graph/dim.ts";
import type { Value } from "../../ort/graph/ir.ts";
import { linearRecurrence } from "../../ort/graph/linear_recurrence.ts";
import * as ops from "../../ort/graph/ops.ts";
import { crop, pad } from "../../ort/graph/pad.ts";
import { unitLowerInverse } from "../../ort/graph/unit_lower_inverse.ts";

/** One use of one operation. */
export interface RuleCase {
  /** The operation whose rule this is about. */
  readonly op: string;
  readonly name: string;
  /** Differentiated float32 inputs. */
  readonly inputs: Readonly<Record<string, Shape>>;
  /** Further float32 inputs that need no gradient. */
  readonly fixed?: Readonly<Record<string, Shape>>;
  /** An int64 input [rows, length] of positions. */
  readonly positions?: boolean;
  /** Magnitude of the inputs. @default 1 */
  readonly magnitude?: number;
  readonly build: (b: GraphBuilder, v: Readonly<Record<string, Value>>) => Value;
}

/** What the cases' symbols stand for. */
export const SYMBOLS: Symbols = { rows: 2, length: 3, positions: 5, padded: 8, padding: 5 };
const TOKENS = "length*rows";

/** At least one case a rule. */
export const ruleCases: readonly RuleCase[] = [
  {
    op: "Gemm",
    name: "a linear layer",
    inputs: { x: [TOKENS, 5], w: [4, 5] },
    build: (b, { x, w }) => ops.linear(b, x, w),
  },
  {
    op: "Gemm",
    name: "a linear layer with bias",
    inputs: { x: [TOKENS, 5], w: [4, 5], bias: [4] },
    build: (b, { x, w, bias }) => ops.linear(b, x, w, bias),
  },
  {
    op: "Gemm",
    name: "a linear layer with an addend",
    inputs: { x: [TOKENS, 5], w: [4, 5], c: [TOKENS, 4] },
    build: (b, { x, w, c }) => ops.linear(b, x, w, c),
  },
  ...[[false, false], [false, true], [true, false], [true, true]].map((
    [transA, transB],
  ): RuleCase => ({
    op: "FusedMatMul",
    name: `a matrix product, transA ${transA}, transB ${transB}`,
    inputs: {
      a: transA ? ["rows", 2, 4, "length"] : ["rows", 2, "length", 4],
      c: transB ? ["rows", 2, 5, 4] : ["rows", 2, 4, 5],
    },
    build: (b, { a, c }) => ops.matmul(b, a, c, { transA, transB, alpha: 0.3 }),
  })),
  {
    op: "Add",
    name: "a sum",
    inputs: { x: [TOKENS, 4], z: [TOKENS, 4] },
    build: (b, { x, z }) => ops.add(b, x, z),
  },
  {
    op: "Add",
    name: "a value added to itself",
    inputs: { x: [TOKENS, 4] },
    build: (b, { x }) => ops.add(b, x, x),
  },
  {
    op: "Add",
    name: "a sum with a vector in every row",
    inputs: { x: [TOKENS, 4], z: [4] },
    build: (b, { x, z }) => ops.add(b, x, z),
  },
  {
    op: "Add",
    name: "a sum with a broadcast mask that needs no gradient",
    inputs: { x: ["rows", 2, "length", "length"] },
    fixed: { mask: ["rows", 1, "length", "length"] },
    build: (b, { x, mask }) => ops.add(b, x, mask),
  },
  {
    op: "Div",
    name: "a quotient whose divisor is not near zero",
    inputs: { x: [TOKENS, 4], z: [TOKENS, 4] },
    build: (b, { x, z }) => ops.div(b, x, ops.add(b, ops.mul(b, z, z), b.float32(1))),
  },
  {
    op: "Mul",
    name: "a product",
    inputs: { x: [TOKENS, 4], z: [TOKENS, 4] },
    build: (b, { x, z }) => ops.mul(b, x, z),
  },
  {
    op: "Mul",
    name: "a product with a vector in every row",
    inputs: { x: [TOKENS, 4], z: [4] },
    build: (b, { x, z }) => ops.mul(b, x, z),
  },
  {
    op: "Mul",
    name: "a square",
    inputs: { x: [TOKENS, 4] },
    build: (b, { x }) => ops.mul(b, x, x),
  },
  {
    op: "Mul",
    name: "a product with a broadcast factor that needs no gradient",
    inputs: { x: [TOKENS, 4] },
    fixed: { factor: [4] },
    build: (b, { x, factor }) => ops.mul(b, factor, x),
  },
  {
    op: "Mul",
    name: "rows times a vector",
    inputs: { x: [TOKENS, 4], w: [4] },
    build: (b, { x, w }) => ops.mul(b, x, w),
  },
  {
    op: "Mul",
    name: "a product of a column, a row and a number",
    inputs: { x: ["rows", 1, "length", 1], z: [2, 1, 4], s: [] },
    build: (b, { x, z, s }) => ops.mul(b, ops.mul(b, x, z), s),
  },
  {
    op: "Sub",
    name: "a difference of a column and a row",
    inputs: { x: ["rows", "length", 1], z: [4] },
    build: (b, { x, z }) => ops.sub(b, x, z),
  },
  {
    op: "Sub",
    name: "a value less its square",
    inputs: { x: [TOKENS, 4] },
    build: (b, { x }) => ops.sub(b, x, ops.mul(b, x, x)),
  },
  {
    op: "Exp",
    name: "an exponential",
    inputs: { x: [TOKENS, 4] },
    build: (b, { x }) => ops.exp(b, x),
  },
  {
    op: "Expand",
    name: "heads that are repeated",
    inputs: { x: ["rows", 2, 1, "length", 3] },
    build: (b, { x }) => ops.expand(b, x, ["rows", 2, 3, "length", 3]),
  },
  {
    op: "Sigmoid",
    name: "a gate",
    inputs: { x: [TOKENS, 4] },
    magnitude: 6,
    build: (b, { x }) => ops.sigmoid(b, x),
  },
  {
    op: "Softplus",
    name: "softplus",
    inputs: { x: [TOKENS, 4] },
    magnitude: 6,
    build: (b, { x }) => ops.softplus(b, x),
  },
  {
    op: "Cast",
    name: "a value in another type and back",
    inputs: { x: [TOKENS, 4] },
    build: (b, { x }) => ops.cast(b, ops.cast(b, x, "float64"), "float32"),
  },
  {
    op: "QuickGelu",
    name: "SiLU",
    inputs: { x: [TOKENS, 4] },
    magnitude: 6,
    build: (b, { x }) => ops.silu(b, x),
  },
  {
    op: "FastGelu",
    name: "GELU by tanh",
    inputs: { x: [TOKENS, 4] },
    magnitude: 6,
    build: (b, { x }) => ops.geluTanh(b, x),
  },
  {
    op: "Reshape",
    name: "a reshape",
    inputs: { x: [TOKENS, 12] },
    build: (b, { x }) => ops.reshape(b, x, ["rows", "length", 3, 4]),
  },
  {
    op: "RotaryEmbedding",
    name: "a rotation of two heads",
    inputs: { x: ["rows", "length", 12] },
    fixed: { cos: ["positions", 3], sin: ["positions", 3] },
    positions: true,
    build: (b, { x, positions, cos, sin }) => ops.rope(b, x, { positions, cos, sin, heads: 2 }),
  },
  {
    op: "RotaryEmbedding",
    name: "a rotation of a part of two heads",
    inputs: { x: ["rows", "length", 12] },
    fixed: { cos: ["positions", 2], sin: ["positions", 2] },
    positions: true,
    build: (b, { x, positions, cos, sin }) => ops.rope(b, x, { positions, cos, sin, heads: 2 }),
  },
  ...([[0, 5], [3, 9], [8, 12]] as const).map(([start, end]) => ({
    op: "Slice",
    name: `columns ${start} to ${end} of 12, read twice`,
    inputs: { x: [TOKENS, 12] },
    build: (b: GraphBuilder, { x }: Readonly<Record<string, Value>>) => {
      const part = ops.slice(b, x, { axis: 1, start, end });
      return ops.mul(b, part, ops.silu(b, part));
    },
  })),
  {
    op: "SimplifiedLayerNormalization",
    name: "RMSNorm",
    inputs: { x: [TOKENS, 8], w: [8] },
    build: (b, { x, w }) => ops.rmsNorm(b, x, w, 1e-6)[0],
  },
  {
    op: "SimplifiedLayerNormalization",
    name: "RMSNorm by 1 + weight",
    inputs: { x: [TOKENS, 8], w: [8] },
    build: (b, { x, w }) => ops.rmsNorm(b, x, ops.add(b, w, b.float32(1)), 1e-6)[0],
  },
  {
    op: "SimplifiedLayerNormalization",
    name: "RMSNorm of values so small that epsilon counts",
    inputs: { x: [TOKENS, 8], w: [8] },
    magnitude: 0.1,
    build: (b, { x, w }) => ops.rmsNorm(b, x, w, 1e-2)[0],
  },
  {
    op: "Softmax",
    name: "softmax",
    inputs: { x: ["rows", 2, "length", "length"] },
    magnitude: 4,
    build: (b, { x }) => ops.softmax(b, x),
  },
  {
    op: "Tanh",
    name: "soft-capped values",
    inputs: { x: [TOKENS, 4] },
    magnitude: 6,
    build: (b, { x }) => ops.mul(b, ops.tanh(b, ops.mul(b, x, b.float32(1 / 3))), b.float32(3)),
  },
  {
    op: "Transpose",
    name: "a transposition that is not its own inverse",
    inputs: { x: ["rows", "length", 2, 4] },
    build: (b, { x }) => ops.transpose(b, x, [2, 0, 3, 1]),
  },
];

/** Values with gradients of their own, of several operations. */
export const ownRuleCases: readonly RuleCase[] = [
  {
    op: "Pad",
    name: "zeros before and after columns",
    inputs: { x: [TOKENS, 4] },
    build: (b, { x }) => pad(b, x, { axis: 1, before: 2, after: 1, size: 7 }),
  },
  {
    op: "Pad",
    name: "zeros after tokens, as many as a symbol says",
    inputs: { x: ["rows", "length", 2] },
    build: (b, { x }) => pad(b, x, { axis: 1, after: "padding", size: "padded" }),
  },
  {
    op: "Slice",
    name: "tokens without the last ones, as many as a symbol says",
    inputs: { x: ["rows", "padded", 2] },
    build: (b, { x }) => crop(b, x, { axis: 1, after: "padding", size: "length" }),
  },
  {
    op: "Slice",
    name: "tokens without some at each end",
    inputs: { x: ["rows", "padded", 2] },
    build: (b, { x }) => crop(b, x, { axis: 1, before: 4, after: 1, size: "length" }),
  },
  {
    op: "Scan",
    name: "states of a recurrence",
    inputs: {
      transitions: ["length", "rows", 3, 3],
      additions: ["length", "rows", 3, 2],
      initial: ["rows", 3, 2],
    },
    build: (b, { transitions, additions, initial }) =>
      linearRecurrence(b, { transitions, additions, initial }).before,
  },
  {
    op: "FusedMatMul",
    name: "the inverse of 1 and what is below the diagonal",
    inputs: { a: ["rows", 6, 6] },
    build: (b, { a }) => unitLowerInverse(b, a),
  },
];
