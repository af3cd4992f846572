import assert from "node:assert/strict";
import { logSigmoid, PAIR_FIGURES, rewardFigures, sigmoid } from "./pair_objective.ts";

Deno.test("rewardFigures() has TRL's names, and counts a pair of equal rewards as not won", () => {
  const logps = { chosen: -7, rejected: -9 };
  const figures = (chosen: number, rejected: number) => rewardFigures({ chosen, rejected }, logps);
  assert.deepEqual(figures(2, -0.5), {
    "rewards/chosen": 2,
    "rewards/rejected": -0.5,
    "rewards/accuracies": 1,
    "rewards/margins": 2.5,
    "logps/chosen": -7,
    "logps/rejected": -9,
  });
  const won = [[1, 2], [2, 2], [3, 2]].map(([a, b]) => figures(a, b)["rewards/accuracies"]);
  assert.deepEqual(won, [0, 0, 1]);
  assert.deepEqual(PAIR_FIGURES, [
    ...Object.keys(figures(0, 0)),
    ...["log_odds_ratio", "log_odds_chosen", "nll_loss"],
  ]);
});

Deno.test("sigmoid() and its log neither overflow nor lose what is small", () => {
  // log σ(2) = -log(1 + e^-2), and log σ(x) is x itself far below 0.
  assert.ok(Math.abs(logSigmoid(2) + 0.1269280110429725) < 1e-16);
  assert.ok(Math.abs(logSigmoid(-2) + 2.1269280110429727) < 1e-15);
  assert.equal(logSigmoid(0), -Math.log(2));
  assert.deepEqual([logSigmoid(-1000), logSigmoid(1000) === 0], [-1000, true]);
  assert.ok(Math.abs(logSigmoid(40) / Math.exp(-40) + 1) < 1e-15);
  assert.ok(Math.abs(sigmoid(2) - 0.8807970779778823) < 1e-15);
  assert.ok(Math.abs(sigmoid(-2) - 0.11920292202211757) < 1e-16);
});
