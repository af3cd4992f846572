import assert from "node:assert/strict";
import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";
import { createSampler } from "./sampling.ts";
import type { SamplerOptions } from "./sampling_options.ts";
import { TokenSequence } from "./token_sequence.ts";

// Probabilities 0.5, 0.3, 0.15 and 0.05, in another order.
const logits = Float32Array.of(Math.log(0.15), Math.log(0.5), Math.log(0.05), Math.log(0.3));

/** How often of `steps` evenly spaced draws each token comes. */
function shares(
  scores: Float32Array,
  options: SamplerOptions,
  previous?: TokenSequence,
): Record<number, number> {
  const steps = 10_000;
  const counts: Record<number, number> = {};
  for (let step = 0; step < steps; step++) {
    const sample = createSampler({ ...options, random: () => (step + 0.5) / steps });
    const id = sample(scores, previous);
    counts[id] = (counts[id] ?? 0) + 1 / steps;
  }
  return counts;
}

function assertShares(actual: Record<number, number>, wanted: Record<number, number>): void {
  assert.deepEqual(Object.keys(actual), Object.keys(wanted));
  for (const [id, share] of Object.entries(wanted)) {
    assert.ok(Math.abs(actual[Number(id)] - share) < 2e-4, `${id}: ${actual[Number(id)]}`);
  }
}

Deno.test("createSampler() draws by the softmax of the logits", () => {
  assertShares(shares(logits, {}), { 0: 0.15, 1: 0.5, 2: 0.05, 3: 0.3 });
});

Deno.test("createSampler() squares the odds at temperature 0.5", () => {
  const total = 0.25 + 0.09 + 0.0225 + 0.0025;
  assertShares(shares(logits, { temperature: 0.5 }), {
    0: 0.0225 / total,
    1: 0.25 / total,
    2: 0.0025 / total,
    3: 0.09 / total,
  });
});

Deno.test("createSampler() keeps the k likeliest, and those as likely as the last of them", () => {
  assertShares(shares(logits, { topK: 2 }), { 1: 0.5 / 0.8, 3: 0.3 / 0.8 });
  assertShares(shares(Float32Array.of(1, 2, 1, 0), { topK: 2, temperature: 1e9 }), {
    0: 1 / 3,
    1: 1 / 3,
    2: 1 / 3,
  });
  assertShares(shares(logits, { topK: 9 }), { 0: 0.15, 1: 0.5, 2: 0.05, 3: 0.3 });
});

Deno.test("createSampler() keeps the smallest set that reaches p, and at least one token", () => {
  assertShares(shares(logits, { topP: 1e-9 }), { 1: 1 });
  assertShares(shares(logits, { topP: 0.49 }), { 1: 1 });
  assertShares(shares(logits, { topP: 0.51 }), { 1: 0.5 / 0.8, 3: 0.3 / 0.8 });
  assertShares(shares(logits, { topP: 0.79 }), { 1: 0.5 / 0.8, 3: 0.3 / 0.8 });
  assertShares(shares(logits, { topP: 0.81 }), { 0: 0.15 / 0.95, 1: 0.5 / 0.95, 3: 0.3 / 0.95 });
  assertShares(shares(logits, { topP: 0.96 }), { 0: 0.15, 1: 0.5, 2: 0.05, 3: 0.3 });
});

Deno.test("createSampler() takes no token more where p is reached exactly", () => {
  // Four of a quarter each, which sum without rounding.
  const even = Float32Array.of(7, 7, 7, 7);
  assertShares(shares(even, { topP: 0.25 }), { 0: 1 });
  assertShares(shares(even, { topP: 0.5 }), { 0: 0.5, 1: 0.5 });
  assertShares(shares(even, { topP: 0.75 }), { 0: 1 / 3, 1: 1 / 3, 2: 1 / 3 });
});

