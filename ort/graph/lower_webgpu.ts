/**
 * A float32 graph as one that ONNX Runtime's WebGPU provider runs whole, and rightly.
 *
 * In: a graph. Out: a graph with the same interface and aliases, without the operations that the
 * provider has no kernel for or a wrong one. `tests/webgpu/lowering.ts` shows each fault of the
 * provider's that is got round here, so that a release without it is noticed.
 *
 * @module
 */

import type { DType } from "../tensor/dtype.ts";
import { assertAliases } from "./alias.ts";
import type { Shape } from "./dim.ts";
import type { Attribute, Constant, Graph, Node, Value } from "./ir.ts";

/** Writes other nodes in place of one. */
type Lowering = (node: Node, to: Lowered) => void;

/** What is lowered, by operation; any other node stays as it is. */
const LOWERINGS: Readonly<Record<string, Lowering>> = {
  FusedMatMul: lowerFusedMatMul,
  SimplifiedLayerNormalization: lowerRmsNorm,
  LogSoftmax: lowerLogSoftmax,
  GroupQueryAttention: refuseGroupQueryAttention,
  Scan: refuseScan,
};

/**
 * Rewrites a graph for the provider.
 *
 * @example
 * ```ts
 * import { GraphBuilder, lowerForWebGpu, ops } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("scores");
 * const q = b.input("q", "float32", ["rows", "length", 16]);
 * const k = b.input("k", "float32", ["rows", "length", 16]);
 * b.output("scores", ops.matmul(b, q, k, { transB: true, alpha: 0.25 }));
 * const graph = lowerForWebGpu(b.build());
 * assert.deepEqual(graph.nodes.map(({ op }) => op), ["Mul", "Transpose", "MatMul"]);
 * ```
 *
 * @throws {RangeError} on an operation that is wrong there and has no other form here
 */
export function lowerForWebGpu(graph: Graph): Graph {
  const lowered = new Lowered(graph);
  for (const node of graph.nodes) {
    if (Object.hasOwn(LOWERINGS, node.op)) LOWERINGS[node.op](node, lowered);
    else lowered.keep(node);
  }
  return lowered.finish();
}

