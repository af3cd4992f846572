import assert from "node:assert/strict";
import { GraphBuilder } from "./builder.ts";
import type { Value } from "./ir.ts";
import { swiglu } from "./kernel_ops.ts";
import { writeOnnx } from "./onnx_writer.ts";
import * as ops from "./ops.ts";
import { bytesOf, type SplitGraph, splitSubgraphs } from "./subgraphs.ts";
import { graphText, nodeText } from "../../tests/support/graph_text.ts";

/** The steps in short: a kernel's operation, or a graph's in brackets. */
function outline({ steps }: SplitGraph): string {
  return steps.map(({ graph, kernel }) =>
    kernel?.op ?? `[${graph!.nodes.map(({ op }) => op).join(" ")}]`
  ).join(" ");
}

function start(): { b: GraphBuilder; x: Value; w: Value } {
  const b = new GraphBuilder("g");
  return { b, x: b.input("x", "float32", ["n", 4]), w: b.input("w", "float32", [4, 4]) };
}

Deno.test("splitSubgraphs() leaves a graph without kernels whole", () => {
  const { b, x, w } = start();
  b.output("y", ops.linear(b, ops.sqrt(b, x), w));
  const graph = b.build();
  const { steps, crossing } = splitSubgraphs(graph);
  assert.deepEqual(crossing, []);
  assert.deepEqual(steps.map(({ graph }) => graph), [graph]);
});

Deno.test("splitSubgraphs() launches kernels that wait for the same graph after it, one by one", () => {
  const { b, x, w } = start();
  const [a, c] = [ops.linear(b, x, w), ops.exp(b, x)];
  const first = swiglu(b, a, c);
  b.output("y", ops.add(b, swiglu(b, c, a), swiglu(b, first, a)));
  assert.equal(outline(splitSubgraphs(b.build())), "[Gemm Exp] SwiGLU SwiGLU SwiGLU [Add]");
});

Deno.test("splitSubgraphs() computes what only a late step reads late, and outputs early", () => {
  const { b, x, w } = start();
  const gated = swiglu(b, ops.linear(b, x, w), x);
  const late = ops.exp(b, x);
  b.output("early", ops.sqrt(b, x));
  b.output("y", ops.mul(b, gated, late));
  const subgraphs = splitSubgraphs(b.build());
  assert.equal(outline(subgraphs), "[Gemm Sqrt] SwiGLU [Exp Mul]");
  assert.deepEqual(subgraphs.steps[0].graph!.outputs.map(({ name }) => name), ["Gemm_0", "early"]);
  assert.deepEqual(
    subgraphs.crossing.map(({ value, from, to }) => [value.name, from, to]),
    [["Gemm_0", 0, 1], ["SwiGLU_1", 1, 2]],
  );
});

Deno.test("splitSubgraphs() gives a kernel what was reshaped as it was before", () => {
  const { b, x, w } = start();
  const wide = ops.reshape(b, ops.linear(b, x, w), ["n", 2, 2]);
  const gated = swiglu(b, wide, ops.reshape(b, x, ["n", 2, 2]));
  b.output("y", ops.exp(b, ops.reshape(b, gated, ["n", 4])));
  const { steps } = splitSubgraphs(b.build());
  assert.equal(outline({ steps, crossing: [] }), "[Gemm] SwiGLU [Reshape Exp]");
  assert.deepEqual(steps[1].kernel!.inputs.map((input) => input!.name), ["Gemm_0", "x"]);
});

Deno.test("splitSubgraphs() keeps what is written in place in its subgraph", () => {
  const { b, x, w } = start();
  const made = ops.add(b, x, x);
  b.output("made", made, { inPlaceOf: x });
  b.output("y", ops.linear(b, swiglu(b, ops.exp(b, made), made), w));
  const subgraphs = splitSubgraphs(b.build());
  assert.equal(outline(subgraphs), "[Add Exp] SwiGLU [Gemm]");
  assert.deepEqual(
    subgraphs.steps.map(({ graph }) => graph && [...graph.aliases]),
    [[["made", "x"]], undefined, []],
  );
});

/** The steps in whole: a kernel, or a graph's name, inputs, outputs and nodes. */
function described({ steps, crossing }: SplitGraph): unknown {
  const names = (values: readonly Value[]) => values.map(({ name }) => name).join(" ");
  return {
    steps: steps.map(({ graph, kernel }) =>
      kernel ? nodeText(kernel) : [
        `${graph!.name}: ${names(graph!.inputs)} → ${names(graph!.outputs)}`,
        ...graphText(graph!),
        ...graph!.shapeInputs.keys(),
      ]
    ),
    crossing: crossing.map(({ value, from, to }) => `${value.name} ${from} to ${to}`),
  };
}

