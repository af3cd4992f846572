import assert from "node:assert/strict";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import * as ops from "../../ort/graph/ops.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
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
