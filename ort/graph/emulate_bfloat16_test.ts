import assert from "node:assert/strict";
import { Runtime } from "../runtime/runtime.ts";
import { roundToBfloat16 } from "../tensor/half.ts";
import {
  type Declared,
  graphOf,
  graphText,
  half,
  type Values,
  wide,
} from "../../tests/support/graph_text.ts";
import { draws } from "../../tests/support/random.ts";
import { dense } from "../../tests/support/reference_interpreter.ts";
import type { Dense } from "../../tests/support/dense.ts";
import { runGraph } from "../../tests/support/run_graph.ts";
import { GraphBuilder } from "./builder.ts";
import { emulateBfloat16 } from "./emulate_bfloat16.ts";
import type { Value } from "./ir.ts";
import * as ops from "./ops.ts";

const runtime = new Runtime({ threads: 2 });
const draw = draws(1);
const random = (shape: readonly number[]): Dense =>
  dense(shape, () => roundToBfloat16(draw(-3, 3)));

/** What an emulated graph of some inputs gives. */
function emulated(
  inputs: Readonly<Record<string, Dense>>,
  build: (b: GraphBuilder, values: Readonly<Record<string, Value>>) => Value,
): number[] {
  const b = new GraphBuilder("g");
  const values = Object.fromEntries(
    Object.entries(inputs).map((
      [name, { shape }],
    ) => [name, b.input(name, name === "positions" ? "int64" : "bfloat16", shape)]),
  );
  const y = build(b, values);
  assert.equal(y.dtype, "bfloat16");
  b.output("y", y);
  return [...runGraph(runtime, emulateBfloat16(b.build()), inputs).y.data];
}

Deno.test("emulateBfloat16() rounds after every operation, to nearest even", () => {
  const [x, z] = [random([1000]), random([1000])];
  const got = emulated({ x, z }, (b, { x, z }) => ops.add(b, ops.mul(b, x, z), x));
  const wanted = x.data.map((value, i) =>
    roundToBfloat16(roundToBfloat16(value * z.data[i]) + value)
  );
  assert.deepEqual(got, [...wanted]);
});

Deno.test("emulateBfloat16() accumulates a product in float32 and rounds it once", () => {
  const [x, w, c] = [random([3, 64]), random([2, 64]), random([3, 2])];
  const got = emulated({ x, w, c }, (b, { x, w, c }) => ops.linear(b, x, w, c));
  got.forEach((value, i) => {
    const [row, column] = [Math.floor(i / 2), i % 2];
    let sum = c.data[i];
    for (let k = 0; k < 64; k++) sum += x.data[row * 64 + k] * w.data[column * 64 + k];
    const error = Math.abs(value - sum);
    // Half a step of bfloat16, and a little for float32's own sum.
    assert.ok(error <= Math.abs(sum) * 2 ** -8 + 1e-5, `${value} against ${sum}`);
  });
});

Deno.test("emulateBfloat16() takes a product's factor as bfloat16", () => {
  const [x, z] = [dense([1, 1, 1], () => 1), dense([1, 1, 1], () => 1)];
  const b = new GraphBuilder("g");
  const [left, right] = ["x", "z"].map((name) => b.input(name, "bfloat16", [1, 1, 1]));
  const product = ops.matmul(b, left, right, { alpha: 128 ** -0.5 });
  b.output("y", ops.cast(b, product, "float32"));
  const { y } = runGraph(runtime, emulateBfloat16(b.build()), { x, z });
  assert.equal(y.data[0], 0.08837890625);
});

Deno.test("emulateBfloat16() rounds x·cos and x·sin before their sum", () => {
  const x = random([1, 2, 4]);
  const [cos, sin] = [random([2, 2]), random([2, 2])];
  const positions = dense([1, 2], (i) => i);
  const got = emulated(
    { x, positions, cos, sin },
    (b, { x, positions, cos, sin }) => ops.rope(b, x, { positions, cos, sin, heads: 1 }),
  );
  const wanted = got.map((_, i) => {
    const [row, at] = [Math.floor(i / 4), i % 4];
    const table = row * 2 + at % 2;
    const other = x.data[row * 4 + (at + 2) % 4] * (at < 2 ? -1 : 1);
    const parts = [x.data[i] * cos.data[table], other * sin.data[table]].map(roundToBfloat16);
    return roundToBfloat16(parts[0] + parts[1]);
  });
  assert.deepEqual(got, wanted);
});

