/** Evaluation of packed rows against evaluation of each example alone. */

import assert from "node:assert/strict";
import { joinExample } from "../data/examples/join_example.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { evaluate } from "../train/loop/evaluate.ts";
import { randomWeights, tinyConfig } from "./support/tiny_model.ts";
import { trainerStub } from "./support/trainer_stub.ts";

Deno.test("packed examples have the evaluation of unpacked ones", async () => {
  const config = tinyConfig({});
  using runtime = new Runtime({ threads: 2 });
  using weights = randomWeights(runtime, config);
  using engine = new TrainingEngine(runtime, config, weights);
  const trainer = { ...trainerStub(), evaluate: engine.evaluate.bind(engine) };
  const examples = [6, 4, 12, 5, 3, 9, 4].map((length, i) => {
    const ids = Int32Array.from({ length }, (_, at) => (at * 17 + i * 29 + 3) % 64);
    const options = { maxLength: 64, terminated: true };
    return joinExample(ids.subarray(0, 2), ids.subarray(2), options);
  });
  const alone = await evaluate(trainer, examples, { batchSize: 1, padId: 0 });
  assert.equal(alone.batches, 7);
  for (const [batchSize, maxLength] of [[1, 12], [1, 64], [3, 16]]) {
    const options = { batchSize, padId: 0, packing: { maxLength } };
    const packed = await evaluate(trainer, examples, options);
    assert.ok(packed.batches < 7);
    assert.ok(Math.abs(packed.evalLoss - alone.evalLoss) < 1e-6, `${packed.evalLoss}`);
    assert.ok(Math.abs(packed.evalTokenLoss - alone.evalTokenLoss) < 1e-6);
    assert.equal(packed.examples, 7);
    assert.equal(packed.supervisedTokens, alone.supervisedTokens);
  }
});
