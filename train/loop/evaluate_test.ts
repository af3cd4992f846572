import assert from "node:assert/strict";
import { stubExample, trainerStub } from "../../tests/support/trainer_stub.ts";
import { ProcessGroup } from "../distributed/process_group.ts";
import { evaluate } from "./evaluate.ts";

/** Three examples of 2, 1 and 3 supervised tokens; a token's loss is its own id. */
const examples = [stubExample(50, [1, 2]), stubExample(51, [7]), stubExample(52, [3, 5, 10])];
const trainer = trainerStub({ tokenLoss: (target) => target });

Deno.test("evaluate() averages over examples and over tokens, whatever the batches", async () => {
  for (const batchSize of [1, 2, 3, 5]) {
    const result = await evaluate(trainer, examples, { batchSize, padId: 0 });
    assert.deepEqual(result, {
      // Means 1.5, 7 and 6.
      evalLoss: 14.5 / 3,
      evalTokenLoss: 28 / 6,
      examples: 3,
      batches: Math.ceil(3 / batchSize),
      supervisedTokens: 6,
    });
  }
});

Deno.test("evaluate() averages packed examples as if each were alone in a row", async () => {
  const plain = await evaluate(trainer, examples, { batchSize: 1, padId: 0 });
  for (const [maxLength, batches] of [[4, 3], [6, 2], [9, 1], [64, 1]]) {
    const options = { batchSize: 1, padId: 0, packing: { maxLength } };
    assert.deepEqual(await evaluate(trainer, examples, options), { ...plain, batches });
  }
});

Deno.test("evaluate() leaves out examples that supervise nothing", async () => {
  const silent = { ...stubExample(53, [9]), labels: Int32Array.of(-100, -100) };
  const result = await evaluate(trainer, [silent, examples[0]], { batchSize: 2, padId: 0 });
  assert.deepEqual(result, {
    evalLoss: 1.5,
    evalTokenLoss: 1.5,
    examples: 1,
    batches: 1,
    supervisedTokens: 2,
  });
});

Deno.test("evaluate() passes the signal on", async () => {
  const group = new ProcessGroup(undefined, AbortSignal.abort(new Error("enough")));
  const stub = {
    ...trainer,
    evaluate: (_: unknown, signal?: AbortSignal) => {
      signal?.throwIfAborted();
      return Promise.resolve({ tokens: new Int32Array(0), losses: new Float32Array(0) });
    },
  };
  await assert.rejects(evaluate(stub, examples, { batchSize: 1, padId: 0, group }), {
    message: "enough",
  });
});
