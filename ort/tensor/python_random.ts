/**
 * The part of CPython's `random.Random` that splits and shuffles data.
 *
 * In: the integer that Python's `random.seed` gets. Out: the very numbers that Python draws.
 *
 * The order of draws is that of CPython 3.2 and later (Lib/random.py,
 * `_randbelow_with_getrandbits`).
 *
 * @module
 */

import { MersenneTwister, type MersenneTwisterState } from "./mersenne_twister.ts";

/**
 * CPython's generator, seeded with an integer.
 *
 * @example
 * ```ts
 * import { PythonRandom } from "./python_random.ts";
 * import assert from "node:assert/strict";
 *
 * const list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
 * new PythonRandom(7).shuffle(list);
 * assert.deepEqual(list, [8, 3, 1, 4, 7, 0, 9, 6, 2, 5]); // random.Random(7).shuffle(list)
 * ```
 */
export class PythonRandom {
  #engine: MersenneTwister;

  /** Seeds as `random.Random(seed)` does: the sign is dropped, all bits count. */
  constructor(seed: number | bigint) {
    if (typeof seed === "number" && !Number.isSafeInteger(seed)) {
      throw new RangeError(
        `Cannot seed Python's generator: ${seed} is not a safe integer. Give a whole number, or a ` +
          "bigint beyond 2^53",
      );
    }
    const key: number[] = [];
    let rest = BigInt(seed);
    if (rest < 0n) rest = -rest;
    do {
      key.push(Number(rest & 0xffffffffn));
      rest >>= 32n;
    } while (rest > 0n);
    this.#engine = MersenneTwister.fromKey(key);
  }

  /** A generator that goes on where {@linkcode PythonRandom.state} was taken. */
  static fromState(state: MersenneTwisterState): PythonRandom {
    const random = new PythonRandom(0);
    random.#engine = MersenneTwister.fromState(state);
    return random;
  }

  /** A copy of the state, safe to write as JSON. */
  state(): MersenneTwisterState {
    return this.#engine.state();
  }

  /** A float in [0, 1), as `random.random()`. */
  random(): number {
    return this.#engine.nextFloat53();
  }

  /** An integer from 0 to `n` − 1, as `random.randrange(n)`. */
  randrange(n: number): number {
    if (!Number.isSafeInteger(n) || n < 1) {
      throw new RangeError(
        `Cannot draw below ${n}: the bound is not a positive safe integer. Give a whole number from 1 on`,
      );
    }
    const bits = n.toString(2).length;
    for (;;) {
      const drawn = this.#bits(bits);
      if (drawn < n) return drawn;
    }
  }

  /** Shuffles in place, as `random.shuffle(list)`. */
  shuffle(array: unknown[]): void {
    for (let i = array.length - 1; i > 0; i--) {
      const j = this.randrange(i + 1);
      [array[i], array[j]] = [array[j], array[i]];
    }
  }

  /**
   * `getrandbits`: above 32 bits the low word is drawn first, the high bits of the last are kept.
   */
  #bits(count: number): number {
    if (count <= 32) return this.#engine.nextUint32() >>> (32 - count);
    const low = this.#engine.nextUint32();
    return (this.#engine.nextUint32() >>> (64 - count)) * 2 ** 32 + low;
  }
}
