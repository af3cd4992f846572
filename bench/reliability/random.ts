/** Seeded choices. In: a seed. Out: the same numbers for the same seed, on any machine. */

import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";

/** A stream of choices. */
export interface Random {
  /** An integer from 0 on, below `limit`. */
  below(limit: number): number;
  /** One of the items. */
  pick<Item>(items: ArrayLike<Item>): Item;
  /** True once in `n` times. */
  oneIn(n: number): boolean;
}

/** Makes a stream; several numbers make a seed. */
export function seededRandom(...seed: readonly number[]): Random {
  const mixed = seed.reduce((sum, each) => Math.imul(sum ^ each, 0x9e3779b1) + 0x7f4a7c15 | 0, 0);
  const twister = MersenneTwister.fromSeed(mixed >>> 0);
  const below = (limit: number): number => Math.floor(twister.nextUint32() * 2 ** -32 * limit);
  return {
    below,
    pick: (items) => items[below(items.length)],
    oneIn: (n) => below(n) === 0,
  };
}
