/**
 * The interfaces of a transformer block and of the parts that a model's family puts it together from.
 *
 * A part lists its weights and builds its nodes; both stand in one file, so that names and shapes
 * agree. A block is the same for a whole layer.
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

/** What a block and its parts have: weights under their names inside the layer. */
interface Weighted {
  /** The weights, in the order of graph inputs and of stored tensors. */
  readonly parameters: readonly ParameterSpec[];
  /** Which of them can be stacked. */
  readonly stacks: readonly WeightStack[];
}

/** A part that is added to the hidden states, such as attention. */
export interface BlockPart extends Weighted {
  /** Adds its nodes: x and residual [length·rows, hidden] → residual + part(x), of the same shape. */
  readonly build: (scope: BlockScope, x: Value, residual: Value) => Value;
}

/** A whole transformer block. */
export interface Block extends Weighted {
  /** Adds its forward nodes: x [length·rows, hidden] → the same shape. */
  readonly build: (scope: BlockScope, x: Value) => Value;
}