/** The graph that is being written. */
class Lowered {
  readonly #graph: Graph;
  readonly #nodes: Node[] = [];
  readonly #constants: Constant[];
  readonly #names: Set<string>;
  readonly #read: ReadonlySet<Value | undefined>;
  /** Derived values that several nodes read, by what they are derived of. */
  readonly #derived = new Map<string, Value>();

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#constants = [...graph.constants];
    const values = [
      ...graph.inputs,
      ...graph.nodes.flatMap(({ outputs }) => outputs),
      ...graph.constants.map(({ value }) => value),
    ];
    this.#names = new Set(values.map(({ name }) => name));
    this.#read = new Set([...graph.nodes.flatMap(({ inputs }) => inputs), ...graph.outputs]);
  }

  /** Whether a value is an output of the graph's, or some node reads it. */
  isRead(value: Value | undefined): value is Value {
    return value !== undefined && this.#read.has(value);
  }

  keep(node: Node): void {
    this.#nodes.push(node);
  }

  /** Writes a node whose one output is given. */
  write(
    op: string,
    inputs: readonly Value[],
    output: Value,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): void {
    this.#nodes.push({ op, domain: "", inputs, outputs: [output], attributes });
  }

  /** Writes a node, and gives its one output, which is called after another value. */
  add(
    op: string,
    inputs: readonly Value[],
    like: Value,
    { shape = like.shape, attributes }: {
      readonly shape?: Shape;
      readonly attributes?: Readonly<Record<string, Attribute>>;
    } = {},
  ): Value {
    const output = { name: this.#free(`${like.name}:${op}`), dtype: like.dtype, shape };
    this.write(op, inputs, output, attributes);
    return output;
  }

  #free(name: string): string {
    let free = name;
    for (let i = 1; this.#names.has(free); i++) free = `${name}.${i}`;
    this.#names.add(free);
    return free;
  }

  /** A float32 scalar. */
  scalar(number: number): Value {
    return this.#constant("float32", [], Float32Array.of(number));
  }

  /** One dimension, as reductions take it. */
  axis(axis: number): Value {
    return this.#constant("int64", [1], BigInt64Array.of(BigInt(axis)));
  }

  #constant(dtype: DType, shape: Shape, data: Float32Array | BigInt64Array): Value {
    return this.once(`lowered:${dtype}:${data}`, (key) => {
      const value = { name: this.#free(key), dtype, shape };
      this.#constants.push({ value, data: new Uint8Array(data.buffer as ArrayBuffer) });
      return value;
    });
  }

  /** Makes a value at its first use. */
  once(key: string, make: (key: string) => Value): Value {
    let value = this.#derived.get(key);
    if (!value) this.#derived.set(key, value = make(key));
    return value;
  }

  /** A value with its last two dimensions exchanged. */
  transposed(x: Value): Value {
    return this.once(`transposed:${x.name}`, () => {
      const { shape, perm } = exchangeLastTwo(x);
      return this.add("Transpose", [x], x, { shape, attributes: { perm } });
    });
  }

  /** A value times a number. */
  scaled(x: Value, factor: number): Value {
    if (factor === 1) return x;
    return this.once(
      `scaled:${factor}:${x.name}`,
      () => this.add("Mul", [x, this.scalar(factor)], x),
    );
  }

  finish(): Graph {
    const graph: Graph = { ...this.#graph, nodes: this.#nodes, constants: this.#constants };
    assertAliases(graph);
    return graph;
  }
}

function exchangeLastTwo({ shape }: Value): { shape: Shape; perm: bigint[] } {
  const order = shape.map((_, i) => i);
  order.push(...order.splice(-2).reverse());
  return { shape: order.map((i) => shape[i]), perm: order.map(BigInt) };
}

/**
 * There is no kernel. MatMul takes no transposed operand and no factor, so those are passes of their
 * own: over the operand that grows with the tokens alone, not with their square.
 */
function lowerFusedMatMul({ inputs, outputs, attributes }: Node, to: Lowered): void {
  const [y] = outputs;
  let [a, b] = inputs as readonly [Value, Value];
  const { transA = 0n, transB = 0n, alpha = 1 } = attributes;
  const small = ({ shape }: Value): boolean => typeof shape.at(-1) === "number";
  const factor = alpha as number;
  if (small(a) && !small(b)) a = to.scaled(a, factor);
  else b = to.scaled(b, factor);
  if (transA === 1n && transB === 0n && !small(a) && small(b)) {
    // aᵀ·b is (bᵀ·a)ᵀ: a, such as attention's weights, is not written once more.
    const { shape } = exchangeLastTwo(y);
    const flipped = to.add("MatMul", [to.transposed(b), a], y, { shape });
    to.write("Transpose", [flipped], y, { perm: exchangeLastTwo(y).perm });
    return;
  }
  if (transA === 1n) a = to.transposed(a);
  if (transB === 1n) b = to.transposed(b);
  to.write("MatMul", [a, b], y);
}

/** The second output, 1/√(mean x² + ε), is wrong there: it comes from stock operations. */
function lowerRmsNorm(node: Node, to: Lowered): void {
  const [x] = node.inputs as readonly [Value];
  const [y, invStd] = node.outputs;
  // The reduction must not come after y, which may be written over x.
  if (to.isRead(invStd)) {
    const attributes = { keepdims: 1n };
    const squares = to.add("ReduceSumSquare", [x, to.axis(-1)], invStd, { attributes });
    // √width ÷ √(Σx² + width·ε): of so few numbers a node is a launch and nothing else.
    const width = x.shape.at(-1) as number;
    const epsilon = width * (node.attributes.epsilon as number);
    const root = to.add("Sqrt", [to.add("Add", [squares, to.scalar(epsilon)], invStd)], invStd);
    to.write("Div", [to.scalar(Math.sqrt(width)), root], invStd);
  }
  if (to.isRead(y)) to.keep({ ...node, outputs: [y] });
}

/** There is no kernel of float32: x − max − ln Σ exp(x − max). */
function lowerLogSoftmax({ inputs, outputs }: Node, to: Lowered): void {
  const [x] = inputs as readonly [Value];
  const [y] = outputs;
  const one = { shape: [...x.shape.slice(0, -1), 1], attributes: { keepdims: 1n } };
  const largest = to.add("ReduceMax", [x, to.axis(-1)], y, one);
  const shifted = to.add("Sub", [x, largest], y);
  const exponentials = to.add("Exp", [shifted], y);
  const sum = to.add("ReduceSum", [exponentials, to.axis(-1)], y, one);
  const logarithm = to.add("Log", [sum], y, { shape: one.shape });
  to.write("Sub", [shifted, logarithm], y);
}

/** Its kernel gives other numbers for prompts of 32 tokens and more. */
function refuseGroupQueryAttention({ outputs }: Node): never {
  throw new RangeError(
    `Cannot lower GroupQueryAttention (${
      outputs[0].name
    }) for webgpu: its kernel is wrong there; ` +
      "build the graph with plain attention",
  );
}

function refuseScan({ outputs }: Node): never {
  throw new RangeError(
    `Cannot lower Scan (${
      outputs[0].name
    }) for webgpu: there is no kernel for it; layers that carry a ` +
      "state run on --device cpu",
  );
}
