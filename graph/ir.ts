/**
 * A graph as data: values, nodes and what is bound in place. Built by `GraphBuilder`,
 * differentiated by `gradient`, written by `writeOnnx`.
 */

import type { DType } from "../tensor/dtype.ts";
import type { Shape } from "./dim.ts";

/** One tensor in a graph; identity is the object. */
export interface Value {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** An attribute of a node: an integer (bigint), a float (number), a string, or integers. */
export type Attribute = bigint | number | string | readonly bigint[];

/** One operation. `undefined` among the inputs is an optional input left out. */
export interface Node {
  readonly op: string;
  readonly domain: "" | "com.microsoft";
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A constant that is part of the graph, as little-endian bytes. */
export interface Constant {
  readonly value: Value;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** A whole graph; nodes stand in an order in which they can run. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly nodes: readonly Node[];
  readonly constants: readonly Constant[];
  /** Output name to input name, where both are to be bound to one memory. */
  readonly aliases: ReadonlyMap<string, string>;
  /**
   * Inputs that only carry a target shape of a Reshape: the runner fills them from the symbols.
   * A graph input costs no node, and on a GPU it stays on the host where Reshape wants it.
   */
  readonly shapeInputs: ReadonlyMap<string, Shape>;
}

/** The opset and IR versions that graphs are written for. */
export const OPSET = 21;
/** ONNX intermediate representation version that goes with {@linkcode OPSET}. */
export const IR_VERSION = 10;
