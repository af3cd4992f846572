import assert from "node:assert/strict";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import { writeOnnx } from "../../ort/graph/onnx_writer.ts";
import * as ops from "../../ort/graph/ops.ts";
import { countDispatches } from "./count_dispatches.ts";

Deno.test("countDispatches() counts the nodes of a model that compute", () => {
  const b = new GraphBuilder("graph");
  const x = b.input("x", "float32", [2, 3]);
  const squared = ops.mul(b, x, x);
  b.output("y", ops.reshape(b, ops.add(b, squared, b.float32(1)), [3, 2]));
  b.output("z", ops.unsqueeze(b, squared, 0));
  const graph = b.build();
  const operations = graph.nodes.map(({ op }) => op).sort();
  assert.deepEqual(operations, ["Add", "Mul", "Reshape", "Unsqueeze"]);
  assert.equal(countDispatches(writeOnnx(graph)), 2);
});
