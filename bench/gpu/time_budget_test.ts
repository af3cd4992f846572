import assert from "node:assert/strict";
import { TimeBudget } from "./time_budget.ts";

Deno.test("TimeBudget counts down to 0 and limits what one thing may take", () => {
  let now = 0;
  const budget = new TimeBudget(100, () => now);
  assert.deepEqual([budget.left(), budget.limit(30)], [100, 30]);
  now = 80_000;
  assert.deepEqual([budget.left(), budget.limit(30)], [20, 20]);
  now = 200_000;
  assert.equal(budget.left(), 0);
});

Deno.test("TimeBudget.part() passes on what earlier parts left over, and takes what they overran", () => {
  let now = 0;
  const budget = new TimeBudget(100, () => now);
  assert.equal(budget.part([2, 1, 1]).left(), 50);
  now = 20_000;
  assert.equal(budget.part([1, 1]).left(), 40);
  now = 90_000;
  assert.equal(budget.part([1]).left(), 10);
  assert.equal(budget.part([]).left(), 0);
});
