/**
 * A graph with operations of ortune's own, cut where they stand: graphs that a session runs, and
 * between them kernels.
 *
 * In: a graph. Out: steps in the order in which they run, and the values that one step leaves for
 * another, whose memory is the caller's to give.
 *
 * A node runs in the earliest step that has its inputs if it makes an output of the graph, so that what
 * it reads is free early; else in the latest step that somebody still waits for, so that what it makes
 * is not kept for long.
 *
 * @module
 */

import { byteWidth, elementCount } from "../tensor/dtype.ts";
import { evaluateShape, type Symbols } from "./dim.ts";
import { type Graph, KERNEL_DOMAIN, type Node, type Value } from "./ir.ts";

/** One step: a graph for a session, or a kernel to launch. */
export type Subgraph =
  | { readonly graph: Graph; readonly kernel?: undefined }
  | { readonly graph?: undefined; readonly kernel: Node };

/** A value between two steps. */
export interface Crossing {
  /** The value that goes from one subgraph to another. */
  readonly value: Value;
  /** The step that makes it, an index into {@linkcode SplitGraph.steps}. */
  readonly from: number;
  /** The last step that reads it. */
  readonly to: number;
}

/** A graph in steps. */
export interface SplitGraph {
  /** In the order in which they run. */
  readonly steps: readonly Subgraph[];
  /** Neither inputs nor outputs of the graph; those of a kernel that nobody reads are among them. */
  readonly crossing: readonly Crossing[];
}

/**
 * Cuts a graph at its kernels. Kernels read a reshaped value where it was made, since it is the same
 * memory.
 *
 * @example
 * ```ts
 * import { GraphBuilder, ops, splitSubgraphs, swiglu } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("mlp");
 * const x = b.input("x", "float32", ["tokens", 16]);
 * const [gate, up, down] = [[32, 16], [32, 16], [16, 32]].map((shape, i) =>
 *   b.input(["gate", "up", "down"][i], "float32", shape)
 * );
 * const gated = swiglu(b, ops.linear(b, x, gate), ops.linear(b, x, up));
 * b.output("y", ops.linear(b, gated, down));
 * const { steps, crossing } = splitSubgraphs(b.build());
 * assert.deepEqual(
 *   steps.map(({ graph, kernel }) => kernel?.op ?? graph!.nodes.map(({ op }) => op).join()),
 *   ["Gemm,Gemm", "SwiGLU", "Gemm"],
 * );
 * assert.deepEqual(crossing.map(({ from, to }) => [from, to]), [[0, 1], [0, 1], [1, 2]]);
 * ```
 */
export function splitSubgraphs(graph: Graph): SplitGraph {
  const producers = new Map<Value, Node>();
  for (const node of graph.nodes) for (const output of node.outputs) producers.set(output, node);
  /** What a node reads of memory: a kernel takes what was reshaped as it was before. */
  const reads = (node: Node): Value[] =>
    node.inputs.filter((input) => input !== undefined).map((input) =>
      isKernel(node) ? memoryOf(input, producers) : input
    );
  const rounds = assignRounds(graph, { producers, reads });
  return assemble(graph, { rounds, producers, reads });
}

/** The bytes of a value. */
export function bytesOf({ dtype, shape }: Value, symbols: Symbols): number {
  return byteWidth(dtype) * elementCount(evaluateShape(shape, symbols));
}

function isKernel({ domain }: Node): boolean {
  return domain === KERNEL_DOMAIN;
}

/** The value whose memory a value is, reshaped or not. */
function memoryOf(value: Value, producers: ReadonlyMap<Value, Node>): Value {
  const producer = producers.get(value);
  return producer?.op === "Reshape" ? memoryOf(producer.inputs[0]!, producers) : value;
}

interface Reading {
  readonly producers: ReadonlyMap<Value, Node>;
  readonly reads: (node: Node) => readonly Value[];
}

