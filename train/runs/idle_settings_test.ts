import assert from "node:assert/strict";
import { describeIdleSettings, describeWarmup } from "./idle_settings.ts";

const usual = {
  lrSchedulerType: "linear",
  warmupSteps: 5,
  evalStrategy: "steps",
  metricForBestModel: "eval_loss",
  earlyStoppingThreshold: 0,
  maxGradNorm: 1,
} as const;

Deno.test("describeIdleSettings() says nothing of settings that work", () => {
  assert.deepEqual(describeIdleSettings(usual), []);
  assert.deepEqual(
    describeIdleSettings({ ...usual, lrSchedulerType: "constant", warmupSteps: 0 }),
    [],
  );
  // Each with what it needs, and the seed's own values.
  assert.deepEqual(
    describeIdleSettings({
      ...{ ...usual, evalStrategy: "epoch", metricForBestModel: "eval_token_loss" },
      ...{ validationFile: "v.jsonl", perDeviceEvalBatchSize: 2, evalGenerate: 8 },
      ...{ evalMaxNewTokens: 9, earlyStoppingPatience: 2, earlyStoppingThreshold: 0.1 },
      ...{ compat: "seed", emptyThink: "teach", teach: "all", truncation: "right" },
    }),
    [],
  );
  assert.deepEqual(
    describeIdleSettings({
      ...{ ...usual, evalStrategy: "epoch", metricForBestModel: "eval_token_loss" },
      ...{
        validationSplitPercentage: 5,
        loadBestModelAtEnd: true,
        emptyThink: "omit",
        teach: "last",
      },
      ...{ truncation: "left", chatTemplate: "t.jinja" },
    }),
    [],
  );
});

const idle: [string, Partial<Parameters<typeof describeIdleSettings>[0]>, RegExp][] = [
  [
    "a warmup of constant",
    { lrSchedulerType: "constant" },
    /^--warmup-steps 5 has no effect: .*constant_with_warmup$/,
  ],
  [
    "a share of warmup of constant",
    { lrSchedulerType: "constant", warmupSteps: 0, warmupRatio: 0.1 },
    /^--warmup-ratio 0.1 has no effect: .*constant_with_warmup$/,
  ],
  [
    "a share of warmup beside steps of it",
    { warmupRatio: 0.1 },
    /^--warmup-ratio 0.1 has no effect beside --warmup-steps 5$/,
  ],
  [
    "evaluations of nothing",
    { evalStrategy: "epoch" },
    /^--eval-strategy has no effect without --validation-file$/,
  ],
  [
    "a threshold without patience",
    { earlyStoppingThreshold: 0.1 },
    /^--early-stopping-threshold has no effect/,
  ],
  [
    "a metric that nothing is chosen by",
    { metricForBestModel: "eval_token_loss" },
    /^--metric-for-best-model has no effect/,
  ],
  [
    "a batch size of no evaluation",
    { perDeviceEvalBatchSize: 4 },
    /^--per-device-eval-batch-size has no effect/,
  ],
  [
    "a template of the seed's",
    { compat: "seed", chatTemplate: "t.jinja" },
    /^--chat-template has no effect/,
  ],
  [
    "replies of no rows",
    { evalGenerate: 8 },
    /^--eval-generate has no effect without --validation-file$/,
  ],
  ["tokens of no replies", { evalMaxNewTokens: 9 }, /^--eval-max-new-tokens has no effect without/],
  [
    "the seed's turns",
    { compat: "seed", teach: "last" },
    /^--teach has no effect with --compat seed/,
  ],
  ["the seed's cut", { compat: "seed", truncation: "left" }, /^--truncation has no effect with/],
  ["the seed's thinking", { compat: "seed", emptyThink: "omit" }, /^--empty-think has no effect/],
];
for (const [name, change, line] of idle) {
  Deno.test(`describeIdleSettings() tells of ${name}`, () => {
    const said = describeIdleSettings({ ...usual, ...change });
    assert.equal(said.length, 1);
    assert.match(said[0], line);
  });
}

Deno.test("describeWarmup() tells of a peak that is never reached", () => {
  const run = { lrSchedulerType: "linear", warmupSteps: 100, learningRate: 1e-4 };
  assert.deepEqual(describeWarmup(run, 4), [
    "the learning rate never reaches --learning-rate 0.0001: --warmup-steps 100 is as long as the run of 4 " +
    "updates or longer, so it ends at 0.00000300",
  ]);
  // The last of n updates has the rate of step n − 1.
  assert.equal(describeWarmup({ ...run, warmupSteps: 4 }, 4).length, 1);
  assert.deepEqual(describeWarmup({ ...run, warmupSteps: 3 }, 4), []);
  assert.deepEqual(describeWarmup({ ...run, lrSchedulerType: "constant" }, 4), []);
});
