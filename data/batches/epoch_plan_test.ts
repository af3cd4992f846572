import assert from "node:assert/strict";
import { type BatchPlanOptions, epochOrder, planEpoch } from "./epoch_plan.ts";

const unshuffled = { seed: 42, epoch: 0, shuffle: false } as const;

/** All batches of a plan, after the first `skip`. */
function batchesOf(
  lengths: readonly number[],
  options: BatchPlanOptions,
  skip?: number,
): number[][] {
  return Array.from(planEpoch(lengths, options).batches(skip), (batch) => [...batch]);
}

Deno.test("planEpoch() cuts the order into batches, and tells where updates end", () => {
  const lengths = Array<number>(10).fill(3);
  const one = planEpoch(lengths, { ...unshuffled, batchSize: 1 });
  assert.equal(one.count, 10);
  assert.deepEqual([...one.updateEnds(4)], [4, 8, 10]);
  assert.deepEqual([...one.updateEnds(5)], [5, 10]);
  assert.deepEqual([...one.updateEnds(1)], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  const three = { ...unshuffled, batchSize: 3 };
  assert.equal(planEpoch(lengths, three).count, 4);
  assert.deepEqual([...planEpoch(lengths, three).updateEnds(3)], [3, 4]);
  const batches = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]];
  assert.deepEqual(batchesOf(lengths, three), batches);
  for (const skip of [0, 1, 3, 4]) {
    assert.deepEqual(batchesOf(lengths, three, skip), batches.slice(skip));
  }
});

Deno.test("planEpoch() shuffles by seed + epoch unless it is told not to", () => {
  const lengths = [1, 2, 3, 4, 5, 6, 7];
  const order = [...epochOrder(7, { seed: 5, epoch: 3 })];
  assert.deepEqual(order, [...epochOrder(7, { seed: 8, epoch: 0 })]);
  for (const shuffle of [undefined, true]) {
    const options = { seed: 5, epoch: 3, batchSize: 7, shuffle };
    assert.deepEqual(batchesOf(lengths, options), [order]);
  }
  assert.deepEqual(batchesOf(lengths, { seed: 5, epoch: 3, batchSize: 7, shuffle: false }), [
    [0, 1, 2, 3, 4, 5, 6],
  ]);
});

Deno.test("planEpoch() sorts the examples of so many batches, the longest first", () => {
  const lengths = [3, 9, 5, 1, 2, 8, 6, 6];
  const options = { ...unshuffled, batchSize: 2 };
  assert.deepEqual(batchesOf(lengths, options), [[0, 1], [2, 3], [4, 5], [6, 7]]);
  assert.deepEqual(batchesOf(lengths, { ...options, sortWithin: 1 }), [
    ...[[0, 1], [2, 3], [4, 5], [6, 7]],
  ]);
  const sorted = [[1, 2], [0, 3], [5, 6], [7, 4]];
  for (let skip = 0; skip <= 4; skip++) {
    assert.deepEqual(
      batchesOf(lengths, { ...options, sortWithin: 2 }, skip),
      sorted.slice(skip),
    );
  }
  assert.deepEqual(batchesOf(lengths, { ...options, sortWithin: 3 }), [
    ...[[1, 5], [2, 0], [4, 3], [6, 7]],
  ]);
  assert.deepEqual(batchesOf(lengths, { ...options, batchSize: 1, sortWithin: 8 }), [
    ...[[0], [1], [2], [3], [4], [5], [6], [7]],
  ]);
  const plan = planEpoch(lengths, { ...options, sortWithin: 2 });
  assert.deepEqual([plan.count, [...plan.updateEnds(2)]], [4, [2, 4]]);
});

Deno.test("planEpoch() fills rows, and cuts those into batches", () => {
  // Rows of at most 10 tokens: 4 + 6, 7 + 2, 9, 5 + 5, 1.
  const lengths = [4, 6, 7, 2, 9, 5, 5, 1];
  const options = { ...unshuffled, batchSize: 2, packing: { maxLength: 10 } };
  const plan = planEpoch(lengths, options);
  assert.deepEqual([plan.count, [...plan.updateEnds(2)]], [3, [2, 3]]);
  const batches = [[0, 1, 2, 3], [4, 5, 6], [7]];
  for (const skip of [0, 1, 2, 3]) {
    assert.deepEqual(batchesOf(lengths, options, skip), batches.slice(skip));
  }
  assert.deepEqual(batchesOf(lengths, { ...options, batchSize: 1 }), [
    ...[[0, 1], [2, 3], [4], [5, 6], [7]],
  ]);
  // Sorting has no effect on rows that are filled in order.
  assert.deepEqual(batchesOf(lengths, { ...options, sortWithin: 2 }), batches);
});

