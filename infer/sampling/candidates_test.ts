import assert from "node:assert/strict";
import {
  type Candidates,
  candidatesOf,
  drawFrom,
  keepEpsilon,
  keepEta,
  keepMinP,
  keepTopH,
  keepTopK,
  keepTopP,
  keepTypical,
} from "./candidates.ts";

/** Candidates with ids that are not their places. */
function candidates(...weights: readonly number[]): Candidates {
  return {
    ids: Int32Array.from(weights, (_, i) => 10 + i),
    weights: Float64Array.from(weights),
  };
}

/** What a filter keeps, as places and weights, in its order. */
function kept({ ids, weights }: Candidates): readonly (readonly [number, number])[] {
  assert.equal(ids.length, weights.length);
  return Array.from(ids, (id, i) => [id - 10, weights[i]] as const);
}

/** Checks a filter with several limits on the same weights; given are the places that are left. */
function check(
  filter: (candidates: Candidates, limit: number) => Candidates,
  weights: readonly number[],
  cases: readonly (readonly [limit: number, places: readonly number[]])[],
): void {
  for (const [limit, places] of cases) {
    assert.deepEqual(
      kept(filter(candidates(...weights), limit)),
      places.map((place) => [place, weights[place]]),
      `${limit} of ${weights}`,
    );
  }
}

Deno.test("candidatesOf() has the likeliest and those as likely as the last, by the softmax at a temperature", () => {
  const scores = Float32Array.of(1, 3, 2, 3, -Infinity);
  const of = (topK: number): Candidates => candidatesOf(scores, { best: 1, temperature: 2, topK });
  const weights = [Math.exp(-1), 1, Math.exp(-0.5), 1, 0];
  for (
    const [topK, ids] of [
      [0, [0, 1, 2, 3, 4]],
      [1, [1, 3]],
      [2, [1, 3]],
      [3, [1, 2, 3]],
      [4, [0, 1, 2, 3]],
      [5, [0, 1, 2, 3, 4]],
      [6, [0, 1, 2, 3, 4]],
    ] as const
  ) {
    assert.deepEqual(of(topK), {
      ids: Int32Array.from(ids),
      weights: Float64Array.from(ids, (id) => weights[id]),
    });
  }
});

Deno.test("keepTopK() keeps the likeliest in their order, and those as likely as the last", () => {
  check(keepTopK, [1, 4, 2, 0.5, 2], [
    [1, [1]],
    [2, [1, 2, 4]],
    [3, [1, 2, 4]],
    [4, [0, 1, 2, 4]],
    [5, [0, 1, 2, 3, 4]],
    [6, [0, 1, 2, 3, 4]],
  ]);
});

Deno.test("keepTopP() keeps the likeliest first until they reach the sum", () => {
  check(keepTopP, [2, 1, 4, 3], [
    [0.4, [2]],
    [0.41, [2, 3]],
    [0.7, [2, 3]],
    [0.75, [2, 3, 0]],
    [0.9, [2, 3, 0]],
    [0.95, [2, 3, 0, 1]],
  ]);
  // As likely as the mean of all, which is the least that may be looked at.
  check(keepTopP, [1, 1, 1], [[2 ** -1022, [0]]]);
  check(keepTopP, [5], [[0.5, [0]]]);
});

Deno.test("keepMinP() keeps what has a share of the likeliest one's probability", () => {
  check(keepMinP, [1, 4, 2, 0.5], [
    [0, [0, 1, 2, 3]],
    [0.125, [0, 1, 2, 3]],
    [0.126, [0, 1, 2]],
    [0.5, [1, 2]],
    [0.51, [1]],
    [1, [1]],
  ]);
});

