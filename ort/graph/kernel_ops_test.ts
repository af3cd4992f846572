/** The nodes of the operations that are kernels of ortune's own, and of their gradients. */

import assert from "node:assert/strict";
import {
  declare,
  type Declared,
  graphText,
  half,
  type Values,
  wide,
} from "../../tests/support/graph_text.ts";
import { beforeName, gradientOf } from "../../tests/support/rule_graphs.ts";
import { GraphBuilder } from "./builder.ts";
import { gradient } from "./gradient.ts";
import type { Value } from "./ir.ts";
import {
  hashedDropout,
  headAttention,
  type HeadAttentionInputs,
  loraDown,
  loraUp,
  packedLinear,
  packedLinearGradient,
  rmsNormWithKernel,
  segmentAttention,
  swiglu,
} from "./kernel_ops.ts";

/** One use of one operation. */
interface KernelCase {
  /** Types and shapes of what is differentiated. */
  readonly inputs: Declared;
  /** Of what is not. */
  readonly fixed?: Declared;
  /** Whether gradients are added to what there is. @default false */
  readonly accumulate?: boolean;
  readonly build: (b: GraphBuilder, values: Values) => Value;
  /** Of y, and of the gradients. */
  readonly nodes: readonly string[];
}

const NORMED = { x: half("n", 6), w: wide(6) };
const HASHED: Declared = {
  rows: ["int32", ["n", 1]],
  columns: ["int32", [6]],
};
/** A of two layers, and B of 4 and 6 columns. */
const DOWN = { x: half("n", 6), a: wide(8, 6), c: wide(8, 6) };
const UP = { h: half("n", 16), a: wide(4, 8), c: wide(6, 8) };
/** Of four heads of six numbers, and two of keys. */
const PROJECTED = { q: half("n", 24), k: half("n", 12), v: half("n", 12) };
const NORMS = { nq: wide(6), nk: wide(6) };
const ROTARY: Declared = {
  ...{ positions: ["int64", ["rows", "length"]], cos: half("p", 3), sin: half("p", 3) },
  ...{ starts: ["int32", ["n"]], ends: ["int32", ["n"]] },
};

function attention(
  b: GraphBuilder,
  { positions, cos, sin, starts, ends }: Values,
  projections: HeadAttentionInputs["projections"],
  norms?: HeadAttentionInputs["norms"],
): Value {
  const rotary = { positions, cos, sin };
  return headAttention(b, {
    ...{ projections, norms, rotary, starts, ends, heads: 4, kvHeads: 2, scale: 0.25 },
  }).mixed;
}

