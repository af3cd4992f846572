/**
 * Creates a session of every graph on the CUDA provider of a placement folder, in a process of its
 * own: LD_LIBRARY_PATH must name the folder when the process starts. Prints what is refused as JSON.
 *
 * usage: LD_LIBRARY_PATH=DIR deno run --allow-ffi --allow-env --allow-read check.ts DIR
 */

import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/ir.ts";
import * as ops from "../../graph/ops.ts";
import { CudaProvider } from "./cuda_provider.ts";
import { everyGraph } from "./every_graph.ts";

/** What the check prints. */
export interface PlacementReport {
  /** Sessions asked for. */
  readonly graphs: number;
  /** `title: node: what ONNX Runtime says`. */
  readonly refusals: readonly string[];
  /** The same of a graph that must be refused. */
  readonly control: readonly string[];
}

/** A LogSoftmax of bfloat16, which CUDA has no kernel for. */
function refusedGraph(): Graph {
  const b = new GraphBuilder("control");
  const x = b.input("x", "bfloat16", ["n", 4]);
  b.output("y", ops.add(b, ops.logSoftmax(b, x), x));
  return b.build();
}

if (import.meta.main) {
  const provider = new CudaProvider(Deno.args[0]);
  const refusals: string[] = [];
  let graphs = 0;
  for (const { title, graph } of everyGraph()) {
    graphs++;
    refusals.push(...provider.refusals(graph).map((refusal) => `${title}: ${refusal}`));
  }
  const control = provider.refusals(refusedGraph());
  const report: PlacementReport = { graphs, refusals, control };
  console.log(JSON.stringify(report));
}
