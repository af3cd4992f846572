import assert from "node:assert/strict";
import { GraphBuilder } from "./builder.ts";
import type { Value } from "./ir.ts";
import { swiglu } from "./kernel_ops.ts";
import { writeOnnx } from "./onnx_writer.ts";
import * as ops from "./ops.ts";
import { type SplitGraph, splitSubgraphs } from "./subgraphs.ts";

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

Deno.test("writeOnnx() refuses a kernel of ortune's own", () => {
  const { b, x } = start();
  b.output("y", swiglu(b, x, x));
  assert.throws(
    () => writeOnnx(b.build()),
    /^Error: Cannot write SwiGLU \(y\) as ONNX: it is a kernel of ortune's own; split the graph/,
  );
});