Deno.test("createSampler() applies temperature, then top-k, then top-p of what is left", () => {
  // At temperature 0.5 among the best three: 0.0225, 0.25 and 0.09 of 0.3625, or 6%, 69% and 25%.
  const options = { temperature: 0.5, topK: 3 };
  assertShares(shares(logits, { ...options, topP: 0.68 }), { 1: 1 });
  assertShares(shares(logits, { ...options, topP: 0.93 }), { 1: 0.25 / 0.34, 3: 0.09 / 0.34 });
  assertShares(shares(logits, { ...options, topP: 0.95 }), {
    0: 0.0225 / 0.3625,
    1: 0.25 / 0.3625,
    3: 0.09 / 0.3625,
  });
});

Deno.test("createSampler() finds the same set in a large vocabulary as a full sort", () => {
  const random = MersenneTwister.fromSeed(7);
  for (const spread of [1, 8]) {
    const scores = Float32Array.from({ length: 5000 }, () => random.nextFloat53() * spread);
    const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b);
    const largest = scores[order[0]];
    const weights = order.map((id) => Math.exp(scores[id] - largest));
    const total = weights.reduce((sum, each) => sum + each);
    for (const topP of [0.1, 0.5, 0.9, 0.99]) {
      let reached = 0;
      const last = order[weights.findIndex((weight) => (reached += weight) >= topP * total)];
      const sample = createSampler({ topP, random: () => 1 - 2 ** -53 });
      assert.equal(sample(scores), last);
    }
  }
});

Deno.test("createSampler() takes the first of the likeliest where greedy", () => {
  const sample = createSampler({ greedy: true, topK: 1, random: () => assert.fail("a draw") });
  assert.equal(sample(Float32Array.of(-1, 4, 4, 2)), 1);
});

Deno.test("createSampler() divides positive and multiplies negative logits of past tokens", () => {
  const scores = Float32Array.of(2, 1.5, -1, -1.5);
  const sample = createSampler({ greedy: true, repetitionPenalty: 2 });
  assert.equal(sample(scores, new TokenSequence([0])), 1);
  assert.equal(sample(scores.subarray(2), new TokenSequence([0])), 1);
  assert.deepEqual([...scores], [2, 1.5, -1, -1.5]);
  const e = Math.E;
  const shared = shares(Float32Array.of(2, 0), { repetitionPenalty: 2 }, new TokenSequence([0]));
  assertShares(shared, { 0: e / (e + 1), 1: 1 / (e + 1) });
});

Deno.test("createSampler() draws one number a token and never a token ruled out", () => {
  let draws = 0;
  const sample = createSampler({ random: () => (draws++, draws % 2 ? 0 : 1 - 2 ** -53) });
  const scores = Float32Array.of(-Infinity, 1, 1, -Infinity);
  assert.deepEqual([sample(scores), sample(scores)], [1, 2]);
  assert.equal(draws, 2);
});

Deno.test("createSampler() refuses logits that are not finite", () => {
  const sample = createSampler({ greedy: true });
  assert.throws(() => sample(Float32Array.of(1, NaN, 3)), /logit of token 1 is NaN.*checkpoint/);
  assert.throws(() => sample(Float32Array.of(1, Infinity)), /token 1 is Infinity/);
  assert.throws(() => sample(Float32Array.of(-Infinity, -Infinity)), /is -Infinity/);
});

Deno.test("createSampler() names the option that is out of range", () => {
  const wrong: [SamplerOptions, RegExp][] = [
    [{ temperature: 0 }, /temperature 0: expected a number above 0.*greedy/],
    [{ temperature: -1 }, /temperature -1/],
    [{ temperature: NaN }, /temperature NaN/],
    [{ topK: -1 }, /topK -1.*0 for no limit/],
    [{ topK: 1.5 }, /topK 1.5/],
    [{ topP: 0 }, /topP 0/],
    [{ topP: 1.1 }, /topP 1.1/],
    [{ repetitionPenalty: 0 }, /repetitionPenalty 0/],
  ];
  for (const [options, message] of wrong) assert.throws(() => createSampler(options), message);
});
