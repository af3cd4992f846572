import assert from "node:assert/strict";
import {
  type Declared,
  graphOf,
  graphText,
  type Values,
  wide,
} from "../../tests/support/graph_text.ts";
import { draws } from "../../tests/support/random.ts";
import { dense, type DenseMap, interpret } from "../../tests/support/reference_interpreter.ts";
import { runGraph } from "../../tests/support/run_graph.ts";
import { Runtime } from "../runtime/runtime.ts";
import { assertClose } from "../tensor/assert_close.ts";
import { GraphBuilder } from "./builder.ts";
import type { Symbols } from "./dim.ts";
import type { Graph, Value } from "./ir.ts";
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

/** A graph, and the nodes that it becomes. */
interface Written {
  readonly inputs: Declared;
  readonly build: (b: GraphBuilder, v: Values) => Value | readonly Value[];
  readonly nodes: readonly string[];
}

const WRITTEN: Readonly<Record<string, Written>> = {
  "a product of operands as they stand": {
    inputs: { x: wide(2, 3, 5), z: wide(2, 5, 4) },
    build: (b, { x, z }) => ops.matmul(b, x, z, { transA: false, transB: false, alpha: 1 }),
    nodes: [
      "y float32 [2,3,4] = MatMul(x, z)",
    ],
  },
  "a second operand that is transposed, and a factor on it": {
    inputs: { x: wide(2, 3, 5), z: wide(2, 4, 5) },
    build: (b, { x, z }) => ops.matmul(b, x, z, { transA: false, transB: true, alpha: 0.5 }),
    nodes: [
      "z:Mul float32 [2,4,5] = Mul(z, (0.5))",
      "z:Mul:Transpose float32 [2,5,4] = Transpose(z:Mul) perm=[0 2 1]",
      "y float32 [2,3,4] = MatMul(x, z:Mul:Transpose)",
    ],
  },
  "a first operand that is transposed, and a factor": {
    inputs: { x: wide(2, 5, 3), z: wide(2, 5, 4) },
    build: (b, { x, z }) => ops.matmul(b, x, z, { transA: true, transB: false, alpha: 0.5 }),
    nodes: [
      "z:Mul float32 [2,5,4] = Mul(z, (0.5))",
      "x:Transpose float32 [2,3,5] = Transpose(x) perm=[0 2 1]",
      "y float32 [2,3,4] = MatMul(x:Transpose, z:Mul)",
    ],
  },
  "two transposed operands": {
    inputs: { x: wide(2, 5, 3), z: wide(2, 4, 5) },
    build: (b, { x, z }) => ops.matmul(b, x, z, { transA: true, transB: true, alpha: 1 }),
    nodes: [
      "x:Transpose float32 [2,3,5] = Transpose(x) perm=[0 2 1]",
      "z:Transpose float32 [2,5,4] = Transpose(z) perm=[0 2 1]",
      "y float32 [2,3,4] = MatMul(x:Transpose, z:Transpose)",
    ],
  },
  "scores, with the factor on the keys": {
    inputs: { q: wide("r", "l", 4), k: wide("r", "l", 4) },
    build: (b, { q, k }) => ops.matmul(b, q, k, { transB: true, alpha: 0.5 }),
    nodes: [
      "k:Mul float32 [r,l,4] = Mul(k, (0.5))",
      "k:Mul:Transpose float32 [r,4,l] = Transpose(k:Mul) perm=[0 2 1]",
      "y float32 [r,l,l] = MatMul(q, k:Mul:Transpose)",
    ],
  },
  "mixed values, with the factor on the smaller": {
    inputs: { w: wide("r", "l", "l"), v: wide("r", "l", 4) },
    build: (b, { w, v }) => ops.matmul(b, w, v, { alpha: 0.5 }),
    nodes: [
      "v:Mul float32 [r,l,4] = Mul(v, (0.5))",
      "y float32 [r,l,4] = MatMul(w, v:Mul)",
    ],
  },
  "a large transposed operand, for which the smaller and the product are": {
    inputs: { w: wide("r", "l", "l"), v: wide("r", "l", 4) },
    build: (b, { w, v }) => ops.matmul(b, w, v, { transA: true, alpha: 0.5 }),
    nodes: [
      "v:Mul float32 [r,l,4] = Mul(v, (0.5))",
      "v:Mul:Transpose float32 [r,4,l] = Transpose(v:Mul) perm=[0 2 1]",
      "y:MatMul float32 [r,4,l] = MatMul(v:Mul:Transpose, w)",
      "y float32 [r,l,4] = Transpose(y:MatMul) perm=[0 2 1]",
    ],
  },
  "two transposed operands, one of them large": {
    inputs: { w: wide("r", "l", "l"), v: wide("r", 4, "l") },
    build: (b, { w, v }) => ops.matmul(b, w, v, { transA: true, transB: true, alpha: 0.5 }),
    nodes: [
      "v:Mul float32 [r,4,l] = Mul(v, (0.5))",
      "w:Transpose float32 [r,l,l] = Transpose(w) perm=[0 2 1]",
      "v:Mul:Transpose float32 [r,l,4] = Transpose(v:Mul) perm=[0 2 1]",
      "y float32 [r,l,4] = MatMul(w:Transpose, v:Mul:Transpose)",
    ],
  },
  "a factor on the first operand where it alone is small": {
    inputs: { q: wide("r", 4, 4), k: wide("r", 4, "l") },
    build: (b, { q, k }) => ops.matmul(b, q, k, { transA: true, alpha: 0.5 }),
    nodes: [
      "q:Mul float32 [r,4,4] = Mul(q, (0.5))",
      "q:Mul:Transpose float32 [r,4,4] = Transpose(q:Mul) perm=[0 2 1]",
      "y float32 [r,4,l] = MatMul(q:Mul:Transpose, k)",
    ],
  },
  "two large operands, the first transposed": {
    inputs: { q: wide("r", "l", "l"), k: wide("r", "l", "l") },
    build: (b, { q, k }) => ops.matmul(b, q, k, { transA: true, alpha: 0.5 }),
    nodes: [
      "k:Mul float32 [r,l,l] = Mul(k, (0.5))",
      "q:Transpose float32 [r,l,l] = Transpose(q) perm=[0 2 1]",
      "y float32 [r,l,l] = MatMul(q:Transpose, k:Mul)",
    ],
  },
  "what several products read is scaled and transposed once for each factor": {
    inputs: { x: wide(2, 3, 4), z: wide(2, 5, 4) },
    build: (
      b,
      { x, z },
    ) => [
      ops.matmul(b, x, z, { transB: true, alpha: 0.5 }),
      ops.matmul(b, ops.exp(b, x), z, { transB: true, alpha: 0.5 }),
      ops.matmul(b, x, z, { transB: true, alpha: 0.25 }),
    ],
    nodes: [
      "z:Mul float32 [2,5,4] = Mul(z, (0.5))",
      "z:Mul:Transpose float32 [2,4,5] = Transpose(z:Mul) perm=[0 2 1]",
      "y float32 [2,3,5] = MatMul(x, z:Mul:Transpose)",
      "Exp_1 float32 [2,3,4] = Exp(x)",
      "y1 float32 [2,3,5] = MatMul(Exp_1, z:Mul:Transpose)",
      "z:Mul.1 float32 [2,5,4] = Mul(z, (0.25))",
      "z:Mul.1:Transpose float32 [2,4,5] = Transpose(z:Mul.1) perm=[0 2 1]",
      "y2 float32 [2,3,5] = MatMul(x, z:Mul.1:Transpose)",
    ],
  },
  "RMSNorm with both outputs, 1/\u221a(\u03a3x\u00b2/4 + 0.5) as \u221a4/\u221a(\u03a3x\u00b2 + 4 \u00b7 0.5)":
    {
      inputs: { x: wide("n", 4), w: wide(4) },
      build: (b, { x, w }) => ops.rmsNorm(b, x, w, 0.5),
      nodes: [
        "y1:ReduceSumSquare float32 [n,1] = ReduceSumSquare(x, int64[-1]) keepdims=1",
        "y1:Add float32 [n,1] = Add(y1:ReduceSumSquare, (2))",
        "y1:Sqrt float32 [n,1] = Sqrt(y1:Add)",
        "y1 float32 [n,1] = Div((2), y1:Sqrt)",
        "y float32 [n,4] = SimplifiedLayerNormalization(x, w) axis=-1 epsilon=0.5f stash_type=1",
      ],
    },
  "RMSNorm whose second output alone is read, by a node": {
    inputs: { x: wide("n", 4), w: wide(4) },
    build: (b, { x, w }) => ops.exp(b, ops.rmsNorm(b, x, w, 0.5)[1]),
    nodes: [
      "SimplifiedLayerNormalization_0.1:ReduceSumSquare float32 [n,1] = ReduceSumSquare(x, " +
      "int64[-1]) keepdims=1",
      "SimplifiedLayerNormalization_0.1:Add float32 [n,1] = " +
      "Add(SimplifiedLayerNormalization_0.1:ReduceSumSquare, (2))",
      "SimplifiedLayerNormalization_0.1:Sqrt float32 [n,1] = " +
      "Sqrt(SimplifiedLayerNormalization_0.1:Add)",
      "SimplifiedLayerNormalization_0.1 float32 [n,1] = Div((2), " +
      "SimplifiedLayerNormalization_0.1:Sqrt)",
      "y float32 [n,1] = Exp(SimplifiedLayerNormalization_0.1)",
    ],
  },
  "LogSoftmax of three dimensions": {
    inputs: { x: wide("n", 2, 4) },
    build: (b, { x }) => ops.logSoftmax(b, x),
    nodes: [
      "y:ReduceMax float32 [n,2,1] = ReduceMax(x, int64[-1]) keepdims=1",
      "y:Sub float32 [n,2,4] = Sub(x, y:ReduceMax)",
      "y:Exp float32 [n,2,4] = Exp(y:Sub)",
      "y:ReduceSum float32 [n,2,1] = ReduceSum(y:Exp, int64[-1]) keepdims=1",
      "y:Log float32 [n,2,1] = Log(y:ReduceSum)",
      "y float32 [n,2,4] = Sub(y:Sub, y:Log)",
    ],
  },
  "names that are taken are passed over": {
    inputs: { x: wide(3, 2), "x:Transpose": wide(2), "x:Transpose.1": wide(2) },
    build: (
      b,
      v,
    ) => [
      ops.matmul(b, v.x, v.x, { transA: true }),
      ops.add(b, v["x:Transpose"], v["x:Transpose.1"]),
    ],
    nodes: [
      "x:Transpose.2 float32 [2,3] = Transpose(x) perm=[1 0]",
      "y float32 [2,2] = MatMul(x:Transpose.2, x)",
      "y1 float32 [2] = Add(x:Transpose, x:Transpose.1)",
    ],
  },
};

