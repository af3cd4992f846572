/**
 * The interfaces of a transformer block and of the parts that a model's family puts it together from.
 *
 * A part lists its weights and the kernels that it can be built for, and builds its nodes; all of it
 * stands in one file, so that names and shapes agree. A block is the same for a whole layer.
 *
 * @module
 */

import type { Value } from "../../ort/graph/ir.ts";
import type { BlockKernel, BlockScope } from "./block_scope.ts";
import type { ParameterSpec } from "./parameter_spec.ts";

/** Weights that are taken as one where a kernel reads the results of their layers side by side. */
export interface WeightStack {
  /** The kernel that they are stacked for. */
  readonly kernel: BlockKernel;
  /** The name of all together inside the layer. */
  readonly name: string;
  /** The names of the weights inside the layer, in the order of their rows. */
  readonly of: readonly string[];
}

/** A part of a block that maps hidden states to hidden states, such as attention. */
export interface BlockPart {
  /** Its weights under their names inside the layer, in the order of graph inputs and stored tensors. */
  readonly parameters: readonly ParameterSpec[];
  /** Which of its weights can be stacked. */
  readonly stacks: readonly WeightStack[];
  /** The kernels that it can be built for, where a model's sizes allow them. */
  readonly kernels: readonly BlockKernel[];
  /** Adds its nodes: x [length·rows, hidden] → the same shape, plus an addend of that shape if given. */
  readonly build: (scope: BlockScope, x: Value, addend?: Value) => Value;
}

/** A whole transformer block: what its parts have together. */
export interface Block extends Omit<BlockPart, "build"> {
  /** Adds its forward nodes: x [length·rows, hidden] → the same shape. */
  readonly build: (scope: BlockScope, x: Value) => Value;
}
