import assert from "node:assert/strict";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import { dense, interpret } from "../../tests/support/reference_interpreter.ts";
import { correctionAfter, nextCorrection } from "./bias_correction.ts";

// Measured of 1: 6e-7, of a thousand float32 sums.
const ROUNDING = 2e-6;

Deno.test("correctionAfter() is 1 − βᵗ, as float32 sums it", () => {
  assert.equal(correctionAfter(0, 0.9), 0);
  assert.equal(correctionAfter(1, 0.9), Math.fround(0.1));
  assert.equal(correctionAfter(1, 0.5), 0.5);
  assert.deepEqual([2, 3, 4].map((updates) => correctionAfter(updates, 0.5)), [
    0.75,
    0.875,
    0.9375,
  ]);
  for (const beta of [0, 0.9, 0.999]) {
    for (const updates of [1, 2, 7, 1000]) {
      const error = correctionAfter(updates, beta) - (1 - beta ** updates);
      assert.ok(Math.abs(error) < ROUNDING, `${beta} after ${updates}: ${error}`);
    }
  }
});

Deno.test("nextCorrection() goes on from a correction, and stays where no update is made", () => {
  const next = (correction: number, made: number): number => {
    const b = new GraphBuilder("correction");
    const [c, m] = ["c", "made"].map((name) => b.input(name, "float32", []));
    b.output("next", nextCorrection(b, c, 0.75, m));
    const inputs = { c: dense([], () => correction), made: dense([], () => made) };
    return interpret(b.build(), inputs, {}).next.data[0];
  };
  assert.equal(next(0, 1), 0.25);
  assert.equal(next(0.25, 1), 0.4375);
  assert.equal(next(0.25, 0), 0.25);
});
