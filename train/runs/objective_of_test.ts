import assert from "node:assert/strict";
import { findObjective } from "../objectives/objectives.ts";
import { findPairObjective } from "../objectives/pair_objectives.ts";
import { objectiveOf, pairObjectiveOf } from "./objective_of.ts";

Deno.test("objectiveOf() finds the objective of a token, smoothed where asked for", () => {
  assert.equal(objectiveOf({}), findObjective("cross_entropy"));
  assert.equal(objectiveOf({ loss: "dft" }), findObjective("dft"));
  assert.equal(objectiveOf({ loss: "dft", labelSmoothingFactor: 0 }), findObjective("dft"));
  // Of pairs the chosen reply's tokens.
  assert.equal(objectiveOf({ loss: "dpo", labelSmoothingFactor: 0.5 }), findObjective());
  assert.notEqual(objectiveOf({ labelSmoothingFactor: 0.5 }), findObjective());
});

Deno.test("pairObjectiveOf() finds an objective of pairs alone, with its beta", () => {
  assert.equal(pairObjectiveOf({}), undefined);
  assert.equal(pairObjectiveOf({ loss: "dft" }), undefined);
  const chosen = { sum: -12, tokens: 4, reference: -11 };
  const rejected = { sum: -10, tokens: 3, reference: -8 };
  for (const loss of ["dpo", "orpo"]) {
    for (const beta of [undefined, 0.5]) {
      const found = pairObjectiveOf({ loss, beta });
      assert.deepEqual(
        found?.loss(chosen, rejected),
        findPairObjective(loss, beta ?? 0.1).loss(chosen, rejected),
      );
      assert.equal(found?.reference, loss === "dpo");
    }
  }
});
