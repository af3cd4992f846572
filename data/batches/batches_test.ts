import assert from "node:assert/strict";
import { countBatches, makeBatches, planBatches } from "./batches.ts";
import { epochOrder } from "./epoch_plan.ts";
import type { Example } from "../examples/example.ts";
import { joinExample } from "../examples/join_example.ts";

const examples: Example[] = Array.from({ length: 37 }, (_, k) => {
  const ids = new Int32Array(5 + (k * 31) % 20).fill(k);
  return joinExample(ids.subarray(0, 2), ids.subarray(2), { maxLength: 4096, terminated: true });
});
const lengths = examples.map(({ inputIds }) => inputIds.length);
const run = { batchSize: 4, seed: 42, epoch: 0 };
const options = { ...run, padId: 99 };

Deno.test("epochOrder() is torch.randperm seeded with seed + epoch", () => {
  // torch 2.13: torch.randperm(37, generator=torch.Generator().manual_seed(42 + epoch))
  assert.deepEqual([...epochOrder(37, { seed: 42, epoch: 0 }).subarray(0, 6)], [
    12,
    24,
    13,
    15,
    28,
    0,
  ]);
  assert.deepEqual(epochOrder(37, { seed: 42, epoch: 1 }), epochOrder(37, { seed: 43, epoch: 0 }));
});

Deno.test("planBatches() cuts the epoch's order into batches, the last one short", () => {
  const plan = planBatches(lengths, run);
  assert.deepEqual(plan.map(({ length }) => length), [4, 4, 4, 4, 4, 4, 4, 4, 4, 1]);
  assert.deepEqual(plan.flatMap((indices) => [...indices]), [...epochOrder(37, run)]);
});

Deno.test("makeBatches() holds the planned examples, padded or packed", () => {
  for (const packing of [undefined, { maxLength: 40 }]) {
    const plan = planBatches(lengths, { ...run, packing });
    const batches = [...makeBatches(examples, { ...options, packing })];
    assert.equal(batches.length, plan.length);
    for (const [index, batch] of batches.entries()) {
      assert.ok(batch.rows <= 4);
      assert.ok(batch.length <= 40);
      const members = [...batch.segmentIds].map((segment, at) =>
        segment > 0 ? Number(batch.inputIds[at]) : -1
      );
      assert.deepEqual([...new Set(members)].filter((member) => member >= 0), [...plan[index]]);
    }
  }
});

Deno.test("makeBatches() fills all rows of all packed batches but the last", () => {
  const batches = [...makeBatches(examples, { ...options, packing: { maxLength: 40 } })];
  assert.ok(batches.length > 2);
  for (const batch of batches.slice(0, -1)) assert.equal(batch.rows, 4);
  assert.equal(batches.reduce((sum, batch) => sum + batch.examples, 0), 37);
});

Deno.test("makeBatches() skips batches to resume, and may be iterated again", () => {
  for (const packing of [undefined, { maxLength: 40 }]) {
    const whole = [...makeBatches(examples, { ...options, packing })];
    for (const skip of [0, 1, whole.length - 1, whole.length, whole.length + 1]) {
      const rest = makeBatches(examples, { ...options, packing, skip });
      assert.deepEqual([...rest], whole.slice(skip));
      assert.deepEqual([...rest], whole.slice(skip));
    }
  }
});

Deno.test("makeBatches() keeps the given order when it does not shuffle", () => {
  const plan = planBatches(lengths, { ...run, shuffle: false });
  assert.deepEqual(plan.flatMap((indices) => [...indices]), [...examples.keys()]);
});

Deno.test("countBatches() counts what makeBatches() makes", () => {
  for (const packing of [undefined, { maxLength: 24 }, { maxLength: 100 }]) {
    for (const epoch of [0, 1, 2]) {
      const made = [...makeBatches(examples, { ...options, packing, epoch })].length;
      assert.equal(countBatches(Int32Array.from(lengths), { ...run, packing, epoch }), made);
    }
  }
  assert.equal(countBatches([], run), 0);
  assert.deepEqual([...makeBatches([], options)], []);
});

Deno.test("makeBatches() names the example that no row can hold, by its own index", () => {
  const long = joinExample(new Int32Array(20), new Int32Array(21), {
    maxLength: 4096,
    terminated: true,
  });
  assert.throws(
    () => makeBatches([...examples, long], { ...options, packing: { maxLength: 40 } }),
    {
      name: "RangeError",
      message: "Cannot pack example 37: length 41 exceeds maxLength 40",
    },
  );
});

Deno.test("makeBatches() refuses counts that are none", () => {
  assert.throws(() => makeBatches(examples, { ...options, batchSize: 0 }), {
    message: "Cannot make batches: batchSize is 0, not a positive integer",
  });
  assert.throws(() => makeBatches(examples, { ...options, skip: -1 }), {
    message: "Cannot make batches: skip is -1, not a count of batches",
  });
});

Deno.test("planBatches() sorts within updates, which keep their examples, the longest first", () => {
  const sortWithin = 3;
  const plain = planBatches(lengths, run);
  const sorted = planBatches(lengths, { ...run, sortWithin });
  assert.deepEqual(sorted.map((each) => each.length), plain.map((each) => each.length));
  for (let start = 0; start < plain.length; start += sortWithin) {
    const [before, after] = [plain, sorted].map((plan) =>
      plan.slice(start, start + sortWithin).flatMap((batch) => [...batch])
    );
    // Stable: as the sampler has them where lengths are the same.
    assert.deepEqual(after, before.toSorted((a, b) => lengths[b] - lengths[a]));
  }
  assert.notDeepEqual(sorted, plain);
  const one = { ...run, batchSize: 1 };
  assert.deepEqual(planBatches(lengths, { ...one, sortWithin }), planBatches(lengths, one));
  const packed = { ...run, packing: { maxLength: 40 } };
  assert.deepEqual(planBatches(lengths, { ...packed, sortWithin }), planBatches(lengths, packed));
});

Deno.test("makeBatches() of sorted updates goes on from any batch", () => {
  const all = { ...options, sortWithin: 2 };
  const whole = [...makeBatches(examples, all)];
  for (let skip = 0; skip <= whole.length; skip++) {
    assert.deepEqual([...makeBatches(examples, { ...all, skip })], whole.slice(skip));
  }
  assert.throws(
    () => planBatches(lengths, { ...run, sortWithin: 0 }),
    /^RangeError: Cannot make batches: sortWithin is 0, not a positive number of batches$/,
  );
});
