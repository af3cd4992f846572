import assert from "node:assert/strict";
import { countBatches } from "../../data/batches/batches.ts";
import { countUpdates } from "./plan_updates.ts";

const lengths = (examples: number): Int32Array =>
  Int32Array.from({ length: examples }, (_, i) => 10 + 7 * i % 50);
const options = { batchSize: 1, accumulationSteps: 4, epochs: 1, maxSteps: 0, seed: 42 };

Deno.test("countUpdates() counts the short window at the end of each epoch", () => {
  assert.equal(countUpdates(lengths(28), options), 7);
  assert.equal(countUpdates(lengths(29), options), 8);
  assert.equal(countUpdates(lengths(29), { ...options, epochs: 3 }), 24);
  assert.equal(countUpdates(lengths(29), { ...options, batchSize: 3, epochs: 2 }), 6);
  assert.equal(countUpdates(lengths(1), options), 1);
});

Deno.test("countUpdates() rounds fractional epochs up, as Hugging Face's Trainer does", () => {
  // math.ceil(num_train_epochs * num_update_steps_per_epoch), with 10 updates an epoch.
  const updates = (epochs: number): number => countUpdates(lengths(40), { ...options, epochs });
  const expected = [[0.01, 1], [0.5, 5], [0.51, 6], [1.5, 15], [2.1, 21], [2.25, 23], [4.6, 46]];
  for (const [epochs, total] of expected) assert.equal(updates(epochs), total, `${epochs} epochs`);
});

Deno.test("countUpdates() takes maxSteps before epochs", () => {
  assert.equal(countUpdates(lengths(28), { ...options, epochs: 5, maxSteps: 3 }), 3);
  assert.equal(countUpdates(lengths(1), { ...options, maxSteps: 1000 }), 1000);
});

Deno.test("countUpdates() of packed rows makes no update of a fraction's rounding", () => {
  // Ten updates an epoch, of which 2.1 − 2 epochs are one and a hair: 0.10000000000000009.
  const even = new Int32Array(20).fill(64);
  const packed = { ...options, packing: { maxLength: 64 }, accumulationSteps: 2 };
  assert.equal(countUpdates(even, { ...packed, epochs: 1 }), 10);
  assert.equal(countUpdates(even, { ...packed, epochs: 2.1 }), 21);
  assert.equal(countUpdates(even, { ...packed, epochs: 2.11 }), 22);
});

Deno.test("countUpdates() counts a short last window where updates have so many tokens, by either rule", () => {
  const five = new Int32Array(5).fill(64);
  const packed = { ...options, packing: { maxLength: 64 }, tokensPerStep: 128 };
  for (const stepRule of ["ceil", "floor"] as const) {
    assert.equal(countUpdates(five, { ...packed, stepRule }), 3, stepRule);
  }
  const batches = { ...options, accumulationSteps: 2 };
  assert.equal(countUpdates(five, { ...batches, stepRule: "floor" }), 2);
  assert.equal(countUpdates(five, { ...batches, stepRule: "ceil" }), 3);
  assert.equal(countUpdates(five.subarray(0, 1), { ...batches, stepRule: "floor" }), 1);
});

Deno.test("countUpdates() counts the packed rows of each epoch's own order", () => {
  const packing = { maxLength: 64 };
  const packed = { ...options, packing, accumulationSteps: 2 };
  const rows = [0, 1, 2].map((epoch) => countBatches(lengths(40), { ...packed, epoch }));
  assert.equal(new Set(rows).size > 1, true, `the orders give ${rows} rows: choose other lengths`);
  const updates = rows.map((count) => Math.ceil(count / 2));
  const total = (epochs: number): number => countUpdates(lengths(40), { ...packed, epochs });
  assert.equal(total(1), updates[0]);
  assert.equal(total(3), updates[0] + updates[1] + updates[2]);
  assert.equal(total(1.5), updates[0] + Math.ceil(updates[1] / 2));
  assert.equal(total(2.1), updates[0] + updates[1] + Math.ceil(updates[2] * 0.1));
  assert.equal(total(1e-12), 1);
});