/** A round is a session's graph and then the kernels that wait for it; which one each node is of. */
function assignRounds(graph: Graph, { producers, reads }: Reading): Map<Node, number> {
  const outputs = new Set(graph.outputs);
  const rounds = new Map<Node, number>();
  for (const node of graph.nodes) { // the earliest
    const after = reads(node).flatMap((input) => {
      const producer = producers.get(input);
      if (!producer) return [];
      return [rounds.get(producer)! + Number(isKernel(producer) && !isKernel(node))];
    });
    rounds.set(node, Math.max(0, ...after));
  }
  const latest = new Map<Node, number>();
  for (const node of graph.nodes.toReversed()) {
    const round = isKernel(node) || node.outputs.some((output) => outputs.has(output))
      ? rounds.get(node)!
      : latest.get(node) ?? rounds.get(node)!;
    rounds.set(node, round);
    for (const input of reads(node)) {
      const producer = producers.get(input);
      if (producer) latest.set(producer, Math.min(latest.get(producer) ?? Infinity, round));
    }
  }
  return rounds;
}

function assemble(
  graph: Graph,
  { rounds, producers, reads }: Reading & { readonly rounds: ReadonlyMap<Node, number> },
): SplitGraph {
  // A reshape that only kernels read has nothing to do.
  const read = new Set<Value>(graph.outputs);
  const used = graph.nodes.toReversed().filter((node) => {
    if (!isKernel(node) && !node.outputs.some((output) => read.has(output))) return false;
    for (const input of reads(node)) read.add(input);
    return true;
  }).reverse();
  const steps: Subgraph[] = [];
  const stepOf = new Map<Node, number>();
  const nodesOf: Node[][] = [];
  const last = Math.max(0, ...rounds.values());
  for (let round = 0; round <= last; round++) {
    const nodes = used.filter((node) => rounds.get(node) === round);
    const ordinary = nodes.filter((node) => !isKernel(node));
    if (ordinary.length > 0) nodesOf.push(ordinary);
    for (const node of ordinary) stepOf.set(node, nodesOf.length - 1);
    for (const node of nodes.filter(isKernel)) stepOf.set(node, nodesOf.push([node]) - 1);
  }
  const lastRead = new Map<Value, number>();
  for (const node of used) {
    const step = stepOf.get(node)!;
    for (const input of reads(node)) {
      lastRead.set(input, Math.max(lastRead.get(input) ?? 0, step));
    }
  }
  const outputs = new Set(graph.outputs);
  const crossing: Crossing[] = [];
  for (const [step, nodes] of nodesOf.entries()) {
    const made = nodes.flatMap((node) => node.outputs);
    const left = made.filter((value) =>
      isKernel(nodes[0]) || outputs.has(value) || (lastRead.get(value) ?? step) > step
    );
    for (const value of left) {
      if (outputs.has(value)) continue;
      crossing.push({ value, from: step, to: lastRead.get(value) ?? step });
    }
    if (isKernel(nodes[0])) {
      steps.push({ kernel: { ...nodes[0], inputs: kernelInputs(nodes[0], producers) } });
    } else {
      const name = nodesOf.length === 1 ? graph.name : `${graph.name}.${step}`;
      steps.push({ graph: stageGraph(graph, { name, nodes, left }) });
    }
  }
  return { steps, crossing };
}

function kernelInputs(node: Node, producers: ReadonlyMap<Value, Node>): Node["inputs"] {
  return node.inputs.map((input) => input && memoryOf(input, producers));
}

function stageGraph(
  graph: Graph,
  { name, nodes, left }: {
    readonly name: string;
    readonly nodes: readonly Node[];
    readonly left: readonly Value[];
  },
): Graph {
  const made = new Set(nodes.flatMap((node) => node.outputs));
  const constants = new Set(graph.constants.map(({ value }) => value));
  const taken = new Set<Value>();
  for (const { inputs } of nodes) {
    for (const input of inputs) {
      if (input && !made.has(input)) taken.add(input);
    }
  }
  const inputs = [...taken].filter((value) => !constants.has(value));
  const inputNames = new Set(inputs.map(({ name }) => name));
  const outputNames = new Set(left.map(({ name }) => name));
  // What is written in place is so in the whole graph, of which this has no more readers.
  return {
    name,
    inputs,
    outputs: left,
    nodes,
    constants: graph.constants.filter(({ value }) => taken.has(value)),
    aliases: new Map(
      [...graph.aliases].filter(([output, input]) =>
        outputNames.has(output) && inputNames.has(input)
      ),
    ),
    shapeInputs: new Map([...graph.shapeInputs].filter(([name]) => inputNames.has(name))),
  };
}