const CASES: Readonly<Record<string, KernelCase>> = {
  "swiglu() of two values": {
    ...{
      inputs: { gate: half("n", 6), up: half("n", 6) },
      accumulate: true,
      build: (b, { gate, up }) => swiglu(b, gate, up),
    },
    nodes: [
      "y bfloat16 [n,6] = ortune:SwiGLU(gate, up)",
      "SwiGLUGradient_1 bfloat16 [n,6], SwiGLUGradient_1.1 bfloat16 [n,6] = " +
      "ortune:SwiGLUGradient(gate, up, dy)",
      "d.gate bfloat16 [n,6] = Add(before.gate, SwiGLUGradient_1)",
      "d.up bfloat16 [n,6] = Add(before.up, SwiGLUGradient_1.1)",
    ],
  },
  "swiglu() of halves side by side": {
    ...{ inputs: { both: half("n", 6) }, build: (b, { both }) => swiglu(b, both) },
    nodes: [
      "y bfloat16 [n,3] = ortune:SwiGLU(both)",
      "d.both bfloat16 [n,6] = ortune:SwiGLUGradient(both, dy)",
    ],
  },
  "packedLinear()": {
    ...{
      inputs: { x: wide("n", 6) },
      fixed: { w: ["uint8", [4, 6]] },
      accumulate: true,
      build: (b, { x, w }) => packedLinear(b, x, w),
    },
    nodes: [
      'y float32 [n,4] = ortune:PackedLinear(x) matrix="w"',
      'PackedLinearGradient_1 float32 [n,6] = ortune:PackedLinearGradient(dy) matrix="w"',
      "d.x float32 [n,6] = Add(before.x, PackedLinearGradient_1)",
    ],
  },
  "rmsNormWithKernel(), added to what there is": {
    ...{
      inputs: NORMED,
      accumulate: true,
      build: (b, { x, w }) => rmsNormWithKernel(b, x, w, 0.5),
    },
    nodes: [
      "y bfloat16 [n,6], SimplifiedLayerNormalization_0.1 float32 [n,1] = " +
      "SimplifiedLayerNormalization(x, w) axis=-1 epsilon=0.5f stash_type=1",
      "d.x bfloat16 [n,6], d.w float32 [6], RMSNormGradient_1.2 float32 [256,6] = " +
      "ortune:RMSNormGradient(x, dy, w, SimplifiedLayerNormalization_0.1, before.x, before.w)",
    ],
  },
  "rmsNormWithKernel()": {
    ...{ inputs: NORMED, build: (b, { x, w }) => rmsNormWithKernel(b, x, w, 0.5) },
    nodes: [
      "y bfloat16 [n,6], SimplifiedLayerNormalization_0.1 float32 [n,1] = " +
      "SimplifiedLayerNormalization(x, w) axis=-1 epsilon=0.5f stash_type=1",
      "d.x bfloat16 [n,6], d.w float32 [6], RMSNormGradient_1.2 float32 [256,6] = " +
      "ortune:RMSNormGradient(x, dy, w, SimplifiedLayerNormalization_0.1, _, _)",
    ],
  },
  "rmsNormWithKernel() with a weight that is not trained": {
    ...{
      inputs: { x: NORMED.x },
      fixed: { w: NORMED.w },
      build: (b, { x, w }) => rmsNormWithKernel(b, x, w, 0.5),
    },
    nodes: [
      "y bfloat16 [n,6], SimplifiedLayerNormalization_0.1 float32 [n,1] = " +
      "SimplifiedLayerNormalization(x, w) axis=-1 epsilon=0.5f stash_type=1",
      "d.x bfloat16 [n,6] = ortune:RMSNormGradient(x, dy, w, SimplifiedLayerNormalization_0.1, " +
      "_, _)",
    ],
  },
  "rmsNormWithKernel() of what needs no gradient": {
    ...{
      inputs: { w: NORMED.w },
      fixed: { x: NORMED.x },
      build: (b, { x, w }) => rmsNormWithKernel(b, x, w, 0.5),
    },
    nodes: [
      "y bfloat16 [n,6], SimplifiedLayerNormalization_0.1 float32 [n,1] = " +
      "SimplifiedLayerNormalization(x, w) axis=-1 epsilon=0.5f stash_type=1",
      "RMSNormGradient_1 bfloat16 [n,6], d.w float32 [6], RMSNormGradient_1.2 float32 [256,6] " +
      "= ortune:RMSNormGradient(x, dy, w, SimplifiedLayerNormalization_0.1, _, _)",
    ],
  },
  "hashedDropout()": {
    ...{
      inputs: { x: half("n", 6) },
      fixed: HASHED,
      accumulate: true,
      build: (b, { x, rows, columns }) => hashedDropout(b, x, { rows, columns, above: -5 }),
    },
    nodes: [
      "y bfloat16 [n,6] = ortune:HashedDropout(x, rows, columns) above=-5",
      "HashedDropout_1 bfloat16 [n,6] = ortune:HashedDropout(dy, rows, columns) above=-5",
      "d.x bfloat16 [n,6] = Add(before.x, HashedDropout_1)",
    ],
  },
  "loraDown() with dropout, added to what there is": {
    ...{
      inputs: DOWN,
      fixed: { rows: HASHED.rows, ac: HASHED.columns, cc: HASHED.columns },
      accumulate: true,
      build: (b, v) =>
        loraDown(b, v.x, [{ a: v.a, columns: v.ac }, { a: v.c, columns: v.cc }], {
          scale: 0.5,
          rows: v.rows,
          above: 7,
        }),
    },
    nodes: [
      "y bfloat16 [n,16] = ortune:LoraDown(x, rows, a, ac, c, cc) scale=0.5f above=7",
      "d.x bfloat16 [n,6] = ortune:LoraDownInputGradient(dy, before.x, rows, a, ac, c, cc) " +
      "scale=0.5f above=7",
      "d.a float32 [8,6], d.c float32 [8,6], LoraDownWeightGradient_2.2 float32 [8,96] = " +
      "ortune:LoraDownWeightGradient(x, dy, rows, ac, before.a, cc, before.c) scale=0.5f " +
      "above=7",
    ],
  },
  "loraDown()": {
    ...{ inputs: DOWN, build: (b, { x, a, c }) => loraDown(b, x, [{ a }, { a: c }], { scale: 2 }) },
    nodes: [
      "y bfloat16 [n,16] = ortune:LoraDown(x, _, a, _, c, _) scale=2f above=0",
      "d.x bfloat16 [n,6] = ortune:LoraDownInputGradient(dy, _, _, a, _, c, _) scale=2f above=0",
      "d.a float32 [8,6], d.c float32 [8,6], LoraDownWeightGradient_2.2 float32 [8,96] = " +
      "ortune:LoraDownWeightGradient(x, dy, _, _, _, _, _) scale=2f above=0",
    ],
  },
  "loraUp(), added to what there is": {
    ...{
      inputs: { base: half("n", 10), ...UP },
      accumulate: true,
      build: (b, { base, h, a, c }) => loraUp(b, base, h, [a, c]),
    },
    nodes: [
      "y bfloat16 [n,10] = ortune:LoraUp(base, h, a, c)",
      "d.base bfloat16 [n,10] = Add(before.base, dy)",
      "LoraUpInputGradient_2 bfloat16 [n,16] = ortune:LoraUpInputGradient(dy, a, c)",
      "d.h bfloat16 [n,16] = Add(before.h, LoraUpInputGradient_2)",
      "d.a float32 [4,8], d.c float32 [6,8], LoraUpWeightGradient_4.2 float32 [8,80] = " +
      "ortune:LoraUpWeightGradient(h, dy, before.a, before.c)",
    ],
  },
  "loraUp() on what needs no gradient": {
    ...{
      inputs: UP,
      fixed: { base: half("n", 10) },
      build: (b, { base, h, a, c }) => loraUp(b, base, h, [a, c]),
    },
    nodes: [
      "y bfloat16 [n,10] = ortune:LoraUp(base, h, a, c)",
      "d.h bfloat16 [n,16] = ortune:LoraUpInputGradient(dy, a, c)",
      "d.a float32 [4,8], d.c float32 [6,8], LoraUpWeightGradient_2.2 float32 [8,80] = " +
      "ortune:LoraUpWeightGradient(h, dy, _, _)",
    ],
  },
  "segmentAttention()": {
    ...{
      inputs: { q: wide("n", 24), k: wide("n", 12), v: wide("n", 12) },
      fixed: { starts: ["int32", ["n"]] },
      accumulate: true,
      build: (b, { q, k, v, starts }) =>
        segmentAttention(b, { q, k, v, starts, heads: 4, kvHeads: 2, scale: 0.25 }),
    },
    nodes: [
      "y float32 [n,24] = ortune:SegmentAttention(q, k, v, starts) heads=4 kv_heads=2 " +
      "scale=0.25f",
      "SegmentAttentionGradient_1 float32 [n,24], SegmentAttentionGradient_1.1 float32 [n,12], " +
      "SegmentAttentionGradient_1.2 float32 [n,12] = ortune:SegmentAttentionGradient(q, k, v, " +
      "starts, _, y, _, dy) heads=4 kv_heads=2 scale=0.25f",
      "d.q float32 [n,24] = Add(before.q, SegmentAttentionGradient_1)",
      "d.k float32 [n,12] = Add(before.k, SegmentAttentionGradient_1.1)",
      "d.v float32 [n,12] = Add(before.v, SegmentAttentionGradient_1.2)",
    ],
  },
  "headAttention() of projections side by side": {
    ...{
      inputs: { qkv: half("n", 48) },
      fixed: ROTARY,
      accumulate: true,
      build: (b, v) => attention(b, v, [v.qkv]),
    },
    nodes: [
      "RotaryHeads_0 bfloat16 [n,24], RotaryHeads_0.1 bfloat16 [n,12], RotaryHeads_0.2 " +
      "bfloat16 [n,12] = ortune:RotaryHeads(qkv, _, positions, cos, sin, _, _) heads=4 " +
      "kv_heads=2",
      "y bfloat16 [n,24], SegmentAttention_1.1 float32 [4,n] = " +
      "ortune:SegmentAttention(RotaryHeads_0, RotaryHeads_0.1, RotaryHeads_0.2, starts) " +
      "heads=4 kv_heads=2 scale=0.25f",
      "SegmentAttentionGradient_2 bfloat16 [n,24], SegmentAttentionGradient_2.1 bfloat16 " +
      "[n,12], SegmentAttentionGradient_2.2 bfloat16 [n,12], SegmentAttentionGradient_2.3 " +
      "float32 [4,n] = ortune:SegmentAttentionGradient(RotaryHeads_0, RotaryHeads_0.1, " +
      "RotaryHeads_0.2, starts, ends, y, SegmentAttention_1.1, dy) heads=4 kv_heads=2 " +
      "scale=0.25f",
      "RotaryHeadsGradient_3 bfloat16 [n,48] = ortune:RotaryHeadsGradient(qkv, _, positions, " +
      "cos, sin, _, _, _, SegmentAttentionGradient_2, SegmentAttentionGradient_2.1, " +
      "SegmentAttentionGradient_2.2) heads=4 kv_heads=2",
      "d.qkv bfloat16 [n,48] = Add(before.qkv, RotaryHeadsGradient_3)",
    ],
  },
  "headAttention() of three projections": {
    ...{
      inputs: PROJECTED,
      fixed: ROTARY,
      accumulate: true,
      build: (b, v) => attention(b, v, [v.q, v.k, v.v]),
    },
    nodes: [
      "RotaryHeads_0 bfloat16 [n,24], RotaryHeads_0.1 bfloat16 [n,12] = ortune:RotaryHeads(q, " +
      "k, positions, cos, sin, _, _) heads=4 kv_heads=2",
      "y bfloat16 [n,24], SegmentAttention_1.1 float32 [4,n] = " +
      "ortune:SegmentAttention(RotaryHeads_0, RotaryHeads_0.1, v, starts) heads=4 kv_heads=2 " +
      "scale=0.25f",
      "SegmentAttentionGradient_2 bfloat16 [n,24], SegmentAttentionGradient_2.1 bfloat16 " +
      "[n,12], SegmentAttentionGradient_2.2 bfloat16 [n,12], SegmentAttentionGradient_2.3 " +
      "float32 [4,n] = ortune:SegmentAttentionGradient(RotaryHeads_0, RotaryHeads_0.1, v, " +
      "starts, ends, y, SegmentAttention_1.1, dy) heads=4 kv_heads=2 scale=0.25f",
      "RotaryHeadsGradient_3 bfloat16 [n,24], RotaryHeadsGradient_3.1 bfloat16 [n,12] = " +
      "ortune:RotaryHeadsGradient(q, k, positions, cos, sin, _, _, _, " +
      "SegmentAttentionGradient_2, SegmentAttentionGradient_2.1, _) heads=4 kv_heads=2",
      "d.q bfloat16 [n,24] = Add(before.q, RotaryHeadsGradient_3)",
      "d.k bfloat16 [n,12] = Add(before.k, RotaryHeadsGradient_3.1)",
      "d.v bfloat16 [n,12] = Add(before.v, SegmentAttentionGradient_2.2)",
    ],
  },
  "headAttention() with norms of projections side by side": {
    ...{
      inputs: { qkv: half("n", 48), ...NORMS },
      fixed: ROTARY,
      accumulate: true,
      build: (b, v) => attention(b, v, [v.qkv], { q: v.nq, k: v.nk, epsilon: 0.5 }),
    },
    nodes: [
      "RotaryHeads_0 bfloat16 [n,24], RotaryHeads_0.1 bfloat16 [n,12], RotaryHeads_0.2 " +
      "bfloat16 [n,12], RotaryHeads_0.3 float32 [n,6] = ortune:RotaryHeads(qkv, _, positions, " +
      "cos, sin, nq, nk) heads=4 kv_heads=2 epsilon=0.5f",
      "y bfloat16 [n,24], SegmentAttention_1.1 float32 [4,n] = " +
      "ortune:SegmentAttention(RotaryHeads_0, RotaryHeads_0.1, RotaryHeads_0.2, starts) " +
      "heads=4 kv_heads=2 scale=0.25f",
      "SegmentAttentionGradient_2 bfloat16 [n,24], SegmentAttentionGradient_2.1 bfloat16 " +
      "[n,12], SegmentAttentionGradient_2.2 bfloat16 [n,12], SegmentAttentionGradient_2.3 " +
      "float32 [4,n] = ortune:SegmentAttentionGradient(RotaryHeads_0, RotaryHeads_0.1, " +
      "RotaryHeads_0.2, starts, ends, y, SegmentAttention_1.1, dy) heads=4 kv_heads=2 " +
      "scale=0.25f",
      "RotaryHeadsGradient_3 bfloat16 [n,48], d.nq float32 [6], d.nk float32 [6], " +
      "RotaryHeadsGradient_3.3 float32 [256,12] = ortune:RotaryHeadsGradient(qkv, _, " +
      "positions, cos, sin, nq, nk, RotaryHeads_0.3, SegmentAttentionGradient_2, " +
      "SegmentAttentionGradient_2.1, SegmentAttentionGradient_2.2, before.nq, before.nk) " +
      "heads=4 kv_heads=2",
      "d.qkv bfloat16 [n,48] = Add(before.qkv, RotaryHeadsGradient_3)",
    ],
  },
  "headAttention() with norms of three projections": {
    ...{
      inputs: { ...PROJECTED, ...NORMS },
      fixed: ROTARY,
      build: (b, v) => attention(b, v, [v.q, v.k, v.v], { q: v.nq, k: v.nk, epsilon: 0.5 }),
    },
    nodes: [
      "RotaryHeads_0 bfloat16 [n,24], RotaryHeads_0.1 bfloat16 [n,12], RotaryHeads_0.2 float32 " +
      "[n,6] = ortune:RotaryHeads(q, k, positions, cos, sin, nq, nk) heads=4 kv_heads=2 " +
      "epsilon=0.5f",
      "y bfloat16 [n,24], SegmentAttention_1.1 float32 [4,n] = " +
      "ortune:SegmentAttention(RotaryHeads_0, RotaryHeads_0.1, v, starts) heads=4 kv_heads=2 " +
      "scale=0.25f",
      "SegmentAttentionGradient_2 bfloat16 [n,24], SegmentAttentionGradient_2.1 bfloat16 " +
      "[n,12], d.v bfloat16 [n,12], SegmentAttentionGradient_2.3 float32 [4,n] = " +
      "ortune:SegmentAttentionGradient(RotaryHeads_0, RotaryHeads_0.1, v, starts, ends, y, " +
      "SegmentAttention_1.1, dy) heads=4 kv_heads=2 scale=0.25f",
      "d.q bfloat16 [n,24], d.k bfloat16 [n,12], d.nq float32 [6], d.nk float32 [6], " +
      "RotaryHeadsGradient_3.4 float32 [256,12] = ortune:RotaryHeadsGradient(q, k, positions, " +
      "cos, sin, nq, nk, RotaryHeads_0.2, SegmentAttentionGradient_2, " +
      "SegmentAttentionGradient_2.1, _, _, _) heads=4 kv_heads=2",
    ],
  },
  "headAttention() with norms that are not trained": {
    ...{
      inputs: PROJECTED,
      fixed: { ...ROTARY, ...NORMS },
      build: (b, v) => attention(b, v, [v.q, v.k, v.v], { q: v.nq, k: v.nk, epsilon: 0.5 }),
    },
    nodes: [
      "RotaryHeads_0 bfloat16 [n,24], RotaryHeads_0.1 bfloat16 [n,12], RotaryHeads_0.2 float32 " +
      "[n,6] = ortune:RotaryHeads(q, k, positions, cos, sin, nq, nk) heads=4 kv_heads=2 " +
      "epsilon=0.5f",
      "y bfloat16 [n,24], SegmentAttention_1.1 float32 [4,n] = " +
      "ortune:SegmentAttention(RotaryHeads_0, RotaryHeads_0.1, v, starts) heads=4 kv_heads=2 " +
      "scale=0.25f",
      "SegmentAttentionGradient_2 bfloat16 [n,24], SegmentAttentionGradient_2.1 bfloat16 " +
      "[n,12], d.v bfloat16 [n,12], SegmentAttentionGradient_2.3 float32 [4,n] = " +
      "ortune:SegmentAttentionGradient(RotaryHeads_0, RotaryHeads_0.1, v, starts, ends, y, " +
      "SegmentAttention_1.1, dy) heads=4 kv_heads=2 scale=0.25f",
      "d.q bfloat16 [n,24], d.k bfloat16 [n,12] = ortune:RotaryHeadsGradient(q, k, positions, " +
      "cos, sin, nq, nk, RotaryHeads_0.2, SegmentAttentionGradient_2, " +
      "SegmentAttentionGradient_2.1, _) heads=4 kv_heads=2",
    ],
  },
};

