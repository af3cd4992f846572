/**
 * Builds a graph node by node.
 *
 * In: names, dtypes and symbolic shapes. Out: `GraphBuilder.build`, a pruned and alias-checked
 * `Graph`. The typed operations are in `ops.ts`.
 *
 * @module
 */

import { byteWidth, type DType } from "../tensor/dtype.ts";
import { float32ToBfloat16 } from "../tensor/half.ts";
import { assertAliases } from "./alias.ts";
import { product, sameShape, type Shape } from "./dim.ts";
import type { Attribute, Constant, Graph, Node, Value } from "./ir.ts";

/** What a gradient works with: of a node's rule, or of a value's own. */
export interface GradientContext {
  /** Gradient of the value. */
  readonly dy: Value;
  /** Whether input number `i` needs a gradient. */
  needs(i: number): boolean;
  /** What other readers of input number `i` have given so far. */
  partial(i: number): Value | undefined;
  /**
   * Gives input number `i` its gradient, if it needs one. `make` gets what other readers have
   * given so far and answers the new total.
   */
  give(i: number, make: (partial: Value | undefined) => Value): void;
}

/** A value's own gradient, taken in place of the rules of the nodes that compute it. */
export interface OwnGradient {
  /** What the value is a function of. */
  readonly inputs: readonly Value[];
  /** Gives the inputs their gradients. */
  readonly rule: (context: GradientContext) => void;
}

/**
 * Collects the nodes of one graph.
 *
 * @example
 * ```ts
 * import { GraphBuilder, ops } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("mlp");
 * const x = b.input("x", "float32", ["tokens", 16]);
 * const weight = b.input("weight", "float32", [32, 16]);
 * b.output("y", ops.silu(b, ops.linear(b, x, weight)));
 * const graph = b.build();
 * assert.deepEqual(graph.nodes.map((node) => node.op), ["Gemm", "QuickGelu"]);
 * assert.deepEqual(graph.outputs[0].shape, ["tokens", 32]);
 * ```
 */
export class GraphBuilder {
  /** The graph's name, for errors and in the .onnx file. */
  readonly name: string;
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  readonly #nodes: Node[] = [];
  readonly #constants: Constant[] = [];
  readonly #aliases = new Map<string, string>();
  readonly #shapeInputs = new Map<string, Shape>();
  readonly #names = new Set<string>();
  readonly #sharedConstants = new Map<string, Value>();
  readonly #renamed = new Map<Value, Value>();
  readonly #ownGradients = new Map<Value, OwnGradient>();

  /** An empty graph of that name. */
  constructor(name: string) {
    this.name = name;
  }

  /** The nodes so far, in order. */
  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /**
   * Declares a graph input.
   *
   * @throws {RangeError} where the name is taken
   */
  input(name: string, dtype: DType, shape: Shape): Value {
    this.#expectFree(name);
    const value = this.#value(name, dtype, shape);
    this.#inputs.push(value);
    return value;
  }

