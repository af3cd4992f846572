/** Every float32 graph, but for those that are another one of other sizes, has a WebGPU kernel for each of its nodes, once it is lowered. */

import assert from "node:assert/strict";
import type { Graph, Node } from "../../ort/graph/ir.ts";
import { lowerForWebGpu } from "../../ort/graph/lower_webgpu.ts";
import { writeOnnx } from "../../ort/graph/onnx_writer.ts";
import { Session } from "../../ort/runtime/session.ts";
import { distinctGraphs } from "../support/distinct_graphs.ts";
import { float32Graphs } from "../support/float32_graphs.ts";
import { runtime } from "../support/webgpu_runtime.ts";

/** Why the graph is not placed whole; undefined where it is. */
function refusal(graph: Graph): string | undefined {
  try {
    new Session(runtime, writeOnnx(graph), { name: graph.name })[Symbol.dispose]();
  } catch (cause) {
    return (cause as Error).message;
  }
}

/** A node alone, with what it reads as inputs. */
function singleNode(graph: Graph, node: Node): Graph {
  const constants = graph.constants.filter(({ value }) => node.inputs.includes(value));
  const constant = new Set(constants.map(({ value }) => value));
  const inputs = [...new Set(node.inputs)].filter((value) => value && !constant.has(value));
  return {
    ...graph,
    inputs: inputs as Graph["inputs"],
    outputs: node.outputs,
    nodes: [node],
    constants,
    aliases: new Map(),
    shapeInputs: new Map(),
  };
}

Deno.test("float32 graphs of every structure are placed whole on WebGPU", () => {
  const refused: string[] = [];
  let graphs = 0;
  for (const { title, graph } of distinctGraphs(float32Graphs())) {
    graphs++;
    const lowered = lowerForWebGpu(graph);
    const whole = refusal(lowered);
    if (whole === undefined) continue;
    const single = lowered.nodes.filter((node) => refusal(singleNode(lowered, node)) !== undefined);
    refused.push(`${title}: ${[...new Set(single.map(({ op }) => op))].join(", ") || whole}`);
  }
  assert.deepEqual(refused, []);
  assert.ok(graphs > 500, `only ${graphs} graphs`);
  if (Deno.env.get("ORTUNE_REPORT")) console.log(`${graphs} graphs`);
});
