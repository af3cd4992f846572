import assert from "node:assert/strict";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { randomWeights, tinyConfig } from "../../tests/support/tiny_model.ts";
import { crossEntropy } from "../graphs/cross_entropy.ts";
import { EngineContext } from "./engine_context.ts";
import { placeRows, takeRows } from "./rows.ts";

Deno.test("rows are taken out of a tensor and put into one from any row on", () => {
  using runtime = new Runtime({ threads: 1 });
  const config = tinyConfig();
  using weights = randomWeights(runtime, config);
  using context = new EngineContext({
    ...{ runtime, config, weights, objective: crossEntropy, graphsOnly: true },
  });
  const numbers = (count: number, from: number) =>
    Float32Array.from({ length: count }, (_, i) => from + i);
  using from = Tensor.from(runtime, "float32", [5, 2], numbers(10, 0));
  const taken = takeRows(context, from, { start: 1, count: 3 });
  assert.deepEqual([taken.shape, [...taken.float32()]], [[3, 2], [2, 3, 4, 5, 6, 7]]);
  assert.deepEqual([...takeRows(context, from, { start: 0, count: 1 }).float32()], [0, 1]);

  using rows = Tensor.from(runtime, "float32", [2, 2], numbers(4, 20));
  placeRows(context, from, rows, { start: 2 });
  assert.deepEqual([...from.float32()], [0, 1, 2, 3, 20, 21, 22, 23, 8, 9]);
  // Of another width, the same graphs are not.
  using narrow = Tensor.from(runtime, "float32", [4, 1], numbers(4, 0));
  using row = Tensor.from(runtime, "float32", [1, 1], numbers(1, 7));
  placeRows(context, narrow, row, { start: 3 });
  assert.deepEqual([...narrow.float32()], [0, 1, 2, 7]);
  assert.deepEqual([...takeRows(context, narrow, { start: 2, count: 2 }).float32()], [2, 7]);
});
