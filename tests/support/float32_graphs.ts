/** The graphs of training and generation that compute in float32 and need no kernel of ortune's own. */

import type { Graph } from "../../ort/graph/ir.ts";
import { everyGraph, type NamedGraph } from "../placement/every_graph.ts";
import { storedBaseGraphs } from "./stored_base_graphs.ts";

function isFloat32({ inputs, nodes }: Graph): boolean {
  const values = [...inputs, ...nodes.flatMap(({ outputs }) => outputs)];
  return !values.some(({ dtype }) => dtype === "bfloat16");
}

/** Every one of them once. */
export function* float32Graphs(): Generator<NamedGraph> {
  for (const named of everyGraph()) {
    if (!named.title.includes("own kernels") && isFloat32(named.graph)) yield named;
  }
  yield* storedBaseGraphs();
}