Deno.test("emulateBfloat16() normalizes in float32 and rounds once, after the weight", () => {
  const [x, w] = [random([2, 8]), random([8])];
  const got = emulated({ x, w }, (b, { x, w }) => ops.rmsNorm(b, x, w, 1e-6)[0]);
  for (const row of [0, 1]) {
    const values = x.data.slice(row * 8, row * 8 + 8);
    const scale = 1 / Math.sqrt(values.reduce((sum, each) => sum + each * each, 0) / 8 + 1e-6);
    const wanted = values.map((each, i) => roundToBfloat16(each * scale * w.data[i]));
    assert.deepEqual(got.slice(row * 8, row * 8 + 8), [...wanted]);
  }
});

Deno.test("emulateBfloat16() keeps inputs, outputs and what is written in place", () => {
  const b = new GraphBuilder("g");
  const [x, w] = [b.input("x", "bfloat16", ["n", 4]), b.input("w", "bfloat16", [4, 4])];
  const before = b.input("before", "bfloat16", [4, 4]);
  b.output("after", ops.gemm(b, x, x, { transA: true, c: before }), { inPlaceOf: before });
  const y = ops.linear(b, x, w);
  b.output("y", y);
  b.output("z", ops.softmax(b, ops.reshape(b, y, ["n", 2, 2])));
  const graph = b.build();
  const emulation = emulateBfloat16(graph);
  assert.deepEqual(emulation.inputs, graph.inputs);
  assert.deepEqual(emulation.outputs, graph.outputs);
  assert.deepEqual(emulation.aliases, graph.aliases);
  const inputs = { x: random([3, 4]), w: random([4, 4]), before: random([4, 4]) };
  const { y: got, z } = runGraph(runtime, emulation, inputs, { n: 3 });
  // What was rounded on its way out is what later nodes read.
  assert.ok([...got.data].every((value) => value === roundToBfloat16(value)));
  assert.deepEqual(z.shape, [3, 2, 2]);
});

Deno.test("emulateBfloat16() leaves a float32 graph as it is", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", ["n"]);
  b.output("y", ops.add(b, ops.mul(b, x, b.float32(2)), x));
  const graph = b.build();
  assert.deepEqual(emulateBfloat16(graph), graph);
});

/** Two heads of 6 numbers, of which twice `width` are turned. */
const ROTARY = (width: number): Declared => ({
  ...{ x: half(1, "n", 12), p: ["int64", [1, "n"]] },
  ...{ cos: half("m", width), sin: half("m", width) },
});

/** A graph, and the nodes that it becomes. */
interface Written {
  readonly inputs: Declared;
  readonly build: (b: GraphBuilder, v: Values) => Value | readonly Value[];
  readonly nodes: readonly string[];
}

