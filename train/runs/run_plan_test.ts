import assert from "node:assert/strict";
import { planBatches } from "../../data/batches/batches.ts";
import { toExampleList } from "../../data/examples/example_list.ts";
import { stubExample } from "../../tests/support/trainer_stub.ts";
import type { Layout } from "../../model/engine/without_padding.ts";
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

Deno.test("planRun() counts the padding that is computed: little on the host, next to none end to end", () => {
  const far = toExampleList([900, 30, 500, 40].map((n) => stubExample(1, new Array(n).fill(1))));
  const batch = { ...flags, perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 1 };
  // 901, 31, 501 and 41 tokens.
  const grid = (layout?: Layout) => planRun(batch, far, layout).grid;
  assert.equal(planRun(batch, far).tokens, 1474);
  assert.deepEqual([grid("grid"), grid(), grid("end-to-end")], [3604, 901 + 501 + 2 * 41, 1488]);
});

Deno.test("planRun() sorts updates as training does, but with --compat seed", () => {
  const pairs = toExampleList([40, 4, 41, 5].map((n) => stubExample(1, new Array(n).fill(1))));
  const sorted = planRun(flags, pairs, "grid").grid;
  assert.equal(sorted, 2 * 42 + 2 * 6);
  const seeds = [0, 1, 2, 3, 4].map((seed) =>
    planRun({ ...flags, seed, compat: "seed" }, pairs, "grid").grid
  );
  assert.ok(seeds.some((grid) => grid > sorted), seeds.join());
});
