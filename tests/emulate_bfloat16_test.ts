import assert from "node:assert/strict";
import { Runtime } from "../ort/runtime/runtime.ts";
import { roundToBfloat16 } from "../ort/tensor/half.ts";
import { draws } from "./support/random.ts";
import { dense } from "./support/reference_interpreter.ts";
import type { Dense } from "./support/dense.ts";
import { runGraph } from "./support/run_graph.ts";
import { GraphBuilder } from "../ort/graph/builder.ts";
import { emulateBfloat16 } from "../ort/graph/emulate_bfloat16.ts";
import type { Value } from "../ort/graph/ir.ts";
import * as ops from "../ort/graph/ops.ts";

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
