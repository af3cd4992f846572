import assert from "node:assert/strict";
import { randomExamples, tinyBatch } from "../../tests/support/tiny_model.ts";
import { shareRows } from "./share_rows.ts";

const rows = (lengths: readonly number[]) => randomExamples(lengths, 64).map((each) => [each]);

Deno.test("shareRows() gives every row with a target to one process, evenly by tokens", () => {
  const lengths = [[60, 3, 30], [31, 8, 44], [29, 5, 17]];
  const batches = lengths.map((each) => tinyBatch(rows(each), 64));
  for (const size of [1, 2, 3, 5]) {
    const shares = shareRows(batches, size);
    const given = shares.flatMap((share) =>
      share.flatMap((own, batch) => own.map((row) => `${batch}.${row}`))
    );
    assert.equal(given.length, 9);
    assert.equal(new Set(given).size, 9);
    const tokens = shares.map((share) =>
      share.flatMap((own, batch) => own.map((row) => lengths[batch][row]))
        .reduce((sum, each) => sum + each, 0)
    );
    // Within a third of what no share can be below: the longest row, and the mean.
    assert.ok(Math.max(...tokens) <= 4 / 3 * Math.max(60, 227 / size), `${tokens}`);
  }
});

Deno.test("shareRows() leaves rows without a target out, and processes without rows", () => {
  const batch = tinyBatch(rows([9, 7]), 9);
  batch.targets.fill(-100, 0, 9);
  assert.deepEqual(shareRows([batch], 3), [[[1]], [[]], [[]]]);
  const other = tinyBatch(rows([9, 7]), 9);
  other.targets.fill(-100, 9);
  assert.deepEqual(shareRows([other], 3), [[[0]], [[]], [[]]]);
});

Deno.test("shareRows() gives the longest row first, each to who has fewest tokens, in the rows' order", () => {
  const batches = [[5, 9], [7, 7]].map((each) => tinyBatch(rows(each), 9));
  // 9 and 5 to the first, both of 7 to the second.
  assert.deepEqual(shareRows(batches, 2), [[[0, 1], []], [[], [0, 1]]]);
  assert.deepEqual(shareRows(batches, 3), [[[1], []], [[0], [0]], [[], [1]]]);
  assert.deepEqual(shareRows(batches, 1), [[[0, 1], [0, 1]]]);
});

Deno.test("shareRows() keeps neighbours together, of which one may lack a target", () => {
  const batches = [[5, 4, 3, 9], [3, 4]].map((each) => tinyBatch(rows(each), 9));
  // Pairs of 9, 12 and 7 tokens.
  assert.deepEqual(shareRows(batches, 2, 2), [[[2, 3], []], [[0, 1], [0, 1]]]);
  batches[0].targets.fill(-100, 0, 9);
  assert.deepEqual(shareRows(batches, 2, 2), [[[2, 3], []], [[0, 1], [0, 1]]]);
  // A target of id 0 is one.
  batches[0].targets.fill(-100, 9, 18)[10] = 0;
  assert.deepEqual(shareRows(batches, 2, 2), [[[2, 3], []], [[0, 1], [0, 1]]]);
  batches[0].targets[10] = -100;
  assert.deepEqual(shareRows(batches, 2, 2), [[[2, 3], []], [[], [0, 1]]]);
});

Deno.test("shareRows() counts tokens, not rows", () => {
  // When the shortest comes the first process has ten tokens in one row, the second nine in two.
  assert.deepEqual(shareRows([tinyBatch(rows([10, 5, 4, 3]), 10)], 2), [[[0]], [[1, 2, 3]]]);
});
