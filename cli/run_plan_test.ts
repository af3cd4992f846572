import assert from "node:assert/strict";
import { planBatches } from "../data/batches.ts";
import { toExampleList } from "../data/example_list.ts";
import { stubExample } from "../tests/support/trainer_stub.ts";
import { describePlan, planRun } from "./run_plan.ts";

const flags = {
  perDeviceTrainBatchSize: 2,
  gradientAccumulationSteps: 2,
  numTrainEpochs: 3,
  maxSteps: 0,
  maxLength: 8,
  seed: 42,
};
// Two to six tokens.
const examples = toExampleList([1, 2, 3, 4, 5].map((n) => stubExample(n, new Array(n).fill(1))));

Deno.test("planRun() counts updates, tokens and padding without packing", () => {
  const same = toExampleList([1, 2, 3, 4, 5].map((n) => stubExample(n, [1])));
  const plan = planRun(flags, same);
  assert.deepEqual(plan, { updates: 6, updatesPerEpoch: 2, rows: 5, tokens: 10, grid: 10 });
  assert.ok(planRun(flags, examples).grid > 20);
  assert.match(describePlan(plan), /^plan: 6 updates, 2 an epoch; 5 examples and 10 tokens/);
});

Deno.test("planRun() lays packed rows out, and lets --max-steps win", () => {
  const packed = planRun(
    { ...flags, packing: true, perDeviceTrainBatchSize: 1, maxSteps: 7 },
    examples,
  );
  // A batch of one row has no padding.
  assert.deepEqual([packed.updates, packed.tokens, packed.grid], [7, 20, 20]);
  assert.match(describePlan(packed), /0\.0 % padding$/);
});

Deno.test("planRun() counts updates of a number of tokens", () => {
  const packed = { ...flags, packing: true };
  const { length: rows } = planBatches(examples.lengths, {
    batchSize: 1,
    packing: { maxLength: flags.maxLength },
    seed: flags.seed,
    epoch: 0,
  });
  // Every row has a token, and all of them have 20.
  assert.equal(planRun({ ...packed, tokensPerStep: 1 }, examples).updatesPerEpoch, rows);
  const { updates, updatesPerEpoch } = planRun({ ...packed, tokensPerStep: 20 }, examples);
  assert.deepEqual([updates, updatesPerEpoch], [3, 1]);
});
