/** Seeded random numbers for tests, all exact in float32. */

import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";

/** Draws from [low, high), rounded to float32. */
export type Draw = (low?: number, high?: number) => number;

/** A stream of uniform numbers; the same seed gives the same stream. */
export function draws(seed: number): Draw {
  const random = MersenneTwister.fromSeed(seed);
  return (low = -1, high = 1) => Math.fround(low + (high - low) * random.nextUint32() * 2 ** -32);
}

/** The odd number by which another one gives an odd product, modulo 2³². */
export function factorOf(product: number, odd: number): number {
  let inverse = odd;
  // Newton's steps: each doubles how many of the low bits are right, beginning with three.
  for (let i = 0; i < 4; i++) inverse = Math.imul(inverse, 2 - Math.imul(odd, inverse));
  return Math.imul(product, inverse);
}
