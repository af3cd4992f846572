/**
 * The part of NumPy's random generator that mixes data sets.
 *
 * In: the integer that `numpy.random.default_rng` gets. Out: the very floats that its `random` draws:
 * PCG64 (XSL RR 128/64, O'Neill 2014), seeded through SeedSequence.
 *
 * @module
 */

const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;
const MASK_64 = (1n << 64n) - 1n;
const MASK_128 = (1n << 128n) - 1n;
const POOL = 4;

/**
 * NumPy's default generator.
 *
 * @example
 * ```ts
 * import { NumpyRandom } from "./numpy_random.ts";
 * import assert from "node:assert/strict";
 *
 * const random = new NumpyRandom(42);
 * assert.equal(random.random(), 0.7739560485559633); // numpy.random.default_rng(42).random()
 * ```
 */
export class NumpyRandom {
  readonly #increment: bigint;
  #state: bigint;

  /** Takes a whole number from 0 to 2^53 − 1. */
  constructor(seed: number) {
    const [high, low, incrementHigh, incrementLow] = seedSequence(seed);
    this.#increment = ((incrementHigh << 64n | incrementLow) << 1n | 1n) & MASK_128;
    this.#state = this.#increment;
    this.#state = this.#state + (high << 64n | low) & MASK_128;
    this.#step();
  }

  /** A float from [0, 1). */
  random(): number {
    this.#step();
    const mixed = (this.#state >> 64n ^ this.#state) & MASK_64;
    const turn = this.#state >> 122n;
    const word = (mixed >> turn | mixed << (64n - turn)) & MASK_64;
    return Number(word >> 11n) * 2 ** -53;
  }

  #step(): void {
    this.#state = this.#state * MULTIPLIER + this.#increment & MASK_128;
  }
}

/** Four words of 64 bits, as SeedSequence(seed).generate_state(4, uint64) gives them. */
function seedSequence(seed: number): bigint[] {
  const entropy = seed < 2 ** 32 ? [seed] : [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
  let constant = 0x43b0d7e5;
  const hash = (value: number): number => {
    let hashed = value ^ constant;
    constant = Math.imul(constant, 0x931e8875);
    hashed = Math.imul(hashed, constant);
    return hashed ^ hashed >>> 16;
  };
  const pool = Array.from({ length: POOL }, (_, i) => hash(entropy[i] ?? 0));
  for (let from = 0; from < POOL; from++) {
    for (let to = 0; to < POOL; to++) {
      if (from === to) continue;
      const mixed = Math.imul(0xca01f9dd, pool[to]) - Math.imul(0x4973f715, hash(pool[from])) | 0;
      pool[to] = mixed ^ mixed >>> 16;
    }
  }
  let output = 0x8b51f9dd;
  const words = Array.from({ length: 8 }, (_, i) => {
    let value = pool[i % POOL] ^ output;
    output = Math.imul(output, 0x58f38ded);
    value = Math.imul(value, output);
    return BigInt((value ^ value >>> 16) >>> 0);
  });
  return [0, 2, 4, 6].map((i) => words[i] | words[i + 1] << 32n);
}
