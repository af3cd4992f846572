import assert from "node:assert/strict";
import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";
import { kthLargest } from "./kth_largest.ts";

Deno.test("kthLargest() is what sorting finds, with ties and in any order", () => {
  const random = MersenneTwister.fromSeed(3);
  for (let round = 0; round < 200; round++) {
    const length = 1 + random.nextUint32() % 60;
    const values = Float32Array.from({ length }, () => random.nextUint32() % 20 - 10);
    if (round % 3 === 1) values.sort();
    if (round % 3 === 2) values.sort().reverse();
    const sorted = values.toSorted().reverse();
    for (let k = 1; k <= length; k++) assert.equal(kthLargest(values, k), sorted[k - 1]);
  }
});

Deno.test("kthLargest() refuses a k that is not among the values", () => {
  for (const k of [0, 4, 1.5, NaN]) {
    assert.throws(() => kthLargest(Float32Array.of(1, 2, 3), k), /largest .* of 3 values/);
  }
});