Deno.test("splitSubgraphs() gives each step what it reads, leaves and shares memory with", () => {
  const { b, x, w } = start();
  const before = b.input("before", "float32", ["n", 4]);
  const rows = ops.reshape(b, ops.add(b, x, b.float32(2)), ["n", 2, 2]);
  const flat = ops.reshape(b, rows, ["n", 4]);
  const gated = swiglu(b, flat, ops.linear(b, x, w));
  const spread = ops.expand(b, b.float32(3), ["n", 4]);
  b.output("sum", ops.add(b, before, ops.mul(b, gated, spread)), { inPlaceOf: before });
  b.output("gated", gated);
  b.output("shared", ops.mul(b, ops.sub(b, x, b.float32(2)), b.float32(5)));
  assert.deepEqual(described(splitSubgraphs(b.build())), {
    steps: [
      [
        "g.0: x w → Add_0 Gemm_3 shared",
        "Add_0 float32 [n,4] = Add(x, (2))",
        "Gemm_3 float32 [n,4] = Gemm(x, w) transA=0 transB=1",
        "Sub_8 float32 [n,4] = Sub(x, (2))",
        "shared float32 [n,4] = Mul(Sub_8, (5))",
      ],
      "gated float32 [n,4] = ortune:SwiGLU(Add_0, Gemm_3)",
      [
        "g.2: shape:n,4 gated before → sum",
        "Expand_5 float32 [n,4] = Expand((3), shape:n,4)",
        "Mul_6 float32 [n,4] = Mul(gated, Expand_5)",
        "sum float32 [n,4] = Add(before, Mul_6)",
        "sum in before",
        "shape:n,4",
      ],
    ],
    crossing: ["Add_0 0 to 1", "Gemm_3 0 to 1"],
  });
});

Deno.test("splitSubgraphs() keeps what a kernel makes and nobody reads for its own step", () => {
  const { b, x } = start();
  const [first, unread] = b.node("Two", [x], [x, x], { domain: "ortune" });
  const [late] = b.node("One", [first, undefined], [x], { domain: "ortune" });
  b.output("y", ops.exp(b, late));
  b.output("z", ops.exp(b, first));
  assert.equal(unread.name, "Two_0.1");
  assert.deepEqual(described(splitSubgraphs(b.build())), {
    steps: [
      "Two_0 float32 [n,4], Two_0.1 float32 [n,4] = ortune:Two(x)",
      "One_1 float32 [n,4] = ortune:One(Two_0, _)",
      [
        "g.2: One_1 Two_0 → y z",
        "y float32 [n,4] = Exp(One_1)",
        "z float32 [n,4] = Exp(Two_0)",
      ],
    ],
    crossing: ["Two_0 0 to 2", "Two_0.1 0 to 0", "One_1 1 to 2"],
  });
});

Deno.test("splitSubgraphs() computes for two steps at the first that waits, and what a kernel gives, after it", () => {
  const { b, x, w } = start();
  const shared = ops.exp(b, x);
  const first = swiglu(b, shared, ops.linear(b, x, w));
  const second = swiglu(b, ops.mul(b, first, shared), first);
  b.output("y", ops.add(b, ops.sqrt(b, second), ops.log(b, x)));
  assert.deepEqual(described(splitSubgraphs(b.build())), {
    steps: [
      [
        "g.0: x w → Exp_0 Gemm_1",
        "Exp_0 float32 [n,4] = Exp(x)",
        "Gemm_1 float32 [n,4] = Gemm(x, w) transA=0 transB=1",
      ],
      "SwiGLU_2 float32 [n,4] = ortune:SwiGLU(Exp_0, Gemm_1)",
      [
        "g.2: SwiGLU_2 Exp_0 → Mul_3",
        "Mul_3 float32 [n,4] = Mul(SwiGLU_2, Exp_0)",
      ],
      "SwiGLU_4 float32 [n,4] = ortune:SwiGLU(Mul_3, SwiGLU_2)",
      [
        "g.4: SwiGLU_4 x → y",
        "Sqrt_5 float32 [n,4] = Sqrt(SwiGLU_4)",
        "Log_6 float32 [n,4] = Log(x)",
        "y float32 [n,4] = Add(Sqrt_5, Log_6)",
      ],
    ],
    crossing: [
      "Exp_0 0 to 2",
      "Gemm_1 0 to 1",
      "SwiGLU_2 1 to 3",
      "Mul_3 2 to 3",
      "SwiGLU_4 3 to 4",
    ],
  });
});

Deno.test("splitSubgraphs() tells nothing of memory that a subgraph does not read", () => {
  const { b, x, w } = start();
  const gated = swiglu(b, ops.linear(b, x, w), ops.exp(b, x));
  b.output("y", ops.exp(b, gated), { inPlaceOf: x });
  assert.deepEqual(
    splitSubgraphs(b.build()).steps.map(({ graph }) => graph && [...graph.aliases]),
    [
      ...[[], undefined, []],
    ],
  );
});

Deno.test("splitSubgraphs() of nothing has no steps", () => {
  const graph = new GraphBuilder("empty").build();
  assert.deepEqual(splitSubgraphs(graph), { steps: [], crossing: [] });
});

Deno.test("bytesOf() multiplies all sizes by the type's width", () => {
  const { b } = start();
  const shape = ["n", 3, "2*n"];
  assert.equal(bytesOf(b.input("a", "bfloat16", shape), { n: 5 }), 5 * 3 * 10 * 2);
  assert.equal(bytesOf(b.input("c", "int64", []), {}), 8);
});

Deno.test("writeOnnx() refuses a kernel of ortune's own", () => {
  const { b, x } = start();
  b.output("y", swiglu(b, x, x));
  assert.throws(
    () => writeOnnx(b.build()),
    /^Error: Cannot write SwiGLU \(y\) as ONNX: it is a kernel of ortune's own; split the graph/,
  );
});
