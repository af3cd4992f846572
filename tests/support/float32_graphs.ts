/**
 * The graphs of training and generation that WebGPU takes: that compute in float32, need no kernel of ortune's
 * own, and carry no state.
 */

import { PAST_STATES, SEGMENT_MASKS } from "../../model/graphs/sequences.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { everyGraph, type NamedGraph } from "../placement/every_graph.ts";
import { storedBaseGraphs } from "./stored_base_graphs.ts";

function isFloat32({ inputs, nodes }: Graph): boolean {
  const values = [...inputs, ...nodes.flatMap(({ outputs }) => outputs)];
  return !values.some(({ dtype }) => dtype === "bfloat16");
}

const OF_STATES: ReadonlySet<string> = new Set(
  [...Object.values(SEGMENT_MASKS), ...Object.values(PAST_STATES)],
);

function carriesState({ inputs }: Graph): boolean {
  return inputs.some(({ name }) => OF_STATES.has(name));
}

/** Every one of them once. */
export function* float32Graphs(): Generator<NamedGraph> {
  for (const named of [...everyGraph(), ...storedBaseGraphs()]) {
    const { title, graph } = named;
    if (title.includes("own kernels") || carriesState(graph)) continue;
    if (isFloat32(graph)) yield named;
  }
}
