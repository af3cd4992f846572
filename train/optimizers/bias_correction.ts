/**
 * 1 − βᵗ, which corrects a moment that began at 0, kept from update to update. In: β. Out: what it is after a
 * number of updates, and its way there in a graph, to the bit.
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";

/** The correction after an update, `c + made·(1 − β)·(1 − c)`: β·c + (1 − β) of one that is made. */
export function nextCorrection(b: GraphBuilder, c: Value, beta: number, made: Value): Value {
  const rest = ops.mul(b, ops.sub(b, b.float32(1), c), b.float32(1 - beta));
  return ops.add(b, c, ops.mul(b, rest, made));
}

/** The correction that the graph has after a number of updates: its very roundings. */
export function correctionAfter(updates: number, beta: number): number {
  const { fround } = Math;
  let correction = 0;
  for (let i = 0; i < updates; i++) {
    correction = fround(correction + fround(fround(1 - correction) * fround(1 - beta)));
  }
  return correction;
}
