/**
 * Chooses the next token.
 *
 * In: logits [vocab] in float32. Out: a token id. The order is that of Hugging Face's generate():
 * repetition penalty, temperature, top-k, top-p, softmax, draw.
 *
 * @module
 */

import { kthLargest } from "./kth_largest.ts";

/** How tokens are chosen. */
export interface SamplingOptions {
  /**
   * Divides the logits: below 1 likelier tokens become likelier still.
   * @default {1}
   */
  readonly temperature?: number;
  /**
   * Draws only among this many likeliest tokens (more where some are equally likely); 0 is off.
   * @default {0}
   */
  readonly topK?: number;
  /**
   * Draws only among the smallest set of tokens whose probabilities reach this sum; 1 is off.
   * Holtzman et al. 2019, https://arxiv.org/abs/1904.09751.
   * @default {1}
   */
  readonly topP?: number;
  /**
   * Takes the likeliest token, whatever the other options say but for the repetition penalty.
   * @default {false}
   */
  readonly greedy?: boolean;
  /**
   * Makes tokens of the sequence so far less likely where above 1.
   * Keskar et al. 2019, https://arxiv.org/abs/1909.05858.
   * @default {1}
   */
  readonly repetitionPenalty?: number;
}

/** Options of {@linkcode createSampler}. */
export interface SamplerOptions extends SamplingOptions {
  /**
   * Uniform draws from [0, 1), one a token; a seeded stream makes the same choices again.
   * @default {Math.random}
   */
  readonly random?: () => number;
}

/** Chooses a token from logits [vocab]; `previous` are the ids of the sequence so far. */
export type Sampler = (logits: Float32Array, previous?: ReadonlySet<number>) => number;

/** Tokens that may be drawn, each with its probability times a common factor. */
interface Candidates {
  readonly ids: Int32Array;
  readonly weights: Float64Array;
}

/**
 * Makes a sampler.
 *
 * @example
 * ```ts
 * import { createSampler } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const logits = Float32Array.of(0, 3, 2, 1);
 * assert.equal(createSampler({ greedy: true })(logits), 1);
 * const second = createSampler({ topK: 2, random: () => 0.9 });
 * assert.equal(second(logits), 2);
 * ```
 *
 * @throws {RangeError} where an option is outside its range
 */
export function createSampler(options: SamplerOptions = {}): Sampler {
  const { temperature = 1, topK = 0, topP = 1, greedy = false, repetitionPenalty = 1 } = options;
  const { random = Math.random } = options;
  assertSampling({ temperature, topK, topP, greedy, repetitionPenalty });
  return (logits, previous = new Set()) => {
    const scores = penalize(logits, previous, repetitionPenalty);
    const best = likeliest(scores);
    if (greedy) return best;
    const few = topK > 0 && topK < scores.length;
    const ids = few ? idsFrom(scores, kthLargest(scores, topK)) : allIds(scores.length);
    const largest = scores[best];
    const weights = Float64Array.from(ids, (id) => Math.exp((scores[id] - largest) / temperature));
    const candidates = topP < 1 ? nucleus({ ids, weights }, topP) : { ids, weights };
    return draw(candidates, random());
  };
}

/**
 * Checks options, so that a mistake shows before the model is run.
 *
 * @example
 * ```ts
 * import { assertSampling } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * assertSampling({ temperature: 0.6, topP: 0.95 });
 * assert.throws(() => assertSampling({ temperature: 0 }), RangeError);
 * ```
 *
 * @throws {RangeError} naming the option and its range
 */
export function assertSampling(options: SamplingOptions): void {
  const { temperature = 1, topK = 0, topP = 1, repetitionPenalty = 1 } = options;
  const fail = (name: string, value: number, expected: string): never => {
    throw new RangeError(`Cannot sample with ${name} ${value}: expected ${expected}`);
  };
  if (!(temperature > 0 && temperature < Infinity)) {
    fail("temperature", temperature, "a number above 0; for the likeliest token pass greedy");
  }
  if (!Number.isSafeInteger(topK) || topK < 0) {
    fail("topK", topK, "a whole number, 0 for no limit");
  }
  if (!(topP > 0 && topP <= 1)) fail("topP", topP, "a number above 0 and up to 1, 1 for no limit");
  if (!(repetitionPenalty > 0 && repetitionPenalty < Infinity)) {
    fail("repetitionPenalty", repetitionPenalty, "a number above 0, 1 for none");
  }
}

/** A positive logit divided, a negative one multiplied: both become less likely. */
function penalize(
  logits: Float32Array,
  previous: ReadonlySet<number>,
  penalty: number,
): Float32Array {
  if (penalty === 1) return logits;
  const scores = logits.slice();
  for (const id of previous) {
    scores[id] = scores[id] > 0 ? scores[id] / penalty : scores[id] * penalty;
  }
  return scores;
}

/** The first of the largest. */
function likeliest(scores: Float32Array): number {
  let best = 0;
  for (let id = 0; id < scores.length; id++) {
    if (Number.isNaN(scores[id])) throw notFinite(id, NaN);
    if (scores[id] > scores[best]) best = id;
  }
  // −Infinity rules a token out, but not all of them.
  if (!Number.isFinite(scores[best])) throw notFinite(best, scores[best]);
  return best;
}

function notFinite(id: number, value: number): RangeError {
  return new RangeError(
    `Cannot choose a token: the logit of token ${id} is ${value}; the weights are not finite, as ` +
      "after a training run that diverged: go back to an earlier checkpoint",
  );
}

function allIds(length: number): Int32Array {
  const ids = new Int32Array(length);
  for (let id = 0; id < length; id++) ids[id] = id;
  return ids;
}

function idsFrom(scores: Float32Array, least: number): Int32Array {
  const ids: number[] = [];
  for (let id = 0; id < scores.length; id++) if (scores[id] >= least) ids.push(id);
  return Int32Array.from(ids);
}

/** The smallest set of candidates that reaches `topP` of their whole, likeliest first. */
function nucleus({ ids, weights }: Candidates, topP: number): Candidates {
  const total = sum(weights);
  // All candidates below this floor together hold less than 1 − topP of the whole, so the set is
  // full before it gets to them: of a vocabulary only few are left to sort.
  const floor = (1 - topP) * total / weights.length;
  const order: number[] = [];
  for (let i = 0; i < weights.length; i++) if (weights[i] >= floor) order.push(i);
  order.sort((a, b) => weights[b] - weights[a]);
  let count = 0;
  for (let reached = 0; count < order.length && reached < topP * total; count++) {
    reached += weights[order[count]];
  }
  const kept = order.slice(0, count);
  return {
    ids: Int32Array.from(kept, (i) => ids[i]),
    weights: Float64Array.from(kept, (i) => weights[i]),
  };
}

/** The candidate at `uniform` of the way through their sum. */
function draw({ ids, weights }: Candidates, uniform: number): number {
  let left = uniform * sum(weights);
  let drawn = ids[0];
  // Rounding may lead past the end: then the last one that has any weight is it.
  for (let i = 0; i < ids.length && left >= 0; i++) {
    if (weights[i] > 0) drawn = ids[i];
    left -= weights[i];
  }
  return drawn;
}

function sum(values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}