for (
  const [name, { inputs, fixed = {}, accumulate = false, build, nodes }] of Object.entries(CASES)
) {
  Deno.test(`${name} is a kernel, and so is its gradient`, () => {
    const b = new GraphBuilder("g");
    const values = declare(b, { ...inputs, ...fixed });
    const y = build(b, values);
    const seeds = new Map([[y, b.input("dy", y.dtype, y.shape)]]);
    const names = Object.keys(inputs);
    const before = (name: string): Value | undefined =>
      accumulate ? b.input(beforeName(name), ...inputs[name]) : undefined;
    const gradients = gradient(b, {
      seeds,
      wrt: new Map(names.map((name) => [values[name], before(name)])),
    });
    b.output("y", y);
    for (const name of names) b.output(gradientOf(name), gradients.get(values[name])!);
    assert.deepEqual(graphText(b.build()), nodes);
  });
}

Deno.test("headAttention() gives the sums of its scores besides", () => {
  const b = new GraphBuilder("g");
  const values = declare(b, { ...PROJECTED, ...ROTARY });
  const { positions, cos, sin, starts, ends, q, k, v } = values;
  const { mixed, sums } = headAttention(b, {
    ...{ projections: [q, k, v], rotary: { positions, cos, sin }, starts, ends },
    ...{ heads: 4, kvHeads: 2, scale: 0.25 },
  });
  assert.deepEqual([mixed.dtype, mixed.shape], ["bfloat16", ["n", 24]]);
  assert.deepEqual([sums.dtype, sums.shape], ["float32", [4, "n"]]);
});

