import assert from "node:assert/strict";
import { findPairObjective, pairObjectives } from "./pair_objectives.ts";

// Relative to 1, of central differences in float64; measured 6.0e-11.
const GRADIENT = 1e-9;
const H = 1e-5;

const PAIRS = [
  {
    chosen: { sum: -12.5, tokens: 5, reference: -14 },
    rejected: { sum: -3.25, tokens: 2, reference: -3 },
  },
  {
    chosen: { sum: -0.5, tokens: 3, reference: -6 },
    rejected: { sum: -20, tokens: 9, reference: -7.5 },
  },
];

for (const name of Object.keys(pairObjectives)) {
  Deno.test(`${name}: gradients by both log-probabilities are those of finite differences`, () => {
    const objective = findPairObjective(name, 0.3);
    for (const { chosen, rejected } of PAIRS) {
      const { byChosen, byRejected, figures } = objective.loss(chosen, rejected);
      const moved = (of: typeof chosen, by: number) => ({ ...of, sum: of.sum + by });
      const slope = (at: (by: number) => number): number => (at(H) - at(-H)) / (2 * H);
      const [c, r] = [
        slope((by) => objective.loss(moved(chosen, by), rejected).loss),
        slope((by) => objective.loss(chosen, moved(rejected, by)).loss),
      ];
      assert.ok(Math.abs(byChosen - c) < GRADIENT, `${byChosen} for ${c}`);
      assert.ok(Math.abs(byRejected - r) < GRADIENT, `${byRejected} for ${r}`);
      assert.deepEqual(Object.keys(figures), [...objective.figures]);
    }
  });

  Deno.test(`${name}: replies that are almost certain, or next to impossible, have finite gradients`, () => {
    const objective = findPairObjective(name);
    for (const [chosen, rejected] of [[-1e-6, -5000], [-5000, -1e-6]]) {
      const reply = (sum: number) => ({ sum, tokens: 10, reference: -50 });
      const { loss, byChosen, byRejected } = objective.loss(reply(chosen), reply(rejected));
      assert.ok(
        [loss, byChosen, byRejected].every(Number.isFinite),
        `${[loss, byChosen, byRejected]}`,
      );
    }
  });
}