for (const [name, { inputs, build, nodes }] of Object.entries(WRITTEN)) {
  Deno.test(`lowerForWebGpu() writes ${name}`, () => {
    assert.deepEqual(graphText(lowerForWebGpu(graphOf(inputs, build))), nodes);
  });
}

Deno.test("lowerForWebGpu() refuses RMSNorm in place whose 1/std is read, for which x would be gone", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", ["n", 4]);
  const [y, inv] = ops.rmsNorm(b, x, b.input("w", "float32", [4]), 1e-6);
  b.output("y", y, { inPlaceOf: x });
  b.output("inv", inv);
  const graph = b.build();
  assert.throws(() => lowerForWebGpu(graph), {
    message:
      "Cannot write y in place of x in graph g: ReduceSumSquare (inv:ReduceSumSquare) may read it " +
      "after it was overwritten; use a buffer of its own",
  });
});

Deno.test("lowerForWebGpu() takes a product without attributes as it stands, by a factor of 1", () => {
  const graph = graphOf(
    { x: wide(2, 3), z: wide(3, 4) },
    (b, { x, z }) =>
      b.node("FusedMatMul", [x, z], [{ dtype: "float32", shape: [2, 4] }], {
        domain: "com.microsoft",
      }),
  );
  assert.deepEqual(graphText(lowerForWebGpu(graph)), ["y float32 [2,4] = MatMul(x, z)"]);
});
