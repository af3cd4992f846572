import assert from "node:assert/strict";
import { draws } from "../../tests/support/random.ts";
import { dense, type DenseMap, interpret } from "../../tests/support/reference_interpreter.ts";
import { runGraph } from "../../tests/support/run_graph.ts";
import { Runtime } from "../runtime/runtime.ts";
import { assertClose } from "../tensor/assert_close.ts";
import { GraphBuilder } from "./builder.ts";
import type { Symbols } from "./dim.ts";
import type { Graph } from "./ir.ts";
import { linearRecurrence } from "./linear_recurrence.ts";
import { lowerForWebGpu } from "./lower_webgpu.ts";
import * as ops from "./ops.ts";

const runtime = new Runtime({ threads: 2 });
const draw = draws(7);
const random = (...shape: number[]) => dense(shape, () => draw(-2, 2));

// Of the same sums in another order. Measured: 2e-16 in doubles, 2.2e-7 in float32.
const IN_DOUBLES = 1e-13;
const IN_FLOAT32 = 1e-6;

/** Holds the lowered graph's numbers against the graph's own, in doubles and on the CPU. */
function assertSame(graph: Graph, inputs: DenseMap, symbols: Symbols = {}): Graph {
  const lowered = lowerForWebGpu(graph);
  const expected = interpret(graph, inputs, symbols);
  const exact = interpret(lowered, inputs, symbols);
  const onCpu = runGraph(runtime, lowered, inputs, symbols);
  for (const [name, { data }] of Object.entries(expected)) {
    assertClose(exact[name].data, data, { label: name, relativeToMax: IN_DOUBLES });
    assertClose(onCpu[name].data, data, { label: `${name} on the cpu`, relativeToMax: IN_FLOAT32 });
  }
  return lowered;
}

const operations = ({ nodes }: Graph): string[] => nodes.map(({ op }) => op);

Deno.test("lowerForWebGpu() writes FusedMatMul as MatMul, whatever is transposed or scaled", () => {
  const symbols = { length: 5 };
  for (const transA of [false, true]) {
    for (const transB of [false, true]) {
      for (const alpha of [1, 0.3]) {
        const b = new GraphBuilder("product");
        const x = b.input("x", "float32", transA ? [2, "length", 3] : [2, 3, "length"]);
        const y = b.input("y", "float32", transB ? [2, 4, "length"] : [2, "length", 4]);
        b.output("z", ops.matmul(b, x, y, { transA, transB, alpha }));
        const inputs = {
          x: transA ? random(2, 5, 3) : random(2, 3, 5),
          y: transB ? random(2, 4, 5) : random(2, 5, 4),
        };
        const lowered = assertSame(b.build(), inputs, symbols);
        assert.ok(!operations(lowered).includes("FusedMatMul"));
      }
    }
  }
});

Deno.test("lowerForWebGpu() neither transposes nor scales what grows with the square of the tokens", () => {
  const b = new GraphBuilder("attention");
  const weights = b.input("weights", "float32", ["rows", 2, "length", "length"]);
  const dy = b.input("dy", "float32", ["rows", 2, "length", 8]);
  b.output("dv", ops.matmul(b, weights, dy, { transA: true, alpha: 0.5 }));
  const inputs = { weights: random(1, 2, 6, 6), dy: random(1, 2, 6, 8) };
  const lowered = assertSame(b.build(), inputs, { rows: 1, length: 6 });
  for (const { op, inputs: [read] } of lowered.nodes) {
    if (op !== "MatMul") assert.notEqual(read?.name, "weights");
  }
});

Deno.test("lowerForWebGpu() transposes a value once for all that read it", () => {
  const b = new GraphBuilder("twice");
  const x = b.input("x", "float32", [2, 3, 4]);
  const y = b.input("y", "float32", [2, 5, 4]);
  b.output("first", ops.matmul(b, x, y, { transB: true }));
  b.output("second", ops.matmul(b, ops.sigmoid(b, x), y, { transB: true }));
  const lowered = assertSame(b.build(), { x: random(2, 3, 4), y: random(2, 5, 4) });
  assert.deepEqual(operations(lowered).filter((op) => op === "Transpose"), ["Transpose"]);
});

