/** What matrix products of graphs compute. In: a node, sizes. Out: floating-point operations. */

import { evaluateShape, type Symbols } from "../ort/graph/dim.ts";
import type { Node } from "../ort/graph/ir.ts";
import { elementCount } from "../ort/tensor/dtype.ts";

const PRODUCTS: ReadonlySet<string> = new Set(["Gemm", "FusedMatMul"]);

/** Floating-point operations of a matrix product, 2 for each multiplication and addition; 0 of other nodes. */
export function productFlops({ op, inputs, outputs, attributes }: Node, symbols: Symbols): number {
  if (!PRODUCTS.has(op)) return 0;
  const left = evaluateShape(inputs[0]!.shape, symbols);
  const inner = attributes.transA === 1n ? left.at(-2)! : left.at(-1)!;
  return 2 * elementCount(evaluateShape(outputs[0].shape, symbols)) * inner;
}