const WRITTEN: Readonly<Record<string, Written>> = {
  "every operation is rounded and widened again, each value once": {
    inputs: { x: half("n"), z: half("n") },
    build: (b, { x, z }) => ops.add(b, ops.mul(b, x, z), x),
    nodes: [
      "x:float32 float32 [n] = Cast(x) to=1",
      "z:float32 float32 [n] = Cast(z) to=1",
      "Mul_0:float32 float32 [n] = Mul(x:float32, z:float32)",
      "Mul_0 bfloat16 [n] = Cast(Mul_0:float32) to=16",
      "Mul_0:float32.1 float32 [n] = Cast(Mul_0) to=1",
      "y:float32 float32 [n] = Add(Mul_0:float32.1, x:float32)",
      "y bfloat16 [n] = Cast(y:float32) to=16",
    ],
  },
  "what moves elements rounds nothing": {
    inputs: { x: half("n", 4) },
    build: (b, { x }) => ops.exp(b, ops.transpose(b, ops.reshape(b, x, ["n", 2, 2]), [0, 2, 1])),
    nodes: [
      "x:float32 float32 [n,4] = Cast(x) to=1",
      "Reshape_0:float32 float32 [n,2,2] = Reshape(x:float32, int64[-1 2 2])",
      "Transpose_1:float32 float32 [n,2,2] = Transpose(Reshape_0:float32) perm=[0 2 1]",
      "y:float32 float32 [n,2,2] = Exp(Transpose_1:float32)",
      "y bfloat16 [n,2,2] = Cast(y:float32) to=16",
    ],
  },
  "a moved value that is an output is narrowed, and widened for its readers": {
    inputs: { x: half("n", 4) },
    build: (b, { x }) => {
      const moved = ops.reshape(b, x, ["n", 2, 2]);
      return [ops.transpose(b, moved, [0, 2, 1]), moved];
    },
    nodes: [
      "x:float32 float32 [n,4] = Cast(x) to=1",
      "y1:float32 float32 [n,2,2] = Reshape(x:float32, int64[-1 2 2])",
      "y1 bfloat16 [n,2,2] = Cast(y1:float32) to=16",
      "y1:float32.1 float32 [n,2,2] = Cast(y1) to=1",
      "y:float32 float32 [n,2,2] = Transpose(y1:float32.1) perm=[0 2 1]",
      "y bfloat16 [n,2,2] = Cast(y:float32) to=16",
    ],
  },
  "constants are widened as they are": {
    inputs: { x: half(2) },
    build: (b, { x }) => ops.mul(b, x, b.float("bfloat16", [1, 3])),
    nodes: [
      "x:float32 float32 [2] = Cast(x) to=1",
      "y:float32 float32 [2] = Mul(x:float32, [1 3])",
      "y bfloat16 [2] = Cast(y:float32) to=16",
    ],
  },
  "the factor of a product is rounded": {
    inputs: { x: half(1, 2, 3), z: half(1, 3, 2) },
    build: (b, { x, z }) => ops.matmul(b, x, z, { alpha: 1 / 3 }),
    nodes: [
      "x:float32 float32 [1,2,3] = Cast(x) to=1",
      "z:float32 float32 [1,3,2] = Cast(z) to=1",
      "y:float32 float32 [1,2,2] = com.microsoft:FusedMatMul(x:float32, z:float32) transA=0 " +
      "transB=0 alpha=0.333984375f",
      "y bfloat16 [1,2,2] = Cast(y:float32) to=16",
    ],
  },
  "a cast to bfloat16 stays": {
    inputs: { x: wide(2) },
    build: (b, { x }) => ops.exp(b, ops.cast(b, x, "bfloat16")),
    nodes: [
      "Cast_0 bfloat16 [2] = Cast(x) to=16",
      "Cast_0:float32 float32 [2] = Cast(Cast_0) to=1",
      "y:float32 float32 [2] = Exp(Cast_0:float32)",
      "y bfloat16 [2] = Cast(y:float32) to=16",
    ],
  },
  "a cast to float32 is the widened value": {
    inputs: { x: half(2) },
    build: (b, { x }) => ops.exp(b, ops.cast(b, x, "float32")),
    nodes: [
      "x:float32 float32 [2] = Cast(x) to=1",
      "Cast_0 float32 [2] = Identity(x:float32)",
      "y float32 [2] = Exp(Cast_0)",
    ],
  },
  "a cast to float32 that is an output stays": {
    inputs: { x: half(2) },
    build: (b, { x }) => ops.cast(b, x, "float32"),
    nodes: [
      "x:float32 float32 [2] = Cast(x) to=1",
      "y float32 [2] = Cast(x:float32) to=1",
    ],
  },
  "a cast to another type is of the widened value": {
    inputs: { x: half(2) },
    build: (b, { x }) => ops.cast(b, x, "int32"),
    nodes: [
      "x:float32 float32 [2] = Cast(x) to=1",
      "y int32 [2] = Cast(x:float32) to=6",
    ],
  },
  "outputs of float32 stay as they are": {
    inputs: { x: half("n", 4), w: half(4) },
    build: (b, { x, w }) => ops.rmsNorm(b, x, w, 0.5),
    nodes: [
      "x:float32 float32 [n,4] = Cast(x) to=1",
      "w:float32 float32 [4] = Cast(w) to=1",
      "y:float32 float32 [n,4], y1 float32 [n,1] = SimplifiedLayerNormalization(x:float32, " +
      "w:float32) axis=-1 epsilon=0.5f stash_type=1",
      "y bfloat16 [n,4] = Cast(y:float32) to=16",
    ],
  },
  "names that are taken are passed over": {
    inputs: { x: half(2), "x:float32": wide(2) },
    build: (b, v) => ops.add(b, ops.exp(b, v.x), ops.cast(b, v["x:float32"], "bfloat16")),
    nodes: [
      "x:float32.1 float32 [2] = Cast(x) to=1",
      "Exp_0:float32 float32 [2] = Exp(x:float32.1)",
      "Exp_0 bfloat16 [2] = Cast(Exp_0:float32) to=16",
      "Cast_1 bfloat16 [2] = Cast(x:float32) to=16",
      "Exp_0:float32.1 float32 [2] = Cast(Exp_0) to=1",
      "Cast_1:float32 float32 [2] = Cast(Cast_1) to=1",
      "y:float32 float32 [2] = Add(Exp_0:float32.1, Cast_1:float32)",
      "y bfloat16 [2] = Cast(y:float32) to=16",
    ],
  },
  "inputs left out stay so": {
    inputs: { x: half(2) },
    build: (b, { x }) => b.node("Clip", [x, undefined, x], [x])[0],
    nodes: [
      "x:float32 float32 [2] = Cast(x) to=1",
      "y:float32 float32 [2] = Clip(x:float32, _, x:float32)",
      "y bfloat16 [2] = Cast(y:float32) to=16",
    ],
  },
  "rotations round both products, with one zero for all": {
    inputs: { ...ROTARY(3), z: half(1, "n", 12) },
    build: (b, { x, z, p, cos, sin }) =>
      [x, z].map((each) => ops.rope(b, each, { positions: p, cos, sin, heads: 2 })),
    nodes: [
      "x:float32 float32 [1,n,12] = Cast(x) to=1",
      "cos:float32 float32 [m,3] = Cast(cos) to=1",
      "sin:float32 float32 [m,3] = Cast(sin) to=1",
      "cos:float32:float32 float32 [m,3] = Mul(sin:float32, (0))",
      "y:float32 float32 [1,n,12] = com.microsoft:RotaryEmbedding(x:float32, p, cos:float32, " +
      "cos:float32:float32)",
      "y:bfloat16 bfloat16 [1,n,12] = Cast(y:float32) to=16",
      "y:bfloat16:float32 float32 [1,n,12] = Cast(y:bfloat16) to=1",
      "sin:float32:float32 float32 [m,3] = Mul(cos:float32, (0))",
      "y:float32.1 float32 [1,n,12] = com.microsoft:RotaryEmbedding(x:float32, p, " +
      "sin:float32:float32, sin:float32)",
      "y:bfloat16.1 bfloat16 [1,n,12] = Cast(y:float32.1) to=16",
      "y:bfloat16.1:float32 float32 [1,n,12] = Cast(y:bfloat16.1) to=1",
      "y:float32.2 float32 [1,n,12] = Add(y:bfloat16:float32, y:bfloat16.1:float32)",
      "y bfloat16 [1,n,12] = Cast(y:float32.2) to=16",
      "z:float32 float32 [1,n,12] = Cast(z) to=1",
      "cos:float32:float32.1 float32 [m,3] = Mul(sin:float32, (0))",
      "y1:float32 float32 [1,n,12] = com.microsoft:RotaryEmbedding(z:float32, p, cos:float32, " +
      "cos:float32:float32.1)",
      "y1:bfloat16 bfloat16 [1,n,12] = Cast(y1:float32) to=16",
      "y1:bfloat16:float32 float32 [1,n,12] = Cast(y1:bfloat16) to=1",
      "sin:float32:float32.1 float32 [m,3] = Mul(cos:float32, (0))",
      "y1:float32.1 float32 [1,n,12] = com.microsoft:RotaryEmbedding(z:float32, p, " +
      "sin:float32:float32.1, sin:float32)",
      "y1:bfloat16.1 bfloat16 [1,n,12] = Cast(y1:float32.1) to=16",
      "y1:bfloat16.1:float32 float32 [1,n,12] = Cast(y1:bfloat16.1) to=1",
      "y1:float32.2 float32 [1,n,12] = Add(y1:bfloat16:float32, y1:bfloat16.1:float32)",
      "y1 bfloat16 [1,n,12] = Cast(y1:float32.2) to=16",
    ],
  },
  "what of each head is not turned is in one of the products only": {
    inputs: ROTARY(2),
    build: (b, { x, p, cos, sin }) => ops.rope(b, x, { positions: p, cos, sin, heads: 2 }),
    nodes: [
      "x:float32 float32 [1,n,12] = Cast(x) to=1",
      "cos:float32 float32 [m,2] = Cast(cos) to=1",
      "sin:float32 float32 [m,2] = Cast(sin) to=1",
      "cos:float32:float32 float32 [m,2] = Mul(sin:float32, (0))",
      "y:float32 float32 [1,n,12] = com.microsoft:RotaryEmbedding(x:float32, p, cos:float32, " +
      "cos:float32:float32) num_heads=2 rotary_embedding_dim=4",
      "y:bfloat16 bfloat16 [1,n,12] = Cast(y:float32) to=16",
      "y:bfloat16:float32 float32 [1,n,12] = Cast(y:bfloat16) to=1",
      "sin:float32:float32 float32 [m,2] = Mul(cos:float32, (0))",
      "y:float32.1 float32 [1,n,12] = com.microsoft:RotaryEmbedding(x:float32, p, " +
      "sin:float32:float32, sin:float32) num_heads=2 rotary_embedding_dim=4",
      "y:bfloat16.1 bfloat16 [1,n,12] = Cast(y:float32.1) to=16",
      "y:bfloat16.1:float32 float32 [1,n,12] = Cast(y:bfloat16.1) to=1",
      "sin:float32:float32.1 float32 [m,2] = Mul(sin:float32, (0))",
      "y:float32.2 float32 [1,n,12] = com.microsoft:RotaryEmbedding(x:float32, p, " +
      "sin:float32:float32.1, sin:float32:float32.1) num_heads=2 rotary_embedding_dim=4",
      "y:float32.3 float32 [1,n,12] = Sub(y:bfloat16.1:float32, y:float32.2)",
      "y:float32.4 float32 [1,n,12] = Add(y:bfloat16:float32, y:float32.3)",
      "y bfloat16 [1,n,12] = Cast(y:float32.4) to=16",
    ],
  },
};

for (const [name, { inputs, build, nodes }] of Object.entries(WRITTEN)) {
  Deno.test(`emulateBfloat16(): ${name}`, () => {
    assert.deepEqual(graphText(emulateBfloat16(graphOf(inputs, build))), nodes);
  });
}

Deno.test("emulateBfloat16() adds one zero for all rotations, beside the graph's constants", () => {
  const graph = graphOf({ ...ROTARY(3), z: half(1, "n", 12) }, (b, { x, z, p, cos, sin }) => {
    const sum = ops.mul(b, z, b.float("bfloat16", 2));
    return [x, sum].map((each) => ops.rope(b, each, { positions: p, cos, sin, heads: 2 }));
  });
  const { constants } = emulateBfloat16(graph);
  assert.deepEqual(constants.map(({ value, data }) => [value, new Float32Array(data.buffer)[0]]), [
    [{ name: "const_0", dtype: "float32", shape: [] }, 2],
    [{ name: "emulated:zero", dtype: "float32", shape: [] }, 0],
  ]);
});