Deno.test("packedLinearGradient() multiplies by the matrix as it stands", () => {
  const b = new GraphBuilder("g");
  const dy = b.input("dy", "bfloat16", ["n", 4]);
  b.output("dx", packedLinearGradient(b, dy, b.input("w", "uint8", [4, 6])));
  assert.deepEqual(graphText(b.build()), [
    'dx bfloat16 [n,6] = ortune:PackedLinearGradient(dy) matrix="w"',
  ]);
});

Deno.test("kernels refuse shapes that do not fit, naming them", () => {
  const b = new GraphBuilder("g");
  const [gate, up] = [b.input("gate", "float32", ["n", 7]), b.input("up", "float32", ["n", 6])];
  assert.throws(() => swiglu(b, gate, up), {
    name: "RangeError",
    message: "Cannot gate up [n,6] by gate [n,7]",
  });
  assert.throws(() => swiglu(b, gate), {
    name: "RangeError",
    message: "Cannot gate halves of gate [n,7]",
  });
  // Two of an odd width are no halves.
  assert.deepEqual(swiglu(b, gate, gate).shape, ["n", 7]);
  const hidden = b.input("hidden", "float32", ["n", 16]);
  const parts = ["a", "c"].map((name) => b.input(name, "float32", [4, 8]));
  assert.throws(() => loraUp(b, gate, hidden, parts), {
    name: "RangeError",
    message: "Cannot adapt gate: it has 7 columns, parts have 8",
  });
});

Deno.test("loraDown() of one layer has as many columns as its rank", () => {
  const b = new GraphBuilder("g");
  const { x, a } = declare(b, DOWN);
  assert.deepEqual(loraDown(b, x, [{ a }], { scale: 1 }).shape, ["n", 8]);
});
