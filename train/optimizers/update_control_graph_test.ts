import assert from "node:assert/strict";
import { dense, interpret } from "../../tests/support/reference_interpreter.ts";
import { isMade, lossSumGraph, RESULT_WIDTH, scalarName } from "./update_control_graph.ts";

Deno.test("isMade() tells whether loss and norm have a sum in float32", () => {
  assert.equal(RESULT_WIDTH, 2);
  for (const [loss, norm] of [[0, 0], [-1, 2], [3e38, 0], [1.5e38, 1.5e38], [-3e38, 3e38]]) {
    assert.ok(isMade(loss, norm), `${loss}, ${norm}`);
  }
  for (
    const [loss, norm] of [
      ...[[NaN, 1], [1, NaN], [Infinity, 1], [1, Infinity], [-Infinity, 1], [-Infinity, Infinity]],
      // Each is a float32.
      ...[[3e38, 3e38], [-3e38, -3e38]],
    ]
  ) assert.ok(!isMade(loss, norm), `${loss}, ${norm}`);
});

Deno.test("lossSumGraph() starts a sum of scaled losses, or goes on with one in its place", () => {
  const inputs = {
    losses: dense([3, 1], (i) => [1, 2, 4][i]),
    scale: dense([], () => 0.5),
    sum: dense([], () => 10),
  };
  const [first, more] = [true, false].map((fresh) => {
    const graph = lossSumGraph(fresh);
    const { sum_new: sum } = interpret(graph, inputs, { n: 3 });
    return [graph.inputs.map(({ name }) => name), [...graph.aliases], sum.shape, ...sum.data];
  });
  assert.deepEqual(first, [["losses", "scale"], [], [], 3.5]);
  assert.deepEqual(more, [["losses", "scale", "sum"], [["sum_new", "sum"]], [], 13.5]);
});

Deno.test("a scalar of the first factor has the rule's own name", () => {
  assert.deepEqual([0, 1, 2].map((factor) => scalarName("rate", factor)), [
    ...["rate", "rate@1", "rate@2"],
  ]);
});
