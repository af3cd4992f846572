/**
 * Log probabilities of tokens, as the model has them.
 *
 * In: logits [vocab] of one step after another, before any option changes them, and the tokens that
 * were chosen. Out: the natural logarithm of each one's probability, and of the likeliest ones'.
 *
 * @module
 */

/** A token with its log probability. */
export interface TokenLogprob {
  /** The token's id. */
  readonly id: number;
  /** The natural logarithm of its probability. */
  readonly logprob: number;
}

/** A chosen token, and what else might have come. */
export interface ChosenLogprob extends TokenLogprob {
  /** The likeliest tokens, likeliest first; of two that are as likely, the lower id. */
  readonly top: readonly TokenLogprob[];
}

/** Collects the log probabilities of one reply. */
export class LogprobList {
  readonly #count: number;
  readonly #chosen: ChosenLogprob[] = [];

  /** @param count how many of the likeliest tokens are told at each step */
  constructor(count: number) {
    this.#count = count;
  }

  /** One entry a token so far, the one that ends the reply among them. */
  get chosen(): readonly ChosenLogprob[] {
    return this.#chosen;
  }

  /** Notes a choice among logits [vocab]. */
  push(logits: Float32Array, id: number): void {
    const top = largest(logits, this.#count);
    const highest = logits[top.length > 0 ? top[0] : largest(logits, 1)[0]];
    let sum = 0;
    for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - highest);
    const whole = highest + Math.log(sum);
    const entry = (each: number): TokenLogprob => ({ id: each, logprob: logits[each] - whole });
    this.#chosen.push({ ...entry(id), top: top.map(entry) });
  }
}

/** The ids of the `count` largest logits; `count` is small. */
function largest(logits: Float32Array, count: number): number[] {
  const ids: number[] = [];
  if (count === 0) return ids;
  for (let id = 0; id < logits.length; id++) {
    if (ids.length === count && !(logits[id] > logits[ids[count - 1]])) continue;
    let at = ids.length;
    while (at > 0 && logits[id] > logits[ids[at - 1]]) at--;
    ids.splice(at, 0, id);
    if (ids.length > count) ids.pop();
  }
  return ids;
}