Deno.test("keepTypical() keeps what is nearest to the entropy, and what is as near as the last", () => {
  // A half, a quarter and two eighths: 1, 2 and 3 bits each, 1.75 on average. The quarter is 0.25
  // away, the half 0.75, the eighths 1.25.
  check(keepTypical, [8, 2, 4, 2], [
    [0.1, [2]],
    [0.25, [2]],
    [0.26, [2, 0]],
    [0.75, [2, 0]],
    [0.76, [2, 0, 1, 3]],
    [0.99, [2, 0, 1, 3]],
  ]);
  // What has no weight is furthest.
  check(keepTypical, [8, 0, 2, 4, 2], [[0.75, [3, 0]], [0.99, [3, 0, 2, 4]]]);
  // Ten tenths are a little less than 1.
  check(keepTypical, Array.from({ length: 10 }, () => 1), [[1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]]);
  check(keepTypical, [3], [[0.5, [0]]]);
});

Deno.test("keepEpsilon() keeps a probability and the likeliest", () => {
  check(keepEpsilon, [2, 8, 4, 2], [
    [0, [0, 1, 2, 3]],
    [0.125, [0, 1, 2, 3]],
    [0.126, [1, 2]],
    [0.25, [1, 2]],
    [0.5, [1]],
    [0.9, [1]],
  ]);
  check(keepEpsilon, [1, 1], [[0.9, [0, 1]]]);
  check(keepEpsilon, [0.25, 0.5], [[0.9, [1]]]);
});

Deno.test("keepEta() takes the smaller of epsilon and what the entropy makes of it", () => {
  // Entropy 1.75 bits: the limit is at most √epsilon · 2^-1.75, which is √epsilon · 0.2973.
  check(keepEta, [2, 8, 4, 2], [
    // 0.4 · 0.2973 = 0.1189 keeps an eighth.
    [0.16, [0, 1, 2, 3]],
    // 0.43 · 0.2973 = 0.1278 does not.
    [0.43 ** 2, [1, 2]],
    [0.85 ** 2, [1]],
  ]);
  // Entropy 0.778 nats: of 0.01 the square root makes 0.046, more than itself.
  check(keepEta, [49, 2, 49], [[0.01, [0, 1, 2]], [0.021, [0, 2]]]);
});

Deno.test("keepTopH() keeps the likeliest while their shares of the entropy stay below the limit", () => {
  // In eighths of a bit the shares are 4, 4, 3 and 3 of 14.
  check(keepTopH, [2, 8, 4, 2], [
    [0.1, [1]],
    [7.9 / 14, [1]],
    [8.1 / 14, [1, 2]],
    [10.9 / 14, [1, 2]],
    [11.1 / 14, [1, 2, 0]],
    [1, [1, 2, 0, 3]],
  ]);
  check(keepTopH, [1, 1], [[1, [0, 1]]]);
  check(keepTopH, [1, 0], [[0.5, [0, 1]]]);
  check(keepTopH, [5], [[0.5, [0]]]);
});

Deno.test("keepTopH() looks at a hundred tokens, and at their own entropy", () => {
  const even = Array.from({ length: 101 }, () => 1);
  assert.deepEqual(
    kept(keepTopH(candidates(...even), 1)),
    even.slice(1).map((weight, place) => [place, weight]),
  );
  // A hundred of a hundredth each: half of the entropy is that of fifty.
  assert.equal(kept(keepTopH(candidates(...even), 0.505)).length, 50);
});

Deno.test("drawFrom() draws by the weights and never what has none", () => {
  const cases: readonly (readonly [readonly number[], number, number])[] = [
    [[1, 0, 3], 0, 0],
    [[1, 0, 3], 0.2, 0],
    [[1, 0, 3], 0.25, 2],
    [[1, 0, 3], 0.99, 2],
    [[0, 2, 2], 0, 1],
    [[0, 2, 2], 0.49, 1],
    [[0, 2, 2], 0.5, 2],
    // Past the end, where rounding may lead.
    [[1, 3, 0], 1, 1],
    [[0, 0], 0.5, 0],
  ];
  for (const [weights, uniform, place] of cases) {
    assert.equal(drawFrom(candidates(...weights), uniform), 10 + place, `${weights} ${uniform}`);
  }
});
