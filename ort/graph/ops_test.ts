import assert from "node:assert/strict";
import { GraphBuilder } from "./builder.ts";
import type { Shape } from "./dim.ts";
import type { Value } from "./ir.ts";
import * as ops from "./ops.ts";

/** Declares float32 inputs a, b, c … of these shapes. */
function inputs(b: GraphBuilder, ...shapes: Shape[]): Value[] {
  return shapes.map((shape, i) => b.input("abcdefgh"[i], "float32", shape));
}

Deno.test("operations infer the shapes of their results", () => {
  const b = new GraphBuilder("g");
  const [x, w, bias] = inputs(b, ["length*rows", 6], [4, 6], [4]);
  const ids = b.input("ids", "int64", ["n", 1]);
  const cases: [Value, Shape][] = [
    [ops.linear(b, x, w, bias), ["length*rows", 4]],
    [ops.gemm(b, x, x, { transA: true }), [6, 6]],
    [ops.reshape(b, x, ["rows", "length", 2, 3]), ["rows", "length", 2, 3]],
    [ops.transpose(b, x, [1, 0]), [6, "length*rows"]],
    [ops.rmsNorm(b, x, b.input("g", "float32", [6]), 1e-6)[1], ["length*rows", 1]],
    [ops.reduceSum(b, x, -1), ["length*rows", 1]],
    [ops.reduceSum(b, x, 0, { keepDims: false }), [6]],
    [ops.gather(b, x, ids), ["n", 1, 6]],
    [ops.gatherElements(b, x, ids), ["n", 1]],
    [ops.scatterRows(b, x, ids, x), ["length*rows", 6]],
    [ops.unsqueeze(b, x, 1), ["length*rows", 1, 6]],
    [ops.expand(b, b.float32(1), ["rows", "length"]), ["rows", "length"]],
    [ops.concat(b, [x, x], { axis: 1, joined: 12 }), ["length*rows", 12]],
    [ops.slice(b, x, { axis: 1, start: 2, end: 5 }), ["length*rows", 3]],
    [ops.sumRows(b, x), [6]],
    [ops.sumRows(b, ops.cast(b, x, "bfloat16")), [6]],
    [ops.where(b, ops.equal(b, x, b.float32(0)), b.float32(1), x), ["length*rows", 6]],
  ];
  for (const [value, shape] of cases) assert.deepEqual(value.shape, shape, value.name);
  const q = b.input("q", "float32", ["rows", 2, "length", 8]);
  const k = b.input("k", "float32", ["rows", 2, "keys", 8]);
  assert.deepEqual(ops.matmul(b, q, k, { transB: true }).shape, ["rows", 2, "length", "keys"]);
});

Deno.test("operations on booleans and casts answer the right dtype", () => {
  const b = new GraphBuilder("g");
  const [x] = inputs(b, [3]);
  assert.equal(ops.lessOrEqual(b, x, b.float32(0)).dtype, "bool");
  assert.equal(ops.greater(b, x, b.float32(0)).dtype, "bool");
  assert.equal(ops.cast(b, x, "bfloat16").dtype, "bfloat16");
  assert.equal(ops.cast(b, x, "float32"), x);
});

Deno.test("in bfloat16 SiLU is float32 inside, and RMSNorm is one operation", () => {
  const names = (apply: (b: GraphBuilder, x: Value, w: Value) => Value): string[] => {
    const b = new GraphBuilder("g");
    b.output("y", apply(b, b.input("x", "bfloat16", ["n", 4]), b.input("w", "bfloat16", [4])));
    const { nodes, outputs } = b.build();
    assert.equal(outputs[0].dtype, "bfloat16");
    return nodes.map(({ op, outputs }) => `${op} ${outputs[0].dtype}`);
  };
  assert.deepEqual(names(ops.silu), ["Cast float32", "QuickGelu float32", "Cast bfloat16"]);
  assert.deepEqual(names((b, x, w) => ops.rmsNorm(b, x, w, 1e-6)[0]), [
    "SimplifiedLayerNormalization bfloat16",
  ]);
  // One symbol, and no −1: Expand cannot find out a size.
  const b = new GraphBuilder("g");
  b.output("y", ops.sumRows(b, b.input("x", "bfloat16", ["n", 4])));
  assert.deepEqual([...b.build().shapeInputs.values()], [[1, "n"]]);
});

Deno.test("operations refuse shapes that do not fit, naming both values", () => {
  const cases: [RegExp, Shape[], (b: GraphBuilder, v: Value[]) => unknown][] = [
    [
      /^Cannot apply Gemm to a \[n,5\] and b \[4,6\]: 5 against 6$/,
      [["n", 5], [4, 6]],
      (b, [x, w]) => ops.linear(b, x, w),
    ],
    [
      /^Cannot apply Gemm to a: expected 2 dimensions, got \[n,2,5\]$/,
      [["n", 2, 5], [4, 5]],
      (b, [x, w]) => ops.linear(b, x, w),
    ],
    [
      /^Cannot apply Gemm to addend c \[n,1\]: expected \[4\] or \[n,4\]$/,
      [["n", 5], [4, 5], ["n", 1]],
      (b, [x, w, c]) => ops.linear(b, x, w, c),
    ],
    [
      /^Cannot apply FusedMatMul to a \[rows,2,3\] and b \[n,3,4\]: rows against n$/,
      [["rows", 2, 3], ["n", 3, 4]],
      (b, [x, y]) => ops.matmul(b, x, y),
    ],
    [/: 3 against 4$/, [["rows", 2, 3], ["rows", 4, 5]], (b, [x, y]) => ops.matmul(b, x, y)],
    [
      /^Cannot reshape a from \[n,5\] to \[n,6\]$/,
      [["n", 5]],
      (b, [x]) => ops.reshape(b, x, ["n", 6]),
    ],
    [
      /^Cannot apply Transpose to a: expected 3 dimensions, got \[n,5\]$/,
      [["n", 5]],
      (b, [x]) => ops.transpose(b, x, [0, 2, 1]),
    ],
    [
      /^Cannot apply RotaryEmbedding to a: expected 3 dimensions, got \[n,8\]$/,
      [["n", 8], [4, 2], [4, 2]],
      (b, [x, cos, sin]) => ops.rope(b, x, { positions: x, cos, sin, heads: 2 }),
    ],
    [
      /^Cannot apply Concat to a \[2,3\] and b \[4,3\]: 2 against 4$/,
      [[2, 3], [4, 3]],
      (b, [x, y]) => ops.concat(b, [x, y], { axis: 1, joined: 6 }),
    ],
    [/Cannot broadcast shapes \[2\] and \[3\]/, [[2], [3]], (b, [x, y]) => ops.add(b, x, y)],
  ];
  for (const [message, shapes, apply] of cases) {
    const b = new GraphBuilder("g");
    const values = inputs(b, ...shapes);
    assert.throws(() => apply(b, values), { name: "RangeError", message });
  }
});
