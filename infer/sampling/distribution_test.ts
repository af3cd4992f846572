import assert from "node:assert/strict";
import { createDistribution } from "./distribution.ts";
import type { SamplerOptions } from "./sampling_options.ts";
import type { TokenConstraint } from "./token_constraint.ts";
import { TokenSequence } from "./token_sequence.ts";

// Probabilities of an eighth, a half, a quarter and an eighth.
const logits = Float32Array.from([2, 8, 4, 2], Math.log);

/** A constraint that rules tokens out. */
function without(...ids: readonly number[]): TokenConstraint {
  return {
    apply: (scores) => ids.forEach((id) => scores[id] = -Infinity),
    push: () => {},
    finished: false,
  };
}

/** Ids that may be drawn, in their order. */
function ids(options: Omit<SamplerOptions, "random">, sequence?: TokenSequence): number[] {
  return [...createDistribution(options).candidates(logits, sequence).ids];
}

Deno.test("createDistribution() keeps all tokens in their order unless an option says otherwise", () => {
  const { ids, weights } = createDistribution({}).candidates(Float32Array.of(0, 2, 1));
  assert.deepEqual(ids, Int32Array.of(0, 1, 2));
  assert.deepEqual(weights, Float64Array.of(Math.exp(-2), 1, Math.exp(-1)));
});

Deno.test("createDistribution() narrows by each option", () => {
  const cases: readonly (readonly [Omit<SamplerOptions, "random">, readonly number[]])[] = [
    [{ topK: 1 }, [1]],
    [{ topK: 2 }, [1, 2]],
    [{ topP: 0.7 }, [1, 2]],
    [{ topP: 0.4 }, [1]],
    [{ minP: 0.4 }, [1, 2]],
    [{ minP: 0.2 }, [0, 1, 2, 3]],
    [{ typicalP: 0.2 }, [2]],
    [{ epsilonCutoff: 0.2 }, [1, 2]],
    [{ etaCutoff: 0.43 ** 2 }, [1, 2]],
    [{ etaCutoff: 0.16 }, [0, 1, 2, 3]],
    [{ topH: 0.6 }, [1, 2]],
    [{ topH: 1, topK: 2 }, [1, 2]],
    // Top-h comes first, of all tokens: of two alone it would keep the first.
    [{ topH: 0.6, topK: 1 }, [1]],
    [{ topH: 0.8, topK: 2 }, [1, 2]],
    // Of the half and the quarter the half is two thirds.
    [{ topK: 2, topP: 0.6 }, [1]],
    [{ topP: 0.7, epsilonCutoff: 0.3 }, [1, 2]],
    // Without the eighths the half is nearer to the entropy.
    [{ topK: 2, typicalP: 0.5 }, [1]],
    [{ temperature: 0.5, topP: 0.7 }, [1]],
  ];
  for (const [options, expected] of cases) {
    assert.deepEqual(ids(options), expected, JSON.stringify(options));
  }
});

Deno.test("createDistribution() reads the sequence, and without one none", () => {
  const options = { noRepeatNgramSize: 1 };
  const { best } = createDistribution(options);
  assert.equal(best(logits), 1);
  assert.equal(best(logits, new TokenSequence([1])), 2);
  const weights = createDistribution(options).candidates(logits, new TokenSequence([1])).weights;
  assert.equal(weights[1], 0);
});

Deno.test("createDistribution() leaves the logits as they are, whatever their number", () => {
  const { best } = createDistribution({ suppressTokens: [1] });
  const longer = Float32Array.of(0, 9, 1, 8);
  assert.equal(best(longer), 3);
  assert.equal(best(Float32Array.of(3, 9, 5)), 2);
  assert.equal(best(longer), 3);
  assert.deepEqual(longer, Float32Array.of(0, 9, 1, 8));
});

Deno.test("createDistribution() applies a constraint after the options, and alone where nothing is left", () => {
  const both = { suppressTokens: [1], constraint: without(2) };
  const { best, candidates } = createDistribution(both);
  assert.equal(best(Float32Array.of(1, 9, 8, 2)), 3);
  assert.deepEqual(candidates(Float32Array.of(0, 9, 8, 0)).weights, Float64Array.of(1, 0, 0, 1));
  const none = createDistribution({ suppressTokens: [0, 3], constraint: without(1, 2) });
  assert.equal(none.best(Float32Array.of(1, 9, 8, 2)), 3);
  const alone = createDistribution({ constraint: without(1) });
  assert.equal(alone.best(Float32Array.of(1, 9, 8, 2)), 2);
});

Deno.test("createDistribution() tells weights that are not finite from options that rule all out", () => {
  const fails = (
    options: Omit<SamplerOptions, "random">,
    values: readonly number[],
    message: string,
  ): void => {
    const { best, candidates } = createDistribution(options);
    for (const choose of [best, candidates]) {
      assert.throws(() => choose(Float32Array.from(values)), new RangeError(message));
    }
  };
  const notFinite = (id: number, value: number): string =>
    `Cannot choose a token: the logit of token ${id} is ${value}; the weights are not finite, as ` +
    "after a training run that diverged: go back to an earlier checkpoint";
  fails({}, [1, NaN, 2], notFinite(1, NaN));
  fails({}, [NaN, 1], notFinite(0, NaN));
  fails({}, [1, 2, Infinity], notFinite(2, Infinity));
  fails({}, [-Infinity, -Infinity], notFinite(0, -Infinity));
  fails({ suppressTokens: [0] }, [1, 2, Infinity], notFinite(2, Infinity));
  const all =
    "Cannot choose a token: the options of generation rule out every one; take back what " +
    "bans tokens, such as no_repeat_ngram_size, bad_words_ids or suppress_tokens";
  fails({ suppressTokens: [0, 1] }, [1, 2], all);
  fails({ constraint: without(0, 1) }, [1, 2], all);
});

Deno.test("createDistribution() takes the first of the likeliest", () => {
  const { best } = createDistribution({});
  assert.equal(best(Float32Array.of(4, 1, 4)), 0);
  assert.equal(best(Float32Array.of(1, 4, 4)), 1);
  assert.equal(best(Float32Array.of(-3, -Infinity, -2)), 2);
});
