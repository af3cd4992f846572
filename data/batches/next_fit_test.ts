import assert from "node:assert/strict";
import { nextFit } from "./next_fit.ts";

Deno.test("nextFit() opens a row for what does not fit, and fills rows to the last token", () => {
  assert.deepEqual(nextFit([4, 4, 3, 8, 1, 7, 1], 8), [0, 2, 3, 4, 6]);
  assert.deepEqual(nextFit([], 8), []);
});

Deno.test("nextFit() follows an order, and packs anew from any row as before", () => {
  const lengths = Array.from({ length: 50 }, (_, k) => 1 + (k * 37) % 19);
  const order = Int32Array.from({ length: 50 }, (_, k) => (k * 7) % 50);
  const starts = nextFit(lengths, 24, order);
  assert.deepEqual(starts, nextFit(Array.from(order, (index) => lengths[index]), 24));
  for (const [row, start] of starts.entries()) {
    const rest = Array.from(order.subarray(start), (index) => lengths[index]);
    assert.deepEqual(nextFit(rest, 24).map((at) => at + start), starts.slice(row));
  }
});
