import assert from "node:assert/strict";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { hasWarmup, type Schedule, type ScheduleSettings } from "../schedule.ts";
import { scheduleFault, schedules } from "./schedules.ts";

interface ScheduleCase {
  readonly name: string;
  readonly kwargs: ScheduleSettings;
  readonly warmup: number;
  readonly total: number;
  readonly rates: readonly number[];
}

const { peak, cases }: { readonly peak: number; readonly cases: readonly ScheduleCase[] } = JSON
  .parse(
    await Deno.readTextFile(
      new URL("../../tests/fixtures/schedules/schedules.json", import.meta.url),
    ),
  );

/** Rates of the updates after these steps. */
function rates(schedule: Schedule, steps: readonly number[]): number[] {
  return steps.map((step) => schedule(step));
}

for (const { name, kwargs: settings, warmup: warmupSteps, total: totalSteps, rates } of cases) {
  const what = `${JSON.stringify(settings)}, ${warmupSteps} of ${totalSteps} updates warmup`;
  Deno.test(`the ${name} schedule has Hugging Face's values with ${what}`, () => {
    assert.equal(scheduleFault(name, { peak, settings }), undefined);
    const schedule = schedules[name].make({ peak, totalSteps, warmupSteps, settings });
    // Past the end too. Measured: 1.8e-16 of the peak.
    const made = rates.map((_, step) => schedule(step));
    assertClose(made, rates, { label: name, absolute: peak * 1e-15 });
  });
}

Deno.test("every schedule and every setting of one is compared with Hugging Face's", () => {
  for (const [name, { settings = {} }] of Object.entries(schedules)) {
    const own = cases.filter((each) => each.name === name);
    assert.ok(own.length > 0, name);
    const set = new Set(own.flatMap(({ kwargs }) => Object.keys(kwargs)));
    assert.deepEqual([...set].toSorted(), Object.keys(settings).toSorted(), name);
  }
});

Deno.test("schedules without warmup start at their peak", () => {
  for (const [name, { make }] of Object.entries(schedules)) {
    assert.equal(make({ peak: 3e-3, totalSteps: 7 })(0), 3e-3, name);
  }
});

Deno.test("a warmup longer than the run only rises", () => {
  for (const [name, { make }] of Object.entries(schedules)) {
    if (!hasWarmup(make)) continue;
    const schedule = make({ peak: 1, totalSteps: 4, warmupSteps: 8 });
    assert.deepEqual(rates(schedule, [0, 1, 2, 3]), [0, 0.125, 0.25, 0.375], name);
  }
});

Deno.test("a warmup as long as the run ends at the peak", () => {
  const schedule = schedules.linear.make({ peak: 1, totalSteps: 4, warmupSteps: 4 });
  assert.deepEqual(rates(schedule, [3, 4]), [0.75, 1]);
});

Deno.test("what is left of a run after its warmup may be one update, or none", () => {
  const of = (totalSteps: number) => schedules.linear.make({ peak: 1, totalSteps, warmupSteps: 4 });
  assert.deepEqual(rates(of(5), [3, 4, 5]), [0.75, 1, 0]);
  assert.deepEqual(rates(of(4), [3, 4, 5]), [0.75, 1, 0]);
});

Deno.test("cosine_with_min_lr without its settings ends at 0", () => {
  const schedule = schedules.cosine_with_min_lr.make({ peak: 1, totalSteps: 4 });
  assert.deepEqual(rates(schedule, [0, 4]), [1, 0]);
});

Deno.test("warmup_stable_decay without a decay drops from the peak to its end", () => {
  const settings = { num_stable_steps: 3, min_lr_ratio: 0.25 };
  const schedule = schedules.warmup_stable_decay.make({ peak: 8, totalSteps: 9, settings });
  assert.deepEqual(rates(schedule, [0, 2, 3, 4]), [8, 8, 2, 2]);
});

Deno.test("hasWarmup() tells schedules that heed a warmup", () => {
  for (const [name, { make }] of Object.entries(schedules)) {
    const heeded = cases.some((each) =>
      each.name === name && each.warmup > 0 && each.rates[0] === 0
    );
    assert.equal(hasWarmup(make), heeded, name);
  }
});

const FAULTS: readonly [string, Readonly<Record<string, unknown>>, string][] = [
  ["linear", { power: 2 }, "it has no power; it has no settings of its own"],
  ["cosine", { cycles: 2 }, "it has no cycles; its own settings are num_cycles"],
  ["cosine", { num_cycles: 0 }, "num_cycles must be a number above 0, got number 0"],
  ["cosine", { toString: 1 }, "it has no toString; its own settings are num_cycles"],
  ["polynomial", { power: "2" }, 'power must be a number above 0, got string "2"'],
  ["polynomial", { power: Infinity }, "power must be a number above 0, got number Infinity"],
  ["polynomial", { lr_end: 3e-4 }, "lr_end 0.0003 must be below the peak 0.0003"],
  ["polynomial", { lr_end: 1e-3 }, "lr_end 0.001 must be below the peak 0.0003"],
  [
    "cosine_with_min_lr",
    {},
    "it takes one of min_lr and min_lr_rate: the rate that it ends at, or that as a share of the peak",
  ],
  ["cosine_with_min_lr", { min_lr: 1 }, "min_lr 1 is above the peak 0.0003"],
  [
    "cosine_with_min_lr",
    { min_lr: 1e-5, min_lr_rate: 0.1 },
    "it takes one of min_lr and min_lr_rate: the rate that it ends at, or that as a share of the peak",
  ],
  [
    "inverse_sqrt",
    { timescale: NaN },
    "timescale must be a whole number from 1 up, got number NaN",
  ],
  [
    "warmup_stable_decay",
    {},
    "it takes num_decay_steps: in how many updates it falls at the end",
  ],
  [
    "warmup_stable_decay",
    { num_decay_steps: 3, decay_type: "sqrt" },
    'decay_type must be linear or cosine or 1-sqrt, got string "sqrt"',
  ],
];

for (const [name, settings, message] of FAULTS) {
  Deno.test(`the ${name} schedule refuses ${JSON.stringify(settings)}`, () => {
    assert.equal(scheduleFault(name, { peak, settings }), message);
  });
}

Deno.test("the lowest rate of cosine_with_min_lr may be the peak itself", () => {
  assert.equal(
    scheduleFault("cosine_with_min_lr", { peak, settings: { min_lr: peak } }),
    undefined,
  );
});
