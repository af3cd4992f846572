/** What the norm of all gradients is summed from. In: gradients. Out: a sum for each block of them. */

import { LAYOUT_BLOCK } from "../../model/engine/parameter_store.ts";
import type { Precision } from "../../model/precision.ts";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";

/**
 * The sum of squares of each block of a layout: g [blocks, block] → sums float32 [blocks, 1].
 *
 * @param dtype of the gradients; they are squared and added in float32
 */
export function sumOfSquaresGraph(dtype: Precision = "float32"): Graph {
  const b = new GraphBuilder("sum_of_squares");
  const g = ops.cast(b, b.input("g", dtype, ["blocks", LAYOUT_BLOCK]), "float32");
  // Three times as fast as ReduceSumSquare, whose kernel does not vectorize.
  b.output("sums", ops.reduceSum(b, ops.mul(b, g, g), 1));
  return b.build();
}
