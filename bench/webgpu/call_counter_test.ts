import assert from "node:assert/strict";
import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import * as ops from "../../ort/graph/ops.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { CallCounter, noCalls } from "./call_counter.ts";

Deno.test("CallCounter counts the runs of a runtime, what they dispatch and what is bound", () => {
  using runtime = new Runtime({ threads: 1 });
  const counter = new CallCounter(runtime);
  const b = new GraphBuilder("graph");
  const x = b.input("x", "float32", [2]);
  b.output("y", ops.add(b, ops.mul(b, x, x), x));
  using graph = new CompiledGraph(runtime, b.build());
  using input = Tensor.from(runtime, "float32", [2], Float32Array.of(1, 2));
  using output = Tensor.allocate(runtime, "float32", [2]);
  counter.take();
  for (let i = 0; i < 3; i++) graph.run({ x: input, y: output });
  const { runMilliseconds, ...counts } = counter.take();
  assert.ok(runMilliseconds > 0);
  const { runMilliseconds: _, ...none } = noCalls();
  assert.deepEqual(counts, { ...none, runs: 3, dispatches: 6, bindings: 6 });
  assert.deepEqual(counter.take(), noCalls());
});
