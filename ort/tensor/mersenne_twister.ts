/**
 * MT19937, the random engine below CPython's `random` and torch's CPU generator.
 *
 * In: a 32-bit seed, a key, or a saved state. Out: a stream of 32-bit words.
 *
 * Matsumoto and Nishimura, "Mersenne Twister: A 623-Dimensionally Equidistributed Uniform
 * Pseudo-Random Number Generator", 1998; the initialisations are those of their 2002 revision.
 */

const size = 624;
const middle = 397;

/** A saved engine: 624 words and the position of the next one (624: refill first). */
export interface MersenneTwisterState {
  /** The 624 words of the state. */
  key: number[];
  /** The next word to give, 0 to 624. */
  index: number;
}

/**
 * The MT19937 engine.
 *
 * @example
 * ```ts
 * import { MersenneTwister } from "./mersenne_twister.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(MersenneTwister.fromSeed(5489).nextUint32(), 3499211612);
 * assert.equal(MersenneTwister.fromKey([0x123, 0x234, 0x345, 0x456]).nextUint32(), 1067595299);
 * ```
 */
export class MersenneTwister {
  readonly #words: Uint32Array;
  #index: number;

  private constructor(words: Uint32Array, index: number) {
    this.#words = words;
    this.#index = index;
  }

  /** `init_genrand`: a 32-bit seed, as torch's CPU generator does it. */
  static fromSeed(seed: number): MersenneTwister {
    checkWord("seed a Mersenne Twister", seed);
    return new MersenneTwister(seededWords(seed), size);
  }

  /** `init_by_array`: a key of 32-bit words, as CPython does it. */
  static fromKey(key: readonly number[]): MersenneTwister {
    if (key.length === 0) {
      throw new RangeError(
        "Cannot seed a Mersenne Twister: the key is empty. Give one word at least",
      );
    }
    for (const word of key) checkWord("seed a Mersenne Twister", word);
    const words = seededWords(19650218);
    const mixed = (i: number): number => (words[i - 1] ^ (words[i - 1] >>> 30));
    let i = 1;
    const step = (): void => {
      i++;
      if (i === size) {
        words[0] = words[size - 1];
        i = 1;
      }
    };
    for (let k = 0, j = 0; k < Math.max(size, key.length); k++) {
      words[i] = (words[i] ^ Math.imul(mixed(i), 1664525)) + key[j] + j;
      j = (j + 1) % key.length;
      step();
    }
    for (let k = 1; k < size; k++) {
      words[i] = (words[i] ^ Math.imul(mixed(i), 1566083941)) - i;
      step();
    }
    words[0] = 0x80000000;
    return new MersenneTwister(words, size);
  }

  /** An engine that goes on where {@linkcode MersenneTwister.state} was taken. */
  static fromState(state: MersenneTwisterState): MersenneTwister {
    const { key, index } = state;
    if (key.length !== size || !Number.isInteger(index) || index < 0 || index > size) {
      throw new RangeError(
        `Cannot restore a Mersenne Twister: the state has ${key.length} words and index ${index}. ` +
          "Give 624 words and an index from 0 to 624, as state() returns them",
      );
    }
    for (const word of key) checkWord("restore a Mersenne Twister", word);
    return new MersenneTwister(Uint32Array.from(key), index);
  }

  /** A copy of the state, safe to write as JSON. */
  state(): MersenneTwisterState {
    return { key: [...this.#words], index: this.#index };
  }

  /** The next word, 0 to 2^32 − 1. */
  nextUint32(): number {
    if (this.#index === size) {
      refill(this.#words);
      this.#index = 0;
    }
    let word = this.#words[this.#index++];
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  /** A float in [0, 1) of 53 random bits from two words: CPython's `random()`. */
  nextFloat53(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }
}

function seededWords(seed: number): Uint32Array {
  const words = new Uint32Array(size);
  words[0] = seed;
  for (let i = 1; i < size; i++) {
    words[i] = Math.imul(words[i - 1] ^ (words[i - 1] >>> 30), 1812433253) + i;
  }
  return words;
}

/** Moves the whole state on by one round of the recurrence. */
function refill(words: Uint32Array): void {
  for (let i = 0; i < size; i++) {
    const joined = (words[i] & 0x80000000) | (words[(i + 1) % size] & 0x7fffffff);
    words[i] = words[(i + middle) % size] ^ (joined >>> 1) ^ ((joined & 1) === 1 ? 0x9908b0df : 0);
  }
}

function checkWord(action: string, word: number): void {
  if (!Number.isInteger(word) || word < 0 || word > 0xffffffff) {
    throw new RangeError(
      `Cannot ${action}: ${word} is not a word from 0 to 2^32 − 1. Reduce it first`,
    );
  }
}
