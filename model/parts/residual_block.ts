/**
 * A block whose parts are added to their input, one part after another: x + scale · after(part(before(x))),
 * where a norm may stand before a part, after it, or both.
 *
 * @module
 */

import * as ops from "../../ort/graph/ops.ts";
import type { BlockConfig } from "./block_config.ts";
import type { Block, BlockPart } from "./block_part.ts";
import type { Norm } from "./rms_norm.ts";

/** A part and the norms around it. */
export interface ResidualBranch {
  /** The norm of its input. @default none */
  readonly before?: Norm;
  /** What the input goes through. */
  readonly part: BlockPart;
  /** The norm of what the part gives. @default none */
  readonly after?: Norm;
}

/** Puts a block together from its branches, in their order. */
export function residualBlock(
  { residualScale }: Pick<BlockConfig, "residualScale">,
  branches: readonly ResidualBranch[],
): Block {
  const norms = branches.flatMap(({ before, after }) => [before, after])
    .filter((norm) => norm !== undefined);
  return {
    parameters: branches.flatMap(({ before, part, after }) => [
      ...before ? [before.parameter] : [],
      ...part.parameters,
      ...after ? [after.parameter] : [],
    ]),
    stacks: branches.flatMap(({ part }) => part.stacks),
    kernels: [...norms, ...branches.map(({ part }) => part)].flatMap(({ kernels }) => kernels),
    build: (scope, x) =>
      branches.reduce((y, { before, part, after }) => {
        const input = before ? before.build(scope, y) : y;
        // Alone, the part's last product takes its input along at no cost.
        if (!after && residualScale === 1) return part.build(scope, input, y);
        const given = part.build(scope, input);
        const normed = after ? after.build(scope, given) : given;
        return ops.add(scope.b, y, ops.scale(scope.b, normed, residualScale));
      }, x),
  };
}
