/**
 * An optimizer's arithmetic over whole tensors, such as one that needs a matrix as a matrix; some of them may go
 * element by element. In: a tensor, its gradient and what is kept of it. Out: the new ones.
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { ParameterSpec } from "../../model/parts/parameter_spec.ts";
import type { UpdatedValues, UpdateRule, UpdateValues } from "./update_rule.ts";

/** What of a tensor is trained: of an adapter's, rows and columns may only make all blocks alike. */
export interface TensorSize {
  /** Numbers that are not for good 0. */
  readonly elements: number;
}

/** How some tensors change. */
export interface TensorPart {
  /** What is kept of each: a name in the graph, and in checkpoints `<parameter>.<name>`. */
  readonly state: Readonly<Record<string, string>>;
  /**
   * The shape of what is kept under a name of the graph.
   * @default the tensor's own
   */
  shapeOf?(name: string, shape: readonly number[]): readonly number[];
  /** Whether elements do not depend on each other: a tensor may then come in pieces, [n]. */
  readonly elementwise: boolean;
  /** The update of a tensor, as `UpdateRule.update` has it. */
  update(b: GraphBuilder, values: UpdateValues, size: TensorSize): UpdatedValues;
}

/** How all tensors change; scalars are as those of an {@linkcode UpdateRule}. */
export interface TensorRule
  extends Pick<UpdateRule, "weightDecay" | "running" | "remembered" | "scalars"> {
  /** How one of them does: parts are compared as objects. */
  partOf(parameter: ParameterSpec): TensorPart;
}

/** What is kept of a tensor, by names in checkpoints. */
export function keptShapes(
  rule: Pick<TensorRule, "partOf">,
  parameter: ParameterSpec,
): Readonly<Record<string, readonly number[]>> {
  const { state, shapeOf } = rule.partOf(parameter);
  return Object.fromEntries(
    Object.entries(state).map(([name, saved]) => [
      saved,
      shapeOf?.(name, parameter.shape) ?? parameter.shape,
    ]),
  );
}
