/**
 * A bfloat16 graph as one that a processor without bfloat16 kernels runs: the same inputs and
 * outputs, float32 in between, rounded wherever the bfloat16 kernels of ONNX Runtime's CUDA provider
 * round.
 *
 * In: a graph. Out: a graph with the same interface and aliases.
 *
 * Rounded once, at the output: products (they accumulate in float32), sums and reductions, softmax,
 * and elementwise operations. RotaryEmbedding rounds both products and their sum. What moves
 * elements rounds nothing. The factor of a matrix product is rounded, as cuBLAS takes it in the
 * operands' type.
 *
 * @module
 */

import { bfloat16ToFloat32, roundToBfloat16 } from "../tensor/half.ts";
import { onnxDataType } from "../tensor/onnx_dtype.ts";
import { assertAliases } from "./alias.ts";
import type { Attribute, Constant, Graph, Node, Value } from "./ir.ts";

/** Operations whose outputs hold elements of their inputs, unchanged. */
const MOVES: ReadonlySet<string> = new Set([
  "Concat",
  "Expand",
  "Gather",
  "GatherElements",
  "Identity",
  "Pad",
  "Reshape",
  "ScatterElements",
  "ScatterND",
  "Slice",
  "Transpose",
  "Unsqueeze",
  "Where",
]);

/**
 * Rewrites a graph so that it gives on the CPU what it gives in bfloat16 on CUDA, up to the order in
 * which a kernel adds. A graph without bfloat16 comes back as it is.
 *
 * @example
 * ```ts
 * import { emulateBfloat16, GraphBuilder, ops } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("double");
 * const x = b.input("x", "bfloat16", ["n"]);
 * b.output("y", ops.add(b, x, x));
 * const graph = emulateBfloat16(b.build());
 * assert.deepEqual(graph.nodes.map(({ op }) => op), ["Cast", "Add", "Cast"]);
 * assert.equal(graph.outputs[0].dtype, "bfloat16");
 * ```
 */
export function emulateBfloat16(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  for (const node of graph.nodes) rewriter.add(node);
  return rewriter.finish();
}

