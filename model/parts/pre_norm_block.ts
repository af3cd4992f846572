/**
 * A block whose parts read normed hidden states and are added to them: x + part(norm(x)), one part
 * after another.
 *
 * @module
 */

import type { Block, BlockPart } from "./block_part.ts";
import type { Norm } from "./rms_norm.ts";

/** A part and the norm in front of it. */
export interface PreNormBranch {
  /** The norm of its input. */
  readonly norm: Norm;
  /** What the normed input goes through. */
  readonly part: BlockPart;
}

/** Puts a block together from its branches, in their order. */
export function preNormBlock(branches: readonly PreNormBranch[]): Block {
  return {
    parameters: branches.flatMap(({ norm, part }) => [norm.parameter, ...part.parameters]),
    stacks: branches.flatMap(({ part }) => part.stacks),
    kernels: branches.flatMap(({ norm, part }) => [...norm.kernels, ...part.kernels]),
    build: (scope, x) =>
      branches.reduce((y, { norm, part }) => part.build(scope, norm.build(scope, y), y), x),
  };
}
