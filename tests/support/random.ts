/** Seeded random numbers for tests, all exact in float32. */

import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";

/** Draws from [low, high), rounded to float32. */
export type Draw = (low?: number, high?: number) => number;

/** A stream of uniform numbers; the same seed gives the same stream. */
export function draws(seed: number): Draw {
  const random = MersenneTwister.fromSeed(seed);
  return (low = -1, high = 1) => Math.fround(low + (high - low) * random.nextUint32() * 2 ** -32);
}
