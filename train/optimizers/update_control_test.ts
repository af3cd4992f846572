/** Who decides whether an update is made: a graph, or the host where graphs cannot tell NaN. */

import assert from "node:assert/strict";
import * as ops from "../../ort/graph/ops.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { dense } from "../../tests/support/reference_interpreter.ts";
import { runGraph } from "../../tests/support/run_graph.ts";
import { UpdateControl } from "./update_control.ts";
import { updateControlGraph } from "./update_control_graph.ts";
import type { UpdateRule } from "./update_rule.ts";

/** Keeps 2 to the power of the updates made. */
const RULE: UpdateRule = {
  state: {},
  weightDecay: 0,
  running: { power: (step) => 2 ** step },
  scalars: (b, { running }) => {
    // As on a device that takes any update for one that can be made.
    const power = ops.add(b, running.power, running.power);
    return { power, shown: ops.add(b, power, b.float32(0.5)) };
  },
  update: (_, { p }) => ({ p, state: {} }),
};

Deno.test("updateControlGraph() clips by the norm and 1e-6, as PyTorch does, where the norm is as small", () => {
  using runtime = new Runtime({ threads: 1 });
  const one = (value: number, shape: number[] = []) => dense(shape, () => value);
  for (const [maxNorm, clip] of [[1e-6, 0.5], [1.5e-6, 0.75], [4e-6, 1], [0, 1]]) {
    const graph = updateControlGraph(RULE, maxNorm);
    const given = {
      "step.loss": one(1),
      "step.rate": one(0.1),
      "step.decay": one(1),
      power: one(1),
    };
    const inputs = { ...given, "step.sums": one(1e-12, [1, 1]) };
    const [found] = runGraph(runtime, graph, inputs, { blocks: 1 }).clip.data;
    assert.ok(Math.abs(found / clip - 1) < 1e-5, `${found} for ${maxNorm}`);
  }
});

const SUMS = [NaN, Infinity, 4, 9];

for (const tells of [true, false]) {
  Deno.test(`an update of NaN ${tells ? "is the graph's to guard" : "is held back by the host"}`, async () => {
    const runtime = new Runtime({ threads: 2 });
    runtime.tellsNonFinite = tells;
    using owned = new DisposableStack();
    const scalar = (value: number, shape: number[] = []): Tensor =>
      owned.use(Tensor.from(runtime, "float32", shape, Float32Array.of(value)));
    const sums = scalar(0, [1, 1]);
    const options = { runtime, maxGradNorm: 1, sums, loss: scalar(2), rate: scalar(0.1) };
    using control = new UpdateControl(RULE, { ...options, decay: scalar(1) });
    control.resumeAt(3);
    const result = owned.use(Tensor.allocate(runtime, "float32", [2]));
    let made = 0;
    const updates = [{ run: () => made++ }];
    const counts: number[] = [];
    const powers: number[] = [];
    for (const sum of SUMS) {
      sums.write(Float32Array.of(sum));
      await control.run({ norms: [], updates }, result);
      assert.deepEqual([...result.float32()], [2, Math.sqrt(sum)]);
      counts.push(made);
      powers.push(control.scalars().shown.float32()[0] - 0.5);
    }
    assert.deepEqual(counts, tells ? [1, 2, 3, 4] : [0, 0, 1, 2]);
    assert.deepEqual(powers, tells ? [16, 32, 64, 128] : [16, 16, 16, 32]);
  });
}
