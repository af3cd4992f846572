/**
 * The tokens of a reply and of its prompt.
 *
 * In: prompt ids, then each new id. Out: all ids in order, and which of them there are.
 *
 * @module
 */

/**
 * A prompt and what has been generated after it.
 *
 * @example
 * ```ts
 * import { createSampler, TokenSequence } from "@ortune/ortune/infer";
 * import assert from "node:assert/strict";
 *
 * const sequence = new TokenSequence([1, 2]);
 * const sample = createSampler({ greedy: true, repetitionPenalty: 2 });
 * const id = sample(Float32Array.of(1, 3, 2, 2), sequence); // halves what 1 and 2 have
 * assert.equal(id, 3);
 * sequence.push(id);
 * assert.deepEqual([sequence.length, sequence.promptLength], [3, 2]);
 * ```
 */
export class TokenSequence {
  readonly #ids: number[];
  readonly #distinct: Set<number>;
  /** Number of ids that are the prompt's. */
  readonly promptLength: number;

  /** A sequence of the prompt alone. */
  constructor(promptIds: ArrayLike<number> = []) {
    this.#ids = Array.from(promptIds);
    this.#distinct = new Set(this.#ids);
    this.promptLength = promptIds.length;
  }

  /** All ids, in order. */
  get ids(): readonly number[] {
    return this.#ids;
  }

  /** Each id once. */
  get distinct(): ReadonlySet<number> {
    return this.#distinct;
  }

  /** Number of ids. */
  get length(): number {
    return this.#ids.length;
  }

  /** Appends a generated id. */
  push(id: number): void {
    this.#ids.push(id);
    this.#distinct.add(id);
  }
}