class Rewriter {
  readonly #graph: Graph;
  readonly #nodes: Node[] = [];
  readonly #constants: Constant[] = [];
  /** The float32 stand-in of each bfloat16 value. */
  readonly #wide = new Map<Value, Value>();
  readonly #names: Set<string>;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#names = new Set(
      [...graph.inputs, ...graph.nodes.flatMap(({ outputs }) => outputs)].map(({ name }) => name),
    );
    for (const constant of graph.constants) {
      const wide = constant.value.dtype === "bfloat16" ? this.#widened(constant) : constant;
      this.#constants.push(wide);
      if (wide !== constant) this.#wide.set(constant.value, wide.value);
    }
  }

  #widened({ value, data }: Constant): Constant {
    const numbers = new Float32Array(data.length / 2);
    bfloat16ToFloat32(new Uint16Array(data.buffer, data.byteOffset, numbers.length), numbers);
    return { value: { ...value, dtype: "float32" }, data: new Uint8Array(numbers.buffer) };
  }

  #value(like: Value, dtype: "float32" | "bfloat16" = "float32"): Value {
    let name = `${like.name}:${dtype}`;
    for (let i = 1; this.#names.has(name); i++) name = `${like.name}:${dtype}.${i}`;
    this.#names.add(name);
    return { ...like, name, dtype };
  }

  #push(node: Partial<Node> & Pick<Node, "op" | "inputs" | "outputs">): void {
    this.#nodes.push({ domain: "", attributes: {}, ...node });
  }

  #cast(from: Value, to: Value): void {
    const attributes = { to: BigInt(onnxDataType(to.dtype)) };
    this.#push({ op: "Cast", inputs: [from], outputs: [to], attributes });
  }

  /** What stands for a value among the nodes written so far. */
  #read(value: Value | undefined): Value | undefined {
    if (value?.dtype !== "bfloat16") return value;
    let wide = this.#wide.get(value);
    if (!wide) { // an input of the graph, or what was rounded and not read so far
      wide = this.#value(value);
      this.#cast(value, wide);
      this.#wide.set(value, wide);
    }
    return wide;
  }

  /** Rounds a float32 value to the bfloat16 value it stands for; readers widen that one. */
  #round(exact: Value, rounded: Value): void {
    this.#cast(exact, rounded);
  }

  /** Adds the node in float32. */
  add(node: Node): void {
    const { op, inputs, outputs, attributes } = node;
    if (![...inputs, ...outputs].some((value) => value?.dtype === "bfloat16")) {
      this.#nodes.push(node);
      return;
    }
    if (op === "Cast") return this.#addCast(node);
    if (op === "RotaryEmbedding") return this.#addRope(node);
    const reads = inputs.map((value) => this.#read(value));
    const exact = outputs.map((value) => value.dtype === "bfloat16" ? this.#value(value) : value);
    const rounded: Readonly<Record<string, Attribute>> = op === "FusedMatMul"
      ? { ...attributes, alpha: roundToBfloat16(attributes.alpha as number) }
      : attributes;
    this.#push({ ...node, inputs: reads, outputs: exact, attributes: rounded });
    outputs.forEach((output, i) => {
      if (output.dtype !== "bfloat16") return;
      if (MOVES.has(op) && !this.#graph.outputs.includes(output)) this.#wide.set(output, exact[i]);
      else this.#round(exact[i], output);
    });
  }

  #addCast({ inputs: [from], outputs: [to] }: Node): void {
    const source = this.#read(from)!;
    if (to.dtype === "bfloat16") return this.#cast(source, to);
    // Widening is what reading did.
    if (to.dtype === "float32" && !this.#graph.outputs.includes(to)) this.#wideAs(to, source);
    else this.#cast(source, to);
  }

  /** A float32 value of the graph that is another one here. */
  #wideAs(value: Value, source: Value): void {
    this.#push({ op: "Identity", inputs: [source], outputs: [value] });
  }

  /** x·cos and ±x·sin apart, each rounded, and their sum. */
  #addRope(node: Node): void {
    const [x, positions, cos, sin] = node.inputs.map((value) => this.#read(value)) as Value[];
    const [output] = node.outputs;
    const zero = this.#zero();
    const parts = [cos, sin].map((kept) => {
      const [other, product] = [this.#value(kept), this.#value(output)];
      this.#push({ op: "Mul", inputs: [kept === cos ? sin : cos, zero], outputs: [other] });
      const tables = kept === cos ? [kept, other] : [other, kept];
      this.#push({ ...node, inputs: [x, positions, ...tables], outputs: [product] });
      const rounded = this.#value(output, "bfloat16");
      this.#round(product, rounded);
      const read = this.#read(rounded)!;
      // What of each head is not turned is in both: once is enough.
      const partly = node.attributes.rotary_embedding_dim !== undefined;
      if (kept === cos || !partly) return read;
      const [none, unturned, turned] = [
        this.#value(sin),
        this.#value(output),
        this.#value(output),
      ];
      this.#push({ op: "Mul", inputs: [sin, zero], outputs: [none] });
      this.#push({ ...node, inputs: [x, positions, none, none], outputs: [unturned] });
      this.#push({ op: "Sub", inputs: [read, unturned], outputs: [turned] });
      return turned;
    });
    const sum = this.#value(output);
    this.#push({ op: "Add", inputs: parts, outputs: [sum] });
    this.#round(sum, output);
  }

  #zero(): Value {
    const value: Value = { name: "emulated:zero", dtype: "float32", shape: [] };
    if (!this.#constants.some((constant) => constant.value.name === value.name)) {
      this.#constants.push({ value, data: new Uint8Array(4) });
    }
    return this.#constants.find((constant) => constant.value.name === value.name)!.value;
  }

  finish(): Graph {
    const graph: Graph = { ...this.#graph, nodes: this.#nodes, constants: this.#constants };
    assertAliases(graph);
    return graph;
  }
}
