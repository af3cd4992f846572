import assert from "node:assert/strict";
import { logEvent, startEvent } from "../../tests/support/run_events.ts";
import type { EndEvent, EvaluateEvent } from "../events.ts";
import { comparableLoss } from "./comparable_loss.ts";
import { evaluationSpeed, toScalars, toSummary, withPrefix } from "./scalars.ts";

const evaluate: EvaluateEvent = {
  ...{ type: "evaluate", step: 2, epoch: 0.25, evalLoss: 1.25, evalTokenLoss: 1.125 },
  ...{ examples: 3, batches: 2, supervisedTokens: 99, seconds: 0.5 },
};
const end: EndEvent = {
  ...{ type: "end", step: 10, epoch: 2, reason: "completed", tokens: 4000, seconds: 8 },
  trainLoss: 1.75,
};

Deno.test("toScalars() names the figures of a log as transformers does", () => {
  const figures = { "rewards/margins": 0.5 };
  const named = {
    ...{ "train/loss": 1.5, "train/grad_norm": 2, "train/learning_rate": 0.5, "train/epoch": 0.8 },
    ...{ "train/global_step": 4, "train/tokens_per_second": 1000 },
  };
  const log = { ...logEvent(4), memoryBytes: 5 * 2 ** 28 };
  assert.deepEqual(toScalars(log), { ...named, "train/memory_gib": 1.25 });
  assert.deepEqual(toScalars({ ...log, memoryBytes: undefined }), named);
  assert.deepEqual(toScalars({ ...log, memoryBytes: 0, figures }), {
    ...named,
    ...{ "train/memory_gib": 0, "train/rewards/margins": 0.5 },
  });
});

Deno.test("toScalars() names the figures of evaluations and of updates that were skipped", () => {
  assert.deepEqual(toScalars({ ...evaluate, figures: { bleu: 0.25 } }), {
    ...{ "eval/loss": 1.25, "eval/token_loss": 1.125, "eval/bleu": 0.25, "eval/runtime": 0.5 },
    ...{ "eval/samples_per_second": 6, "eval/steps_per_second": 4, "train/epoch": 0.25 },
    "train/global_step": 2,
  });
  const skip = { type: "skip", step: 3, loss: NaN, gradNorm: 1, consecutive: 2 } as const;
  assert.deepEqual(toScalars(skip), { "train/skipped_updates": 2 });
  assert.deepEqual(toScalars(startEvent(0, "full")), {});
  assert.deepEqual(toScalars(end), {});
});

Deno.test("evaluationSpeed() has no rate where no time passed, nor of batches that are not known", () => {
  assert.deepEqual(evaluationSpeed({ seconds: 0, examples: 3, batches: 2 }), { runtime: 0 });
  assert.deepEqual(evaluationSpeed({ seconds: 2, examples: 3, batches: undefined }), {
    ...{ runtime: 2, samples_per_second: 1.5 },
  });
  assert.deepEqual(withPrefix("a/", { b: 1, "c/d": 2 }), { "a/b": 1, "a/c/d": 2 });
  assert.deepEqual(withPrefix("a/", {}), {});
});

Deno.test("toSummary() counts the steps and the examples of this start alone", () => {
  // Of 20 examples two epochs: 40 in 10 steps, of which 6 are its own.
  assert.deepEqual(toSummary(end, startEvent(4, "full")), {
    ...{ train_loss: 1.75, train_runtime: 8, train_samples_per_second: 3 },
    train_steps_per_second: 0.75,
  });
  const { trainLoss: _, ...none } = { ...end, seconds: 0 };
  assert.deepEqual(toSummary(none, startEvent(0, "full")), { train_runtime: 0 });
  assert.deepEqual(toSummary({ ...end, step: 0, epoch: 0 }, startEvent(0, "full")), {
    ...{ train_loss: 1.75, train_runtime: 8, train_samples_per_second: 0 },
    train_steps_per_second: 0,
  });
  const one = { ...end, step: 1, epoch: 0.1, seconds: 0.5 };
  assert.deepEqual(toSummary(one, startEvent(0, "full")), {
    ...{ train_loss: 1.75, train_runtime: 0.5, train_samples_per_second: 4 },
    train_steps_per_second: 2,
  });
});

Deno.test("comparableLoss() is the mean over tokens, and of pairs that over pairs", () => {
  const losses = { evalLoss: 1, evalTokenLoss: 2 };
  assert.equal(comparableLoss(losses), 2);
  assert.equal(comparableLoss({ ...losses, figures: { bleu: 1 } }), 2);
  assert.equal(comparableLoss({ ...losses, figures: { "rewards/margins": 0 } }), 1);
});
