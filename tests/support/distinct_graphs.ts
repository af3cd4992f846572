/** Graphs that differ in more than numbers. In: named graphs. Out: the first of each structure. */

import type { Graph, Value } from "../../ort/graph/ir.ts";
import type { NamedGraph } from "../placement/every_graph.ts";

/** What a graph computes, with values by the order in which they come, without sizes and numbers. */
function structureOf({ inputs, nodes, outputs }: Graph): string {
  const places = new Map<Value, number>();
  const place = (value: Value | undefined): number => {
    if (value === undefined) return -1;
    if (!places.has(value)) places.set(value, places.size);
    return places.get(value)!;
  };
  const kinds = inputs.map(({ dtype, shape }) => `${dtype} ${shape.length}`);
  inputs.forEach(place);
  // Small whole numbers are axes and flags; the others are sizes and factors.
  const plain = (_: string, value: unknown): unknown => {
    if (typeof value !== "bigint" && typeof value !== "number") return value;
    return Number.isInteger(Number(value)) && Math.abs(Number(value)) <= 4
      ? Number(value)
      : "number";
  };
  const steps = nodes.map((node) =>
    JSON.stringify([
      ...[node.op, node.attributes, node.inputs.map(place), node.outputs.map(place)],
    ], plain)
  );
  return [...kinds, ...steps, ...outputs.map(place)].join("\n");
}

/** Leaves out graphs that are another one with other sizes or numbers. */
export function* distinctGraphs(graphs: Iterable<NamedGraph>): Generator<NamedGraph> {
  const seen = new Set<string>();
  for (const named of graphs) {
    const structure = structureOf(named.graph);
    if (!seen.has(structure)) yield named;
    seen.add(structure);
  }
}
