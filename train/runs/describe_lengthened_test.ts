import assert from "node:assert/strict";
import { constantSchedule, linearSchedule } from "../schedules/schedules.ts";
import { describeLengthened } from "./describe_lengthened.ts";

Deno.test("describeLengthened() says from which learning rate a longer run goes on", () => {
  const linear = (totalSteps: number) => linearSchedule({ peak: 1e-4, totalSteps });
  const run = { totalSteps: 40, resumedStep: 20 };
  const args = { lrSchedulerType: "linear" };
  assert.deepEqual(describeLengthened(run, args, linear), []);
  assert.deepEqual(describeLengthened({ ...run, plannedSteps: 20 }, args, linear), [
    "the run was to make 20 updates and now makes 40: the schedule linear goes on as if it had been " +
    "laid out over 40 from the start, so the next learning rate is 5.00e-5, not 0",
  ]);
  const constant = (totalSteps: number) => constantSchedule({ peak: 1e-4, totalSteps });
  const [line] = describeLengthened({ ...run, plannedSteps: 60 }, args, constant);
  assert.match(
    line,
    /was to make 60 updates and now makes 40: .* the learning rate stays at 1\.00e-4$/,
  );
});
