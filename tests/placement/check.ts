/**
 * Creates a session of every graph on the CUDA provider of a placement folder, in a process of its
 * own: LD_LIBRARY_PATH must name the folder when the process starts. Prints what is refused as JSON.
 *
 * usage: LD_LIBRARY_PATH=DIR deno run --allow-ffi --allow-env --allow-read check.ts DIR
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Symbols } from "../../ort/graph/dim.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import { quantizedBaseGraphs } from "../support/stored_base_graphs.ts";
import { CudaProvider } from "./cuda_provider.ts";
import { everyGraph } from "./every_graph.ts";

/** What the check prints. */
export interface PlacementReport {
  /** Sessions asked for. */
  readonly graphs: number;
  /** `title: node: what ONNX Runtime says`. */
  readonly refusals: readonly string[];
  /** Graphs run, of small sizes. */
  readonly runs: number;
  /** `title: what ONNX Runtime says`, of graphs that were placed and did not run. */
  readonly failures: readonly string[];
  /** The refusals of a graph that must be refused. */
  readonly control: readonly string[];
  /** Why a graph does not run that must not. */
  readonly runControl?: string;
}

/** A ScatterND that adds in bfloat16: registered for it, and refused when it runs. */
function failingGraph(): Graph {
  const b = new GraphBuilder("run_control");
  const x = b.input("x", "bfloat16", ["n", 4]);
  const ids = b.input("ids", "int64", ["n", 1]);
  const attributes = { reduction: "add" };
  b.output("y", b.node("ScatterND", [x, ids, x], [x], { attributes })[0]);
  return b.build();
}

/** A LogSoftmax of bfloat16, which CUDA has no kernel for. */
function refusedGraph(): Graph {
  const b = new GraphBuilder("control");
  const x = b.input("x", "bfloat16", ["n", 4]);
  b.output("y", ops.add(b, ops.logSoftmax(b, x), x));
  return b.build();
}

/** What a cache of 8 tokens a row is told, without which its operation refuses a run. */
const FILL: Readonly<Record<string, number>> = { total_length: 8, last_index: 7 };
const SYMBOLS: Symbols = {
  rows: 2,
  length: 8,
  tokens: 16,
  positions: 8,
  n: 4,
  capacity: 16,
  cached: 2,
  added: 16,
  grown: 32,
  keys: 1,
  unique: 1,
  chunks: 1,
  chunk_padding: 56,
  extended_length: 11,
  blocks: 2,
  columns: 4,
  elements: 8,
  out: 4,
  in: 4,
  rank: 2,
  tensors: 2,
};

if (import.meta.main) {
  const provider = new CudaProvider(Deno.args[0]);
  const refusals: string[] = [];
  const failures: string[] = [];
  let [graphs, runs] = [0, 0];
  const stored = (["float32", "bfloat16"] as const).flatMap((precision) => [
    ...quantizedBaseGraphs(precision),
  ]);
  for (const { title, graph, small } of [...everyGraph(), ...stored]) {
    graphs++;
    if (small) {
      runs++;
      const failure = provider.failure(graph, SYMBOLS, (name) => FILL[name]);
      if (failure) failures.push(`${title}: ${failure}`);
    }
    refusals.push(...provider.refusals(graph).map((refusal) => `${title}: ${refusal}`));
  }
  const control = provider.refusals(refusedGraph());
  const runControl = provider.failure(failingGraph(), SYMBOLS, () => undefined);
  const report: PlacementReport = { graphs, refusals, runs, failures, control, runControl };
  console.log(JSON.stringify(report));
}
