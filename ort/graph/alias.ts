/**
 * The alias rule: an output may share an input's memory only where nothing can read the input
 * after, or while, it is overwritten.
 *
 * In: a graph. Out: nothing, or an error that names the reader. ONNX Runtime runs nodes in an order
 * of its own and knows nothing of the sharing, so the order in which nodes were emitted proves
 * nothing; what does is that every other reader of the input is an ancestor of the writer, and that
 * the writer itself reads the input in a way that survives being overwritten (element by element,
 * or as Gemm's C). A reshaped input is the same memory under another shape, so its readers count as
 * the input's.
 */

import type { Graph, Node, Value } from "./ir.ts";

const ELEMENTWISE = new Set(["Add", "Sub", "Mul", "Div", "Sqrt", "Softmax"]);
// ONNX Runtime runs these without a copy.
const VIEWS = new Set(["Identity", "Reshape", "Unsqueeze"]);

/** The inputs that operations of `kernel_ops.ts` add a weight's gradient to. */
const ADDED_TO: Readonly<Record<string, readonly number[]>> = {
  LoraDownWeightGradient: [4, 6, 8],
  LoraUpWeightGradient: [2, 3, 4],
  RMSNormGradient: [5],
  RotaryHeadsGradient: [11, 12],
};

/** Whether the writer may read `memory` while its output is that very memory. */
function survivesOverwrite(writer: Node, memory: ReadonlySet<Value>): boolean {
  return writer.inputs.every((read, position) => {
    if (!read || !memory.has(read)) return true;
    if (ELEMENTWISE.has(writer.op)) return true;
    // Copies its data to the output first (nothing to do when they are one memory), then writes.
    if (writer.op === "ScatterND" || writer.op === "ScatterElements") return position === 0;
    if (writer.op === "SimplifiedLayerNormalization") return position === 0;
    // Kernels of ortune's own: a column's old gradient is read by the thread that then writes the new one.
    const before = ADDED_TO[writer.op];
    if (before) return before.includes(position);
    // Extends the past in place where past and present are one memory.
    if (writer.op === "GroupQueryAttention") return position === 3 || position === 4;
    return writer.op === "Gemm" && position === 2;
  });
}

/**
 * Checks every alias of a graph.
 *
 * @example
 * ```ts
 * import { GraphBuilder, ops } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("careless");
 * const x = b.input("x", "float32", [2]);
 * b.output("x_new", ops.sqrt(b, x), { inPlaceOf: x });
 * b.output("double", ops.add(b, x, x)); // reads x, perhaps after it was overwritten
 * assert.throws(() => b.build(), /may read it after it was overwritten/);
 * ```
 *
 * @throws {Error} naming the output, the input and the reader that could see overwritten memory
 */
export function assertAliases(graph: Graph): void {
  const producers = new Map<Value, Node>();
  for (const node of graph.nodes) for (const output of node.outputs) producers.set(output, node);
  const shared = new Map<string, string>();
  for (const [outputName, inputName] of graph.aliases) {
    const input = graph.inputs.find((value) => value.name === inputName);
    const output = graph.outputs.find((value) => value.name === outputName);
    if (!input || !output) continue; // pruned: nothing is shared
    const writer = producers.get(output);
    if (!writer) throw new Error(`Cannot alias ${outputName}: it is not computed in the graph`);
    const rival = shared.get(inputName);
    if (rival) {
      throw new Error(
        `Cannot write ${outputName} in place of ${inputName} in graph ${graph.name}: ` +
          `${rival} is written there`,
      );
    }
    shared.set(inputName, outputName);
    const ancestors = ancestorsOf(writer, producers);
    const memory = viewsOf(input, graph);
    for (const node of graph.nodes) {
      if (!node.inputs.some((read) => read && memory.has(read)) || ancestors.has(node)) continue;
      if (node === writer && survivesOverwrite(node, memory)) continue;
      throw new Error(
        `Cannot write ${outputName} in place of ${inputName} in graph ${graph.name}: ` +
          `${node.op} (${node.outputs[0].name}) may read it after it was overwritten; ` +
          "use a buffer of its own",
      );
    }
  }
}

/** The input, and every value that is its memory under another shape. */
function viewsOf(input: Value, { nodes }: Graph): Set<Value> {
  const views = new Set([input]);
  for (const node of nodes) {
    const [viewed] = node.inputs;
    if (VIEWS.has(node.op) && viewed && views.has(viewed)) views.add(node.outputs[0]);
  }
  return views;
}

function ancestorsOf(node: Node, producers: ReadonlyMap<Value, Node>): Set<Node> {
  const ancestors = new Set<Node>();
  const pending = [node];
  while (pending.length > 0) {
    for (const input of pending.pop()!.inputs) {
      const producer = input && producers.get(input);
      if (!producer || ancestors.has(producer)) continue;
      ancestors.add(producer);
      pending.push(producer);
    }
  }
  return ancestors;
}
