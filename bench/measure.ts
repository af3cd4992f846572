/** Timing and filling for benchmarks. */

import { CompiledGraph } from "../model/engine/compiled_graph.ts";
import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { GraphBuilder } from "../ort/graph/builder.ts";
import { evaluateShape, type Symbols } from "../ort/graph/dim.ts";
import type { Graph, Node, Value } from "../ort/graph/ir.ts";
import * as ops from "../ort/graph/ops.ts";
import { type ModelConfig, parseConfig } from "../model/config.ts";
import { modelParameters } from "../model/parameters.ts";
import type { Runtime } from "../ort/runtime/runtime.ts";
import { Tensor } from "../ort/runtime/tensor.ts";

const WIDTHS: Readonly<Record<string, readonly [hidden: number, intermediate: number]>> = {
  "0.6B": [1024, 3072],
  "1.7B": [2048, 6144],
};

/** The shapes of a Qwen3, `0.6B` or `1.7B`, of so many layers and tokens. */
export function qwen3Shapes(
  name: string,
  { layers = 28, vocabulary = 151936 }: {
    readonly layers?: number;
    readonly vocabulary?: number;
  } = {},
): ModelConfig {
  const [hidden_size, intermediate_size] = WIDTHS[name];
  return parseConfig({
    model_type: "qwen3",
    hidden_size,
    intermediate_size,
    num_hidden_layers: layers,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    head_dim: 128,
    vocab_size: vocabulary,
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    tie_word_embeddings: true,
    max_position_embeddings: 40960,
  });
}

/** Qwen3-0.6B's shapes. */
export const QWEN3_06B: ModelConfig = qwen3Shapes("0.6B");

/** The middle of some measurements. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** Milliseconds that a call takes. */
export function milliseconds(call: () => void): number {
  const began = performance.now();
  call();
  return performance.now() - began;
}

const PATTERN = 1 << 16;

/** Fills with numbers of a normal-ish distribution, none of them denormal. */
export function fillRandom(values: Float32Array, scale: number): void {
  const head = values.subarray(0, PATTERN);
  for (let i = 0; i < head.length; i++) head[i] = (Math.random() + Math.random() - 1) * scale;
  for (let filled = head.length; filled < values.length; filled *= 2) {
    values.copyWithin(filled, 0, Math.min(filled, values.length - filled));
  }
}

/** All weights, no two tensors alike, at the speed of a copy: windows onto one stream of numbers. */
export function randomWeights(runtime: Runtime, config: ModelConfig): ParameterStore {
  const noise = new Float32Array(2 ** 22 + 4096);
  let state = 1;
  for (let i = 0; i < noise.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    noise[i] = (state * 2 ** -32 - 0.5) * 0.06;
  }
  const store = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
  store.names().forEach((name, seed) => {
    const elements = store.tensor(name).float32();
    const piece = noise.subarray(seed, seed + 2 ** 22);
    for (let at = 0; at < elements.length; at += piece.length) {
      elements.set(piece.subarray(0, Math.min(piece.length, elements.length - at)), at);
    }
    if (store.info(name).shape.length === 1) elements.fill(1);
  });
  return store;
}

/**
 * Graphs that read all weights as one matrix, a run each: row sums, and a row times the matrix, held as
 * [out, in] and as [in, out].
 */
export function readers(
  runtime: Runtime,
  weights: ParameterStore,
): Record<"sum" | "gemv" | "gemvInOut", () => void> {
  const width = 1024;
  const rows = Math.floor(weights.layout.length / width);
  const x = Tensor.from(runtime, "float32", [1, width], new Float32Array(width).fill(1));
  const y = Tensor.allocate(runtime, "float32", [1, rows]);
  const reader = (
    name: string,
    shape: readonly [number, number],
    make: (b: GraphBuilder, w: Value, x: Value) => Value,
  ): () => void => {
    const b = new GraphBuilder(name);
    const w = b.input("w", "float32", shape);
    b.output("y", make(b, w, b.input("x", "float32", [1, width])));
    const graph = new CompiledGraph(runtime, b.build());
    const tensors = { w: weights.flat.view(0, shape), x, y };
    return () => graph.run(tensors);
  };
  return {
    sum: reader(
      "sum",
      [rows, width],
      (b, w) => ops.reshape(b, ops.reduceSum(b, w, 1), [1, rows]),
    ),
    gemv: reader("gemv", [rows, width], (b, w, x) => ops.linear(b, x, w)),
    gemvInOut: reader("gemv_in_out", [width, rows], (b, w, x) => ops.gemm(b, x, w)),
  };
}

