import assert from "node:assert/strict";
import { overheadOf } from "./overhead.ts";

Deno.test("overheadOf() holds the time of queueing against that of the products", () => {
  const { hostSeconds, productSeconds, percent } = overheadOf({
    ...{ dispatches: 10_000, microsecondsADispatch: 20, runs: 500, microsecondsARun: 100 },
    ...{ flops: 8e12, flopsPerSecond: 4e12 },
  });
  assert.equal(hostSeconds, 0.25);
  assert.equal(productSeconds, 2);
  assert.equal(percent, 12.5);
});
