import assert from "node:assert/strict";
import { findBest } from "./best_evaluation.ts";
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
