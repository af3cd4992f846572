/**
 * Rows in and out of a tensor, where a tensor cannot be seen from an offset on.
 *
 * In: a tensor of rows and which of them. Out: those rows, or the tensor with them replaced in place.
 *
 * @module
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";

/** Rows of a float32 tensor: from [tokens, width], ids int64 [n] → rows [n, width]. */
export function takeRowsGraph(width: number): Graph {
  const b = new GraphBuilder("take_rows");
  const from = b.input("from", "float32", ["tokens", width]);
  b.output("rows", ops.gather(b, from, b.input("ids", "int64", ["n"])));
  return b.build();
}

/** Rows put into a float32 tensor: into [tokens, width] in place, ids int64 [n, 1], rows [n, width]. */
export function placeRowsGraph(width: number): Graph {
  const b = new GraphBuilder("place_rows");
  const into = b.input("into", "float32", ["tokens", width]);
  const ids = b.input("ids", "int64", ["n", 1]);
  const rows = b.input("rows", "float32", ["n", width]);
  b.output("into_new", ops.scatterRows(b, into, ids, rows), { inPlaceOf: into });
  return b.build();
}