/** A graph with tensors of its own, ready to be run again and again. */
export class Subject implements Disposable {
  readonly #graph: CompiledGraph;
  readonly #tensors: Record<string, Tensor> = {};
  readonly #symbols: Symbols;

  constructor(runtime: Runtime, graph: Graph, symbols: Symbols) {
    this.#graph = new CompiledGraph(runtime, graph);
    this.#symbols = symbols;
    for (const { name, dtype, shape } of graph.inputs) {
      if (graph.shapeInputs.has(name)) continue;
      const tensor = Tensor.allocate(runtime, dtype, evaluateShape(shape, symbols));
      this.#tensors[name] = tensor;
      if (dtype === "float32") {
        fillRandom(
          tensor.float32(),
          name === "mask" ? 0 : name === "x" || name === "dy" ? 1 : 0.05,
        );
      } else if (dtype === "int64") {
        const ids = tensor.int64();
        for (let i = 0; i < ids.length; i++) ids[i] = BigInt(i);
      } else tensor.bytes().fill(dtype === "uint8" ? 1 : 0); // dropout masks keep all
    }
    for (const { name, dtype, shape } of graph.outputs) {
      if (graph.aliases.has(name)) continue;
      this.#tensors[name] = Tensor.allocate(runtime, dtype, evaluateShape(shape, symbols));
    }
  }

  run(): void {
    this.#graph.run(this.#tensors, this.#symbols);
  }

  [Symbol.dispose](): void {
    this.#graph[Symbol.dispose]();
    for (const tensor of Object.values(this.#tensors)) tensor[Symbol.dispose]();
  }
}

/** Each matrix product of a graph as a graph of its own, equal ones once, with their count. */
export function matrixProducts(
  graph: Graph,
  symbols: Symbols,
): { graph: Graph; count: number }[] {
  const products = new Map<string, { graph: Graph; count: number }>();
  for (const node of graph.nodes) {
    if (node.op !== "Gemm" && node.op !== "FusedMatMul") continue;
    const [left, right] = node.inputs;
    const key = JSON.stringify([
      node.op,
      evaluateShape(left!.shape, symbols),
      evaluateShape(right!.shape, symbols),
      String(node.attributes.transA),
      String(node.attributes.transB),
    ]);
    const known = products.get(key);
    if (known) known.count++;
    else products.set(key, { graph: alone(node), count: 1 });
  }
  return [...products.values()];
}

/** The product without its addend. */
function alone(node: Node): Graph {
  const [left, right] = node.inputs.map((input, i) => ({ ...input!, name: `operand_${i}` }));
  const inputs = [left, right];
  return {
    name: node.op,
    inputs,
    outputs: node.outputs,
    nodes: [{ ...node, inputs }],
    constants: [],
    aliases: new Map(),
    shapeInputs: new Map(),
  };
}

/** Median milliseconds of a graph and of its matrix products alone, measured in turns. */
export function compareWithProducts(
  runtime: Runtime,
  graph: Graph,
  symbols: Symbols,
  rounds: number,
): { graph: number; products: number } {
  using subject = new Subject(runtime, graph, symbols);
  const products = matrixProducts(graph, symbols).map(({ graph, count }) => ({
    subject: new Subject(runtime, graph, symbols),
    count,
    times: [] as number[],
  }));
  const times: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const whole = milliseconds(() => subject.run());
    if (round > 0) times.push(whole);
    for (const product of products) {
      const alone = milliseconds(() => product.subject.run());
      if (round > 0) product.times.push(alone);
    }
  }
  const total = products.reduce((sum, { count, times }) => sum + count * median(times), 0);
  for (const { subject } of products) subject[Symbol.dispose]();
  return { graph: median(times), products: total };
}

/** Median milliseconds of several graphs, measured in turns. */
export function inTurns<Name extends string>(
  runtime: Runtime,
  graphs: Readonly<Record<Name, Graph>>,
  { symbols, rounds }: { readonly symbols: Symbols; readonly rounds: number },
): Record<Name, number> {
  using stack = new DisposableStack();
  const subjects = Object.entries<Graph>(graphs).map(([name, graph]) => ({
    name,
    subject: stack.use(new Subject(runtime, graph, symbols)),
    times: [] as number[],
  }));
  for (let round = 0; round <= rounds; round++) {
    for (const { subject, times } of subjects) {
      const time = milliseconds(() => subject.run());
      if (round > 0) times.push(time);
    }
  }
  return Object.fromEntries(
    subjects.map(({ name, times }) => [name, median(times)]),
  ) as Record<Name, number>;
}

/** Peak resident memory of this process in MiB; NaN where the system does not tell. */
export function peakMemory(): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))![1]) / 1024;
  } catch {
    return NaN;
  }
}
