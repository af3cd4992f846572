/** The matrix products of a linear layer in training. In: which of the three. Out: its graph. */

import { GraphBuilder } from "../ort/graph/builder.ts";
import type { Graph } from "../ort/graph/ir.ts";
import { gemm, linear } from "../ort/graph/ops.ts";

/** One of a layer's three products. */
export type ProductKind = "forwards" | "inputs' gradient" | "weights' gradient, added";

/** All of them. */
export const PRODUCT_KINDS: readonly ProductKind[] = [
  "forwards",
  "inputs' gradient",
  "weights' gradient, added",
];

/** c: one of the products of x [t, k], weights w [n, k] and y [t, n]; the last is added to sum [n, k]. */
export function productGraph(kind: ProductKind, type: "bfloat16" | "float32"): Graph {
  const b = new GraphBuilder("product");
  if (kind === "forwards") {
    b.output("c", linear(b, b.input("x", type, ["t", "k"]), b.input("w", type, ["n", "k"])));
  } else if (kind === "inputs' gradient") {
    b.output("c", gemm(b, b.input("y", type, ["t", "n"]), b.input("w", type, ["n", "k"])));
  } else {
    const [y, x] = [b.input("y", type, ["t", "n"]), b.input("x", type, ["t", "k"])];
    b.output("c", gemm(b, y, x, { transA: true, c: b.input("sum", type, ["n", "k"]) }));
  }
  return b.build();
}
