import assert from "node:assert/strict";
import { warmupUpdates } from "./warmup_updates.ts";

Deno.test("warmupUpdates() takes steps before a share of the run, which is rounded up", () => {
  for (
    const [warmupSteps, warmupRatio, expected] of [
      [0, undefined, 0],
      [0, 0, 0],
      [0, 0.05, 6],
      [0, 0.1, 11],
      [7, 0.5, 7],
      [1, undefined, 1],
      [0.05, undefined, 6],
    ] as const
  ) {
    assert.equal(warmupUpdates({ warmupSteps, warmupRatio }, 101), expected);
  }
});
