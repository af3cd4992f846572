import assert from "node:assert/strict";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import * as ops from "../../ort/graph/ops.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { SpareTensors } from "../../ort/runtime/spare_tensors.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { CompiledGraph } from "./compiled_graph.ts";

const runtime = new Runtime({ threads: 2 });

/** y = transposed x and sum += x, with a shape input. */
function makeGraph(): CompiledGraph {
  const b = new GraphBuilder("graph");
  const x = b.input("x", "float32", ["length*rows", 2]);
  const sum = b.input("sum_before", "float32", ["length*rows", 2]);
  const grid = ops.reshape(b, x, ["rows", "length", 2]);
  b.output("y", ops.transpose(b, grid, [1, 0, 2]));
  b.output("sum", ops.add(b, sum, x), { inPlaceOf: sum });
  return new CompiledGraph(runtime, b.build());
}

function floats(shape: readonly number[], fill: (i: number) => number): Tensor {
  const length = shape.reduce((product, size) => product * size, 1);
  return Tensor.from(runtime, "float32", shape, Float32Array.from({ length }, (_, i) => fill(i)));
}

Deno.test("a graph that writeOnnx() wrote runs with its shape inputs filled from symbols", () => {
  using graph = makeGraph();
  for (const [rows, length] of [[2, 3], [3, 2]]) {
    using x = floats([6, 2], (i) => i);
    using sum = floats([6, 2], () => 100);
    using y = floats([length, rows, 2], () => NaN);
    graph.run({ x, sum_before: sum, y }, { rows, length });
    const expected = Array.from({ length: 12 }, (_, i) => {
      const [column, row] = [Math.floor(i / 2 / rows), Math.floor(i / 2) % rows];
      return (row * length + column) * 2 + i % 2;
    });
    assert.deepEqual([...y.float32()], expected);
    assert.deepEqual([...sum.float32()], Array.from({ length: 12 }, (_, i) => 100 + i));
  }
});

Deno.test("run() names all inputs and outputs without a tensor, but no shape input", () => {
  using graph = makeGraph();
  assert.throws(() => graph.run({}, { rows: 1, length: 1 }), {
    message: "Cannot run graph graph: no tensor for x, sum_before, y, sum",
  });
  using x = floats([1, 2], () => 0);
  assert.throws(() => graph.run({ x, sum_before: x }, { rows: 1, length: 1 }), {
    message: "Cannot run graph graph: no tensor for y",
  });
});

Deno.test("a binding keeps what was bound and takes the rest later", () => {
  using graph = makeGraph();
  using sum = floats([2, 2], () => 0);
  using binding = graph.bind({ sum_before: sum });
  using x = floats([2, 2], (i) => i);
  using y = floats([2, 1, 2], () => NaN);
  for (let run = 1; run <= 3; run++) {
    graph.bindMore(binding, { x, y }, { rows: 1, length: 2 });
    binding.run();
    assert.deepEqual([...sum.float32()], [0, run, 2 * run, 3 * run]);
  }
});

Deno.test("a symbol without a value is named", () => {
  using graph = makeGraph();
  using x = floats([2, 2], () => 0);
  using y = floats([2, 1, 2], () => 0);
  assert.throws(() => graph.run({ x, sum_before: x, y }, { rows: 1 }), /no value for "length"/);
});

Deno.test("outputs in place are written elsewhere and copied where the device cannot write them so", () => {
  const apart = new Runtime({ threads: 2 });
  apart.writesInPlace = false;
  const b = new GraphBuilder("apart");
  const x = b.input("x", "float32", ["n"]);
  const [first, second] = ["first", "second"].map((name) => b.input(name, "float32", ["n"]));
  b.output("first_new", ops.add(b, first, x), { inPlaceOf: first });
  b.output("second_new", ops.mul(b, second, x), { inPlaceOf: second });
  const other = new GraphBuilder("other");
  const sum = other.input("sum", "float32", ["n"]);
  other.output("sum_new", ops.add(other, sum, sum), { inPlaceOf: sum });
  {
    using graph = new CompiledGraph(apart, b.build());
    using doubling = new CompiledGraph(apart, other.build());
    using spares = SpareTensors.of(apart);
    const tensor = (...values: number[]): Tensor =>
      Tensor.from(apart, "float32", [values.length], Float32Array.from(values));
    using x = tensor(2, 3);
    using one = tensor(10, 20);
    using two = tensor(1, 2);
    using binding = graph.bind({ x, first: one, second: two });
    for (let i = 0; i < 2; i++) binding.run();
    assert.deepEqual([[...one.float32()], [...two.float32()]], [[14, 26], [4, 18]]);
    doubling.run({ sum: one });
    assert.deepEqual([...one.float32()], [28, 52]);
    // Both outputs of the first graph at once; the second graph's is one of them.
    assert.equal(spares.bytes, 2 * 8);
    using longer = tensor(1, 2, 3);
    doubling.run({ sum: longer });
    assert.deepEqual([...longer.float32()], [2, 4, 6]);
    assert.equal(spares.bytes, 2 * 8 + 12);
  }
  using spares = SpareTensors.of(apart);
  assert.equal(spares.bytes, 0);
});
