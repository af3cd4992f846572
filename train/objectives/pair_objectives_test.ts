import assert from "node:assert/strict";
import { DEFAULT_BETA, findPairObjective, isPairLoss, pairObjectives } from "./pair_objectives.ts";

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

/** Whether numbers are equal but for roundings. */
function assertNear(actual: object, expected: Readonly<Record<string, number>>): void {
  assert.deepEqual(Object.keys(actual), Object.keys(expected));
  for (const [name, value] of Object.entries(actual)) {
    assert.ok(Math.abs(value - expected[name]) < 1e-14, `${name}: ${value}`);
  }
}

Deno.test("DPO tells rewards by the reference, and its forms have the losses of their papers", () => {
  const chosen = { sum: -10, tokens: 4, reference: -12 };
  const rejected = { sum: -7, tokens: 2, reference: -5 };
  const of = (name: string, beta: number) => {
    const { figures, ...rest } = findPairObjective(name, beta).loss(chosen, rejected);
    assertNear(figures, {
      "rewards/chosen": 2 * beta,
      "rewards/rejected": -2 * beta,
      "rewards/accuracies": 1,
      "rewards/margins": 4 * beta,
      "logps/chosen": -10,
      "logps/rejected": -7,
    });
    return rest;
  };
  // -log σ(2), and half of σ(-2).
  const [loss, slope] = [0.1269280110429725, 0.05960146101105877];
  assertNear(of("dpo", 0.5), { loss, byChosen: -slope, byRejected: slope });
  assertNear(of("dpo_hinge", 0.5), { loss: 0, byChosen: 0, byRejected: 0 });
  assertNear(of("dpo_hinge", 0.125), { loss: 0.5, byChosen: -0.125, byRejected: 0.125 });
  // A mean of 2 / 4 + 2 / 2 a token, beside 1 / (2 · 0.25).
  assertNear(of("ipo", 0.25), { loss: 0.25, byChosen: -0.25, byRejected: 0.5 });
});

Deno.test("the hinge has no slope where its margin is just reached", () => {
  const reply = (sum: number) => ({ sum, tokens: 1, reference: -5 });
  const { loss, byChosen } = findPairObjective("dpo_hinge", 0.5).loss(reply(-4), reply(-6));
  assert.deepEqual([loss, byChosen === 0], [0, true]);
});

Deno.test("ORPO goes by means over tokens, and tells odds", () => {
  const { figures, ...rest } = findPairObjective("orpo", 0.5).loss(
    { sum: -2, tokens: 4, reference: 0 },
    { sum: -4, tokens: 2, reference: 0 },
  );
  // 3/2 - log(1 - 1/√e) + log(1 - 1/e²), and log σ of it.
  const [odds, ratio] = [2.2873386716983295, -0.09670586364939958];
  assertNear(figures, {
    "rewards/chosen": -0.25,
    "rewards/rejected": -1,
    "rewards/accuracies": 1,
    "rewards/margins": 0.75,
    "logps/chosen": -0.5,
    "logps/rejected": -2,
    log_odds_ratio: ratio,
    log_odds_chosen: odds,
  });
  // Half of σ(-odds), over 1 - p of each, and over its tokens.
  const slope = 0.046088504696061586;
  assertNear(rest, {
    loss: -ratio / 2,
    byChosen: -slope / (1 - Math.exp(-0.5)) / 4,
    byRejected: slope / (1 - Math.exp(-2)) / 2,
  });
});

Deno.test("objectives of pairs are found by name, with TRL's beta", () => {
  assert.deepEqual(Object.keys(pairObjectives), ["dpo", "dpo_hinge", "ipo", "orpo"]);
  assert.deepEqual(Object.keys(pairObjectives).map(isPairLoss), [true, true, true, true]);
  assert.deepEqual([undefined, "dft", "toString"].map(isPairLoss), [false, false, false]);
  assert.equal(DEFAULT_BETA, 0.1);
  const [chosen, rejected] = [-3, -5].map((sum) => ({ sum, tokens: 2, reference: -4 }));
  assert.deepEqual(
    findPairObjective("dpo").loss(chosen, rejected),
    findPairObjective("dpo", 0.1).loss(chosen, rejected),
  );
  assert.throws(() => findPairObjective("simpo"), {
    message: 'Cannot find objective of pairs "simpo": there are dpo, dpo_hinge, ipo, orpo',
  });
});

Deno.test("DPO compares with a reference, and ORPO learns the chosen texts too", () => {
  const flags = Object.keys(pairObjectives).map((name) => {
    const { reference, chosenNll } = findPairObjective(name);
    return [reference, chosenNll];
  });
  assert.deepEqual(flags, [[true, false], [true, false], [true, false], [false, true]]);
});

Deno.test("ORPO's odds of a reply that is next to certain are not lost in rounding", () => {
  const reply = (sum: number) => ({ sum, tokens: 1, reference: 0 });
  const { log_odds_chosen } = findPairObjective("orpo").loss(reply(-1e-20), reply(-2)).figures;
  // 2 - log(1e-20) + log(1 - 1/e²).
  const expected = 2 + 20 * Math.LN10 + Math.log1p(-Math.exp(-2));
  assert.ok(Math.abs(log_odds_chosen - expected) < 1e-12);
});