Deno.test("planEpoch() ends an update with the row that brings it to tokensPerStep", () => {
  // Rows of 10, 9, 9, 10 and 1 tokens.
  const lengths = [4, 6, 7, 2, 9, 5, 5, 1];
  const cases: readonly {
    readonly batchSize: number;
    readonly tokensPerStep: number;
    readonly batches: readonly (readonly number[])[];
    readonly ends: readonly number[];
  }[] = [
    // Two rows have 19 tokens, so that 19 is reached and 20 is not.
    {
      batchSize: 2,
      tokensPerStep: 19,
      batches: [[0, 1, 2, 3], [4, 5, 6], [7]],
      ends: [1, 2, 3],
    },
    {
      batchSize: 2,
      tokensPerStep: 20,
      batches: [[0, 1, 2, 3], [4], [5, 6, 7]],
      ends: [2, 3],
    },
    {
      batchSize: 1,
      tokensPerStep: 20,
      batches: [[0, 1], [2, 3], [4], [5, 6], [7]],
      ends: [3, 5],
    },
    // Every row is an update, whatever the batch may hold.
    {
      batchSize: 3,
      tokensPerStep: 1,
      batches: [[0, 1], [2, 3], [4], [5, 6], [7]],
      ends: [1, 2, 3, 4, 5],
    },
    { batchSize: 3, tokensPerStep: 99, batches: [[0, 1, 2, 3, 4], [5, 6, 7]], ends: [2] },
    { batchSize: 5, tokensPerStep: 39, batches: [[0, 1, 2, 3, 4, 5, 6, 7]], ends: [1] },
  ];
  for (const { batches, ends, ...given } of cases) {
    const options = { ...unshuffled, packing: { maxLength: 10 }, ...given };
    const plan = planEpoch(lengths, options);
    const shown = JSON.stringify(given);
    assert.equal(plan.count, batches.length, shown);
    assert.deepEqual([...plan.updateEnds(7)], ends, shown);
    for (let skip = 0; skip <= batches.length; skip++) {
      assert.deepEqual(batchesOf(lengths, options, skip), batches.slice(skip), shown);
    }
    assert.deepEqual(batchesOf(lengths, options), batches, shown);
  }
});

Deno.test("planEpoch() counts the tokens of shuffled rows in their order", () => {
  const lengths = [4, 6, 7, 2, 9, 5, 5, 1];
  const options = { packing: { maxLength: 10 }, batchSize: 2, tokensPerStep: 19 };
  const order = [...epochOrder(8, { seed: 3, epoch: 1 })];
  const shuffled = planEpoch(lengths, { ...options, seed: 3, epoch: 1 });
  const permuted = order.map((index) => lengths[index]);
  const plain = planEpoch(permuted, { ...options, ...unshuffled });
  assert.deepEqual(shuffled.updateEnds(1), plain.updateEnds(1));
  assert.deepEqual(
    Array.from(shuffled.batches(), (batch) => [...batch]),
    Array.from(plain.batches(), (batch) => Array.from(batch, (at) => order[at])),
  );
});

Deno.test("planEpoch() keeps together what is one, in its order", () => {
  // Pairs of 10, 9, 8 and 12 tokens.
  const lengths = [9, 1, 2, 7, 3, 5, 4, 8];
  const options = { ...unshuffled, batchSize: 3, together: 2 };
  const plan = planEpoch(lengths, options);
  assert.deepEqual([plan.count, [...plan.updateEnds(1)], [...plan.updateEnds(2)]], [2, [1, 2], [
    2,
  ]]);
  assert.deepEqual(batchesOf(lengths, options), [[0, 1, 2, 3, 4, 5], [6, 7]]);
  assert.deepEqual(batchesOf(lengths, options, 1), [[6, 7]]);
  assert.deepEqual(batchesOf(lengths, { ...options, batchSize: 2, sortWithin: 2 }), [
    ...[[6, 7, 0, 1], [2, 3, 4, 5]],
  ]);
  // Two pairs of 19 tokens fill a row, the next has 8, and 20 do not fit.
  assert.deepEqual(batchesOf(lengths, { ...options, batchSize: 1, packing: { maxLength: 19 } }), [
    ...[[0, 1, 2, 3], [4, 5], [6, 7]],
  ]);
  // Triples of 12 and 15 tokens.
  const triples = { ...unshuffled, batchSize: 2, sortWithin: 2, together: 3 };
  assert.deepEqual(batchesOf(lengths.slice(0, 6), triples), [[3, 4, 5, 0, 1, 2]]);
  const order = [...epochOrder(4, { seed: 42, epoch: 2 })];
  assert.deepEqual(batchesOf(lengths, { seed: 42, epoch: 2, batchSize: 4, together: 2 }), [
    order.flatMap((pair) => [2 * pair, 2 * pair + 1]),
  ]);
  for (const together of [undefined, 1]) {
    assert.deepEqual(batchesOf([5, 6, 7], { ...options, together }), [[0, 1, 2]]);
  }
  assert.throws(() => planEpoch([1, 2, 3, 4, 5], options), {
    name: "RangeError",
    message: "Cannot make batches: 5 examples are no multiple of the 2 that stay together",
  });
});

Deno.test("planEpoch() refuses what is no count, and takes 1", () => {
  const packing = { maxLength: 10 };
  const least = { ...unshuffled, batchSize: 1, sortWithin: 1, tokensPerStep: 1, packing };
  assert.deepEqual(batchesOf([4, 6], least), [[0, 1]]);
  const cases: readonly (readonly [Partial<BatchPlanOptions>, string])[] = [
    ...[0, -1, 1.5, NaN].flatMap((bad): [Partial<BatchPlanOptions>, string][] => [
      [{ batchSize: bad }, `batchSize is ${bad}, not a positive integer`],
      [{ sortWithin: bad }, `sortWithin is ${bad}, not a positive number of batches`],
      [{ tokensPerStep: bad }, `tokensPerStep is ${bad}, not a positive integer`],
      // What is no count is told first.
      [
        { tokensPerStep: bad, packing: undefined },
        `tokensPerStep is ${bad}, not a positive integer`,
      ],
    ]),
  ];
  for (const [change, problem] of cases) {
    assert.throws(() => planEpoch([4, 6], { ...least, ...change }), {
      name: "RangeError",
      message: `Cannot make batches: ${problem}`,
    });
  }
  assert.throws(() => planEpoch([4, 6], { ...least, packing: undefined }), {
    name: "RangeError",
    message: "Cannot make batches of tokensPerStep: it takes packed rows; give packing",
  });
});
