/**
 * A graph as data: values, nodes and what is bound in place.
 *
 * Built by `GraphBuilder`, differentiated by `gradient`, written by `writeOnnx`.
 *
 * @module
 */

import type { DType } from "../tensor/dtype.ts";
import type { Shape } from "./dim.ts";

/** One tensor in a graph; identity is the object. */
export interface Value {
  /** Unique in its graph. */
  readonly name: string;
  /** Type of its elements. */
  readonly dtype: DType;
  /** Its sizes, outermost first; symbols are known when the graph runs. */
  readonly shape: Shape;
}

/** An attribute of a node: an integer (bigint), a float (number), a string, or integers. */
export type Attribute = bigint | number | string | readonly bigint[];

/** One operation. `undefined` among the inputs is an optional input left out. */
export interface Node {
  /** ONNX operator, such as `Gemm`. */
  readonly op: string;
  /**
   * Operator set: ONNX's own, ONNX Runtime's contrib operators, or ortune's own kernels, which no
   * session runs (`splitSubgraphs` puts them between two).
   */
  readonly domain: "" | "com.microsoft" | typeof KERNEL_DOMAIN;
  /** In the operator's order. */
  readonly inputs: readonly (Value | undefined)[];
  /** In the operator's order; the first is the main one. */
  readonly outputs: readonly Value[];
  /** Attributes by name. */
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** What a node that repeats a graph runs, as its attribute `body`. It reads nothing from outside. */
  readonly body?: Graph;
}

/** A constant that is part of the graph, as little-endian bytes. */
export interface Constant {
  /** The value it gives. */
  readonly value: Value;
  /** Row-major elements. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** A whole graph; nodes stand in an order in which they can run. */
export interface Graph {
  /** For errors and in the .onnx file. */
  readonly name: string;
  /** What a run must be given. */
  readonly inputs: readonly Value[];
  /** What a run gives. */
  readonly outputs: readonly Value[];
  /** Operations, producers before readers. */
  readonly nodes: readonly Node[];
  /** Values that never change. */
  readonly constants: readonly Constant[];
  /** Output name to input name, where both are to be bound to one memory. */
  readonly aliases: ReadonlyMap<string, string>;
  /**
   * Inputs that only carry a target shape of a Reshape: the runner fills them from the symbols.
   * A graph input costs no node, and on a GPU it stays on the host where Reshape wants it.
   */
  readonly shapeInputs: ReadonlyMap<string, Shape>;
}

/** The domain of operations that are launched as kernels of ortune's own. */
export const KERNEL_DOMAIN = "ortune";

/** The opset and IR versions that graphs are written for. */
export const OPSET = 21;
/** ONNX intermediate representation version that goes with {@linkcode OPSET}. */
export const IR_VERSION = 10;
