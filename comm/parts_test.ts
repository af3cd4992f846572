import assert from "node:assert/strict";
import { rankParts } from "./parts.ts";

Deno.test("rankParts() lays the parts of all ranks one after another", () => {
  assert.deepEqual(rankParts("gather", [3, 0, 2], { size: 3, length: 5 }), [
    { start: 0, count: 3 },
    { start: 3, count: 0 },
    { start: 3, count: 2 },
  ]);
});

Deno.test("rankParts() says which counts do not fit", () => {
  const parts = (counts: readonly number[]) => () =>
    rankParts("gather", counts, { size: 2, length: 5 });
  assert.throws(parts([5]), new RangeError("Cannot gather: 1 counts for 2 ranks"));
  assert.throws(
    parts([2, 2]),
    new RangeError("Cannot gather: the counts add up to 4, the array has 5"),
  );
  for (const wrong of [-1, 1.5, NaN]) {
    const message = `Cannot gather: the count of rank 1 is ${wrong}, not a whole number from 0 up`;
    assert.throws(parts([5, wrong]), new RangeError(message));
  }
});
