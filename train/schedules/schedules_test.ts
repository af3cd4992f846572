import assert from "node:assert/strict";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { hasWarmup, type Schedule } from "../schedule.ts";
import { schedules } from "./schedules.ts";

/** Rates of the updates after these steps. */
function rates(schedule: Schedule, steps: readonly number[]): number[] {
  return steps.map((step) => schedule(step));
}

const options = { peak: 1e-4, totalSteps: 10, warmupSteps: 2 };

// By the formulas of transformers' optimization.py, worked out by hand.
const HALF = Math.SQRT1_2;
const EXPECTED: Readonly<Record<string, readonly [number[], number[]]>> = {
  linear: [[0, 1, 2, 4, 6, 9, 10, 11], [0, 0.5, 1, 0.75, 0.5, 0.125, 0, 0]],
  cosine: [[0, 1, 2, 4, 6, 8, 10], [0, 0.5, 1, (1 + HALF) / 2, 0.5, (1 - HALF) / 2, 0]],
  constant: [[0, 1, 2, 9, 10], [1, 1, 1, 1, 1]],
  constant_with_warmup: [[0, 1, 2, 9, 10], [0, 0.5, 1, 1, 1]],
};

for (const [name, [steps, factors]] of Object.entries(EXPECTED)) {
  Deno.test(`the ${name} schedule has Hugging Face's values`, () => {
    const expected = factors.map((factor) => factor * 1e-4);
    // An ulp or two of the cosine.
    assertClose(rates(schedules[name](options), steps), expected, { label: name, absolute: 1e-19 });
  });
}

Deno.test("schedules without warmup start at their peak", () => {
  for (const [name, make] of Object.entries(schedules)) {
    assert.equal(make({ peak: 3e-3, totalSteps: 7 })(0), 3e-3, name);
  }
});

Deno.test("a warmup longer than the run only rises", () => {
  for (const [name, make] of Object.entries(schedules)) {
    if (!hasWarmup(make)) continue;
    const schedule = make({ peak: 1, totalSteps: 4, warmupSteps: 8 });
    assert.deepEqual(rates(schedule, [0, 1, 2, 3]), [0, 0.125, 0.25, 0.375], name);
  }
});

Deno.test("a warmup as long as the run ends at the peak", () => {
  const schedule = schedules.linear({ peak: 1, totalSteps: 4, warmupSteps: 4 });
  assert.deepEqual(rates(schedule, [3, 4]), [0.75, 1]);
});

Deno.test("hasWarmup() tells schedules that heed a warmup", () => {
  for (const [name, [, [first]]] of Object.entries(EXPECTED)) {
    assert.equal(hasWarmup(schedules[name]), first === 0, name);
  }
  assert.deepEqual(Object.keys(EXPECTED), Object.keys(schedules));
});
