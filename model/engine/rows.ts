/**
 * Parts of a tensor on a device where none can be seen from an offset on: rows are copied by a graph.
 */

import { placeRowsGraph, takeRowsGraph } from "../graphs/row_graphs.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import type { EngineContext } from "./engine_context.ts";

function ids(start: number, count: number): BigInt64Array<ArrayBuffer> {
  return BigInt64Array.from({ length: count }, (_, i) => BigInt(start + i));
}

/** Rows of a float32 tensor [tokens, width], in memory that the next call writes to. */
export function takeRows(
  context: EngineContext,
  from: Tensor,
  { start, count }: { readonly start: number; readonly count: number },
): Tensor {
  const { scratch } = context;
  const [tokens, width] = from.shape;
  const rows = scratch.tensor("taken.rows", "float32", [count, width]);
  const given = scratch.write("taken.ids", "int64", [count], ids(start, count));
  context.graph(`take_rows.${width}`, () => takeRowsGraph(width))
    .run({ from, ids: given, rows }, { tokens, n: count });
  return rows;
}

/** Writes rows into a float32 tensor [tokens, width], from row `start` on. */
export function placeRows(
  context: EngineContext,
  into: Tensor,
  rows: Tensor,
  { start }: { readonly start: number },
): void {
  const [tokens, width] = into.shape;
  const [n] = rows.shape;
  const given = context.scratch.write("placed.ids", "int64", [n, 1], ids(start, n));
  context.graph(`place_rows.${width}`, () => placeRowsGraph(width))
    .run({ into, ids: given, rows }, { tokens, n });
}
