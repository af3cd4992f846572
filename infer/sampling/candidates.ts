/**
 * Tokens that may be drawn, and what narrows them down.
 *
 * In: logits [vocab] in float32, or candidates. Out: candidates, each with its probability times a
 * common factor. Each filter keeps the tokens that the warper of the same name keeps in Hugging
 * Face's generate(), and at least one. Not part of the public surface.
 */

import { kthLargest } from "./kth_largest.ts";

/** Tokens that may be drawn. */
export interface Candidates {
  readonly ids: Int32Array;
  /** Probabilities times a common factor. */
  readonly weights: Float64Array;
}

/** Most tokens that top-h looks at. */
const TOP_H_TOKENS = 100;

/**
 * The `topK` likeliest tokens and those as likely as the last of them, or all where `topK` is 0.
 *
 * @param best the likeliest token, whose weight is 1
 */
export function candidatesOf(scores: Float32Array, { best, temperature, topK }: {
  readonly best: number;
  readonly temperature: number;
  readonly topK: number;
}): Candidates {
  const few = topK > 0 && topK < scores.length;
  const ids = few ? idsFrom(scores, kthLargest(scores, topK)) : allIds(scores.length);
  const largest = scores[best];
  return {
    ids,
    weights: Float64Array.from(ids, (id) => Math.exp((scores[id] - largest) / temperature)),
  };
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

/** The `count` likeliest, and those as likely as the last of them. */
export function keepTopK(candidates: Candidates, count: number): Candidates {
  const { weights } = candidates;
  if (weights.length <= count) return candidates;
  const least = Float64Array.from(weights).sort()[weights.length - count];
  return keep(candidates, (weight) => weight >= least);
}

/** The smallest set of candidates that reaches `topP` of their whole, likeliest first. */
export function keepTopP({ ids, weights }: Candidates, topP: number): Candidates {
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
  return pick({ ids, weights }, order.slice(0, count));
}

/** Those with at least `minP` of the likeliest one's probability. */
export function keepMinP(candidates: Candidates, minP: number): Candidates {
  const least = minP * largestOf(candidates.weights);
  return keep(candidates, (weight) => weight >= least);
}

/** Those whose probability is nearest to what the entropy leads to expect, up to `typicalP`. */
export function keepTypical(candidates: Candidates, typicalP: number): Candidates {
  const { weights } = candidates;
  const total = sum(weights);
  const entropy = entropyOf(weights);
  const distance = Float64Array.from(
    weights,
    (weight) => Math.abs(-Math.log(weight / total) - entropy),
  );
  const order = Array.from(weights.keys()).sort((a, b) => distance[a] - distance[b]);
  let last = 0;
  for (let reached = 0; last < order.length; last++) {
    reached += weights[order[last]] / total;
    if (reached >= typicalP) break;
  }
  const limit = distance[order[Math.min(last, order.length - 1)]];
  return pick(candidates, order.filter((i) => distance[i] <= limit));
}

/** Those with at least the probability `epsilon`, and always the likeliest. */
export function keepEpsilon(candidates: Candidates, epsilon: number): Candidates {
  const { weights } = candidates;
  const least = epsilon * sum(weights);
  const largest = largestOf(weights);
  return keep(candidates, (weight) => weight >= least || weight === largest);
}

/** As {@linkcode keepEpsilon}, with a limit that falls with the entropy. */
export function keepEta(candidates: Candidates, epsilon: number): Candidates {
  const entropy = entropyOf(candidates.weights);
  return keepEpsilon(candidates, Math.min(epsilon, Math.sqrt(epsilon) * Math.exp(-entropy)));
}

/** The likeliest whose shares of the entropy reach `topH` of it. */
export function keepTopH(candidates: Candidates, topH: number): Candidates {
  const { weights } = candidates;
  const order = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a])
    .slice(0, TOP_H_TOKENS);
  const likeliest = pick(candidates, order);
  const total = sum(likeliest.weights);
  const limit = entropyOf(likeliest.weights) * topH;
  let reached = 0;
  let count = 0;
  for (; count < order.length; count++) {
    const share = likeliest.weights[count] / total;
    if (share > 0) reached -= share * Math.log(share);
    if (count > 0 && reached > limit) break;
  }
  return pick(candidates, order.slice(0, count));
}

/** The candidate at `uniform` of the way through their sum. */
export function drawFrom({ ids, weights }: Candidates, uniform: number): number {
  let left = uniform * sum(weights);
  let drawn = ids[0];
  // Rounding may lead past the end: then the last one that has any weight is it.
  for (let i = 0; i < ids.length && left >= 0; i++) {
    if (weights[i] > 0) drawn = ids[i];
    left -= weights[i];
  }
  return drawn;
}

/** In nats. */
function entropyOf(weights: Float64Array): number {
  const total = sum(weights);
  let entropy = 0;
  for (const weight of weights) {
    if (weight > 0) entropy -= weight / total * Math.log(weight / total);
  }
  return entropy;
}

function keep(candidates: Candidates, holds: (weight: number) => boolean): Candidates {
  const { weights } = candidates;
  const order: number[] = [];
  for (let i = 0; i < weights.length; i++) if (holds(weights[i])) order.push(i);
  return order.length === weights.length ? candidates : pick(candidates, order);
}

function pick({ ids, weights }: Candidates, order: readonly number[]): Candidates {
  return {
    ids: Int32Array.from(order, (i) => ids[i]),
    weights: Float64Array.from(order, (i) => weights[i]),
  };
}

function largestOf(weights: Float64Array): number {
  let largest = 0;
  for (const weight of weights) if (weight > largest) largest = weight;
  return largest;
}

function sum(values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}