Deno.test("lowerForWebGpu() computes RMSNorm's 1/std apart, where it is read", () => {
  const norm = (outputs: readonly ("y" | "inv")[]): Graph => {
    const b = new GraphBuilder("norm");
    const x = b.input("x", "float32", ["n", 16]);
    const [y, inv] = ops.rmsNorm(b, x, b.input("w", "float32", [16]), 1e-3);
    if (outputs.includes("y")) b.output("y", y);
    if (outputs.includes("inv")) b.output("inv", inv);
    return b.build();
  };
  const inputs = { x: random(3, 16), w: random(16) };
  const both = assertSame(norm(["y", "inv"]), inputs, { n: 3 });
  const single = both.nodes.find(({ op }) => op === "SimplifiedLayerNormalization");
  assert.equal(single?.outputs.length, 1);
  assert.deepEqual(operations(assertSame(norm(["y"]), inputs, { n: 3 })), [
    "SimplifiedLayerNormalization",
  ]);
  const inverse = operations(assertSame(norm(["inv"]), inputs, { n: 3 }));
  assert.deepEqual(inverse, ["ReduceSumSquare", "Add", "Sqrt", "Div"]);
});

Deno.test("lowerForWebGpu() writes LogSoftmax so that large logits do not overflow", () => {
  const b = new GraphBuilder("log_softmax");
  b.output("y", ops.logSoftmax(b, b.input("x", "float32", ["n", 9])));
  assertSame(b.build(), { x: dense([4, 9], () => draw(-200, 200)) }, { n: 4 });
});

Deno.test("lowerForWebGpu() keeps inputs, outputs and what is written in place", () => {
  const b = new GraphBuilder("in_place");
  const x = b.input("x", "float32", [2, 4]);
  const y = b.input("y", "float32", [2, 4, 4]);
  b.output("x_new", ops.mul(b, x, x), { inPlaceOf: x });
  b.output("z", ops.matmul(b, y, y, { transB: true }));
  const graph = b.build();
  const lowered = assertSame(graph, { x: random(2, 4), y: random(2, 4, 4) });
  assert.deepEqual(lowered.inputs, graph.inputs);
  assert.deepEqual(lowered.outputs, graph.outputs);
  assert.deepEqual(lowered.aliases, graph.aliases);
});

Deno.test("lowerForWebGpu() leaves a graph without such operations as it is", () => {
  const b = new GraphBuilder("plain");
  const x = b.input("x", "float32", [2]);
  b.output("y", ops.add(b, x, x));
  const graph = b.build();
  assert.deepEqual(lowerForWebGpu(graph).nodes, graph.nodes);
});

Deno.test("lowerForWebGpu() refuses GroupQueryAttention", () => {
  const b = new GraphBuilder("attention");
  const x = b.input("x", "float32", [2]);
  b.output("y", b.node("GroupQueryAttention", [x], [x], { domain: "com.microsoft" })[0]);
  assert.throws(() => lowerForWebGpu(b.build()), {
    name: "RangeError",
    message: /^Cannot lower GroupQueryAttention \(y\) for webgpu: its kernel is wrong there/,
  });
});

Deno.test("lowerForWebGpu() refuses a recurrence, and says where it runs", () => {
  const b = new GraphBuilder("walk");
  const initial = b.input("initial", "float32", ["n", 2, 3]);
  const transitions = b.input("transitions", "float32", ["steps", "n", 2, 2]);
  const additions = b.input("additions", "float32", ["steps", "n", 2, 3]);
  b.output("states", linearRecurrence(b, { transitions, additions, initial }).before);
  assert.throws(() => lowerForWebGpu(b.build()), {
    name: "RangeError",
    message: /^Cannot lower Scan \(.*\) for webgpu: there is no kernel for it; layers that carry/,
  });
});
