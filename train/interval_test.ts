import assert from "node:assert/strict";
import { INTERVAL_STRATEGIES, updatesOf } from "./interval.ts";

Deno.test("updatesOf() takes a length below 1 as a share of the run, rounded up, and others as they are", () => {
  const of14 = [0, 0.1, 0.5, 0.999, 1, 5, 20].map((length) => updatesOf(length, 14));
  assert.deepEqual(of14, [0, 2, 7, 14, 1, 5, 20]);
});

Deno.test("the interval strategies are those of TrainingArguments", () => {
  assert.deepEqual(INTERVAL_STRATEGIES, ["steps", "epoch", "no"]);
});
