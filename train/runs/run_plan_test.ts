import assert from "node:assert/strict";
import { planBatches } from "../../data/batches/batches.ts";
import { toExampleList } from "../../data/examples/example_list.ts";
import { stubExample } from "../../tests/support/trainer_stub.ts";
import type { Layout } from "../../model/engine/without_padding.ts";
import { describePlan, planRun, sortWithinOf, stepRuleOf, togetherOf } from "./run_plan.ts";

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

Deno.test("planRun() tells of packed rows and of pairs whole, and describePlan() in one line", () => {
  const packed = { ...flags, packing: true, perDeviceTrainBatchSize: 3 };
  const two = toExampleList([3, 3, 3, 3, 3, 3, 3].map((n) => stubExample(n, [1, 1, 1])));
  // Four tokens each, two a row of eight: four rows, in batches of three and one.
  assert.deepEqual(planRun({ ...packed, maxSteps: 0 }, two, "grid"), {
    updates: 3,
    updatesPerEpoch: 1,
    rows: 7,
    tokens: 28,
    grid: 3 * 8 + 4,
  });
  const plan = { updates: 1234, updatesPerEpoch: 617, rows: 2468, tokens: 30_000, grid: 40_000 };
  assert.equal(
    describePlan(plan),
    "plan: 1,234 updates, 617 an epoch; 2,468 examples and 30,000 tokens an epoch, and 25.0 % padding",
  );
  // Pairs stay together: two of them a batch, in their sampler's order.
  const six = toExampleList([1, 2, 3, 4, 5, 6].map(() => stubExample(1, [1, 1])));
  const pairs = { ...flags, loss: "dpo", numTrainEpochs: 2.5 } as const;
  assert.deepEqual(planRun(pairs, six, "grid"), {
    updates: 3,
    updatesPerEpoch: 1,
    rows: 3,
    tokens: 18,
    grid: 18,
  });
});

Deno.test("the counting, the sorting and what stays together follow the seed's way and the loss", () => {
  assert.deepEqual([stepRuleOf({}), stepRuleOf({ compat: "seed" })], ["ceil", "floor"]);
  const within = (args: Pick<Parameters<typeof sortWithinOf>[0], "compat" | "loss">) =>
    sortWithinOf({ gradientAccumulationSteps: 4, ...args });
  assert.deepEqual(
    [within({}), within({ compat: "seed" }), within({ loss: "dpo" }), within({ loss: "dft" })],
    [4, 1, 1, 4],
  );
  const losses = [undefined, "cross_entropy", "dpo", "orpo"] as const;
  assert.deepEqual(losses.map((loss) => togetherOf({ loss })), [1, 1, 2, 2]);
  // Five batches of one, two an update: three updates, two of which are whole.
  const five = { ...flags, perDeviceTrainBatchSize: 1, numTrainEpochs: 1 };
  assert.equal(planRun(five, examples).updates, 3);
  assert.equal(planRun({ ...five, compat: "seed" }, examples).updates, 2);
});
