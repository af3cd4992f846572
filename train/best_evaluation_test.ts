import assert from "node:assert/strict";
import {
  BEST_METRICS,
  type BestMetric,
  findBest,
  GENERATED_METRICS,
  METRIC_NAMES,
} from "./best_evaluation.ts";
import type { LogRow } from "./log_row.ts";

function history(...losses: (number | "NaN")[]): LogRow[] {
  return losses.flatMap((loss, i) => {
    const at = { epoch: i, step: 10 * (i + 1) };
    return [
      { ...at, loss: 0, grad_norm: 1, learning_rate: 1 },
      { ...at, eval_loss: loss, eval_token_loss: typeof loss === "number" ? -loss : loss },
    ];
  });
}

Deno.test("findBest() has nothing to say of a run that was not evaluated", () => {
  assert.equal(findBest([]), undefined);
  assert.equal(
    findBest([{ epoch: 1, step: 1, loss: 1, grad_norm: 1, learning_rate: 1 }]),
    undefined,
  );
});

Deno.test("findBest() takes the earliest of equals and counts what came after", () => {
  assert.deepEqual(findBest(history(3, 2, 2, 2.5)), { step: 20, value: 2, stale: 2 });
});

Deno.test("findBest() goes by the metric that is asked for", () => {
  assert.equal(findBest(history(3, 2, 4), { metric: "eval_token_loss" })?.step, 30);
});

Deno.test("findBest() takes the highest accuracy and margin of pairs", () => {
  const rows = history(3, 2, 4).map((row, i) =>
    "eval_loss" in row ? { ...row, "eval_rewards/margins": [0, -1, 0, 0.5, 0, 0.25][i] } : row
  );
  assert.deepEqual(findBest(rows, { metric: "eval_rewards/margins" }), {
    step: 20,
    value: 0.5,
    stale: 1,
  });
});

Deno.test("findBest() never takes an evaluation that is not finite, and counts it as no better", () => {
  assert.deepEqual(findBest(history("NaN", 2, "NaN")), { step: 20, value: 2, stale: 1 });
  assert.equal(findBest(history("NaN")), undefined);
});

Deno.test("findBest() lets small falls be the best but not the end of staleness", () => {
  const best = findBest(history(3, 2.95, 2.9, 2.2), { threshold: 0.5 });
  assert.deepEqual(best, { step: 40, value: 2.2, stale: 0 });
  assert.deepEqual(findBest(history(3, 2.95, 2.9), { threshold: 0.5 }), {
    step: 30,
    value: 2.9,
    stale: 2,
  });
});

Deno.test("findBest() takes the highest of a measure of which higher is better", () => {
  const rows = [0.2, 0.5, 0.4].map((eval_rouge_l, i): LogRow => (
    { epoch: i, step: i + 1, eval_loss: 1, eval_token_loss: 1, eval_rouge_l }
  ));
  assert.deepEqual(findBest(rows, { metric: "eval_rouge_l" }), { step: 2, value: 0.5, stale: 1 });
  assert.equal(findBest(rows, { metric: "eval_bleu" }), undefined);
});

Deno.test("findBest() holds the threshold against the metric itself, of which higher or lower is better", () => {
  const rows = [0.5, 0.8, 1.5].map((value, i): LogRow => (
    { epoch: i, step: i + 1, eval_loss: 2 - value, eval_token_loss: 1, eval_bleu: value }
  ));
  for (const metric of ["eval_loss", "eval_bleu"] as const) {
    const stale = (rise: number) =>
      findBest(rows.slice(0, rise), { metric, threshold: 0.5 })?.stale;
    // 0.3 are not enough, and 0.7 are.
    assert.deepEqual([1, 2, 3].map(stale), [0, 1, 0], metric);
  }
  const half = [1, 0.5].map((eval_loss, i): LogRow => (
    { epoch: i, step: i + 1, eval_loss, eval_token_loss: 1 }
  ));
  assert.deepEqual(findBest(half, { threshold: 0.5 }), { step: 2, value: 0.5, stale: 1 });
});

Deno.test("of losses, repetition and length the lowest is the best, of all other metrics the highest", () => {
  const generated = [
    ...["choice_accuracy", "exact_match", "token_f1", "rouge_1", "rouge_2", "rouge_l", "bleu"],
    ...["form", "stop_rate", "think_loss", "answer_loss", "repetition"],
  ].map((name) => `eval_${name}`);
  assert.deepEqual(GENERATED_METRICS, generated);
  assert.deepEqual(BEST_METRICS, [
    ...["eval_loss", "eval_token_loss", "eval_rewards/accuracies", "eval_rewards/margins"],
    ...generated,
  ]);
  const lower = BEST_METRICS.filter((metric) => {
    const rows = [3, 5].map((value, i): LogRow => (
      { epoch: i, step: i + 1, eval_loss: value, eval_token_loss: value, [metric]: value }
    ));
    return findBest(rows, { metric })?.value === 3;
  });
  assert.deepEqual(lower, [
    ...["eval_loss", "eval_token_loss", "eval_think_loss", "eval_answer_loss", "eval_repetition"],
  ]);
  const named = BEST_METRICS.slice(0, 4).map((metric: BestMetric) => METRIC_NAMES[metric]);
  assert.deepEqual(named, ["eval loss", "per token", "eval accuracy", "eval margin"]);
  assert.ok(GENERATED_METRICS.every((metric) => METRIC_NAMES[metric].length > 0));
});