  /**
   * Declares a graph output under its own name.
   *
   * @param inPlaceOf an input whose memory the output is to be written into
   * @throws {RangeError} where the name is taken, or the two differ in shape or dtype
   */
  output(name: string, given: Value, { inPlaceOf }: { inPlaceOf?: Value } = {}): void {
    this.#expectFree(name);
    const value = this.current(given);
    const output = this.#value(name, value.dtype, value.shape);
    const producer = this.#nodes.findIndex((node) => node.outputs.includes(value));
    // A computed value is renamed, for its readers too: no copy, and a writer that can be aliased.
    if (producer < 0 || this.#outputs.includes(value)) {
      this.#nodes.push({
        op: "Identity",
        domain: "",
        inputs: [value],
        outputs: [output],
        attributes: {},
      });
    } else {
      const node = this.#nodes[producer];
      this.#nodes[producer] = {
        ...node,
        outputs: node.outputs.map((each) => each === value ? output : each),
      };
      this.#renamed.set(value, output);
      const own = this.#ownGradients.get(value);
      if (own) this.#ownGradients.set(output, own);
    }
    this.#outputs.push(output);
    if (inPlaceOf) {
      if (!sameShape(inPlaceOf.shape, value.shape) || inPlaceOf.dtype !== value.dtype) {
        throw new RangeError(
          `Cannot write ${name} in place of ${inPlaceOf.name}: shapes [${value.shape}] and ` +
            `[${inPlaceOf.shape}]`,
        );
      }
      this.#aliases.set(name, inPlaceOf.name);
    }
  }

  /** The value that stands for this one: another where it became an output. */
  current(value: Value): Value {
    return this.#renamed.get(value) ?? value;
  }

  #expectFree(name: string): void {
    if (!this.#names.has(name)) return;
    throw new RangeError(`Cannot declare ${name} in graph ${this.name}: the name is taken`);
  }

  /**
   * Makes a computed value an input of the graph: whatever read it reads the input, and what
   * computed it is pruned unless something else needs it.
   */
  cut(value: Value, name: string): void {
    this.#renamed.set(value, this.input(name, value.dtype, value.shape));
  }

  /** Gives a computed value a gradient of its own, whatever computes it. */
  differentiate(value: Value, own: OwnGradient): void {
    this.#ownGradients.set(value, own);
  }

  /** The value's own gradient, if it has one. */
  ownGradient(value: Value): OwnGradient | undefined {
    return this.#ownGradients.get(value);
  }

  /** Adds a node; most callers want the typed functions of `ops.ts`. */
  node(
    op: string,
    inputs: readonly (Value | undefined)[],
    outputs: readonly { readonly dtype: DType; readonly shape: Shape }[],
    { domain = "", attributes = {}, name = op, body }: {
      domain?: Node["domain"];
      attributes?: Readonly<Record<string, Attribute>>;
      name?: string;
      body?: Graph;
    } = {},
  ): Value[] {
    const values = outputs.map(({ dtype, shape }) =>
      this.#value(`${name}_${this.#nodes.length}`, dtype, shape)
    );
    const read = inputs.map((input) => input && this.current(input));
    this.#nodes.push({ op, domain, inputs: read, outputs: values, attributes, body });
    return values;
  }

  /** A float32 constant of shape [] (a scalar) or [n]. Equal ones are one. */
  float32(data: number | ArrayLike<number>): Value {
    const values = Float32Array.from(typeof data === "number" ? [data] : data);
    return this.#constant("float32", typeof data === "number" ? [] : [values.length], values);
  }

  /**
   * A constant of shape [] (a scalar) or [n] in the dtype of what it is computed with; bfloat16 is
   * rounded to nearest. Equal ones are one.
   *
   * @throws {RangeError} on a dtype that is neither float32 nor bfloat16
   */
  float(dtype: DType, data: number | readonly number[]): Value {
    if (dtype === "float32") return this.float32(data);
    if (dtype !== "bfloat16") {
      throw new RangeError(
        `Cannot make a ${dtype} constant in graph ${this.name}: use float32 or bfloat16`,
      );
    }
    const values = Float32Array.from(typeof data === "number" ? [data] : data);
    const bits = new Uint16Array(values.length);
    float32ToBfloat16(values, bits);
    return this.#constant(dtype, typeof data === "number" ? [] : [values.length], bits);
  }

  /** An int32 constant of shape [] (a scalar) or [n]. Equal ones are one. */
  int32(data: number | readonly number[]): Value {
    const values = Int32Array.from(typeof data === "number" ? [data] : data);
    return this.#constant("int32", typeof data === "number" ? [] : [values.length], values);
  }

  /** An int64 constant of shape [n]. Equal ones are one. */
  int64(data: readonly (number | bigint)[]): Value {
    return this.#constant("int64", [data.length], BigInt64Array.from(data, BigInt));
  }

  /** The numbers of an int64 constant of the graph. */
  int64Of(constant: Value): readonly number[] {
    const found = this.#constants.find(({ value }) => value === constant);
    if (!found || constant.dtype !== "int64") {
      throw new Error(`Cannot read ${constant.name}: it is no int64 constant of ${this.name}`);
    }
    return Array.from(new BigInt64Array(found.data.buffer), Number);
  }

  #constant(
    dtype: DType,
    shape: Shape,
    data: Float32Array | Uint16Array | Int32Array | BigInt64Array,
  ): Value {
    const key = `${dtype}[${shape}]=${data.join()}`;
    const known = this.#sharedConstants.get(key);
    if (known) return known;
    const value = this.#value(`const_${this.#constants.length}`, dtype, shape);
    const bytes = new Uint8Array(data.length * byteWidth(dtype));
    bytes.set(new Uint8Array(data.buffer));
    this.#constants.push({ value, data: bytes });
    this.#sharedConstants.set(key, value);
    return value;
  }

  /**
   * An int64 value holding a target shape: a constant if at most one size is symbolic.
   *
   * @param inferred whether its reader finds out one size, written −1, from what it reshapes
   */
  shape(shape: Shape, { inferred = true }: { readonly inferred?: boolean } = {}): Value {
    const symbolic = shape.filter((dim) => typeof dim === "string").length;
    if (symbolic <= (inferred ? 1 : 0)) {
      return this.int64(shape.map((dim) => typeof dim === "string" ? -1 : dim));
    }
    const name = `shape:${shape.join(",")}`;
    const known = this.#inputs.find((input) => input.name === name);
    if (known) return known;
    this.#shapeInputs.set(name, shape);
    return this.input(name, "int64", [shape.length]);
  }

  #value(name: string, dtype: DType, shape: Shape): Value {
    let unique = name;
    for (let i = 1; this.#names.has(unique); i++) unique = `${name}.${i}`;
    this.#names.add(unique);
    return { name: unique, dtype, shape: shape.map((dim) => product(dim)) };
  }

  /**
   * The finished graph: nodes, inputs and constants that no output needs are dropped, since ONNX
   * Runtime runs dead nodes too.
   *
   * @throws {Error} where an output written in place would be seen by a later reader of its input
   */
  build(): Graph {
    const needed = new Set<Value>(this.#outputs);
    const nodes: Node[] = [];
    for (const node of this.#nodes.toReversed()) {
      if (!node.outputs.some((output) => needed.has(output))) continue;
      const current = node.inputs.map((input) => input && (this.#renamed.get(input) ?? input));
      nodes.push({ ...node, inputs: current });
      for (const input of current) if (input) needed.add(input);
    }
    const inputs = this.#inputs.filter((input) => needed.has(input));
    const names = new Set(inputs.map((input) => input.name));
    const graph: Graph = {
      name: this.name,
      inputs,
      outputs: this.#outputs,
      nodes: nodes.reverse(),
      constants: this.#constants.filter((constant) => needed.has(constant.value)),
      aliases: this.#aliases,
      shapeInputs: new Map([...this.#shapeInputs].filter(([name]) => names.has(name))),
    };
    assertAliases(graph);
    return graph;
  }
}
