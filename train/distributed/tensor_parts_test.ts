import assert from "node:assert/strict";
import { partsOf } from "../../tests/support/tensor_parts.ts";
import { segmentsOf } from "./tensor_parts.ts";

Deno.test("segmentsOf() has all of a tensor's bytes in their order, each with its process", () => {
  assert.deepEqual(segmentsOf(partsOf(2), "b", 2), [
    { start: 0, length: 10, rank: 0 },
    { start: 10, length: 10, rank: 1 },
    { start: 20, length: 10, rank: 0 },
  ]);
  const twelfth = segmentsOf(partsOf(3), "a", 3).slice(11, 13);
  assert.deepEqual(twelfth, [
    { start: 110, length: 10, rank: 2 },
    { start: 120, length: 10, rank: 0 },
  ]);
  assert.deepEqual(segmentsOf(partsOf(3), "c", 3), [{ start: 0, length: 4, rank: 0 }]);
});
