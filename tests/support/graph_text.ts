/** A graph as text, to be held against what is expected of it. In: a graph. Out: a line for each node, and one for each output. */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Shape } from "../../ort/graph/dim.ts";
import type { Attribute, Constant, Graph, Node, Value } from "../../ort/graph/ir.ts";
import type { DType } from "../../ort/tensor/dtype.ts";
import { bfloat16ToFloat32 } from "../../ort/tensor/half.ts";

function constantText({ value: { dtype, shape }, data }: Constant): string {
  const bytes = data.slice().buffer;
  const numbers = (): string[] => {
    if (dtype === "int64") return Array.from(new BigInt64Array(bytes), String);
    if (dtype === "int32") return Array.from(new Int32Array(bytes), String);
    if (dtype === "float32") return Array.from(new Float32Array(bytes), String);
    const wide = new Float32Array(bytes.byteLength / 2);
    bfloat16ToFloat32(new Uint16Array(bytes), wide);
    return Array.from(wide, String);
  };
  const text = numbers().join(" ");
  return `${dtype === "float32" ? "" : dtype}${shape.length === 0 ? `(${text})` : `[${text}]`}`;
}

function attributeText(value: Attribute): string {
  if (typeof value === "bigint") return `${value}`;
  if (typeof value === "number") return `${value}f`;
  return typeof value === "string" ? JSON.stringify(value) : `[${value.join(" ")}]`;
}

/** `name dtype [shape]`. */
export function valueText({ name, dtype, shape }: Value): string {
  return `${name} ${dtype} [${shape}]`;
}

/**
 * Such as `y float32 [n,4] = Gemm(x, w) transB=1`: of constants their numbers stand in place of their names, `_` for an
 * input left out, floats among the attributes with an f.
 */
export function nodeText(node: Node, constants: readonly Constant[] = []): string {
  const known = new Map(constants.map((each) => [each.value, constantText(each)]));
  const inputs = node.inputs.map((input) => input ? known.get(input) ?? input.name : "_");
  const domain = node.domain === "" ? "" : `${node.domain}:`;
  const attributes = Object.entries(node.attributes)
    .map(([name, value]) => ` ${name}=${attributeText(value)}`);
  const body = node.body ? ` {${graphText(node.body).join("; ")}}` : "";
  const outputs = node.outputs.map(valueText).join(", ");
  return `${outputs} = ${domain}${node.op}(${inputs.join(", ")})${attributes.join("")}${body}`;
}

/** Its nodes, and what is written in place as `y in x`. */
export function graphText(graph: Graph): string[] {
  return [
    ...graph.nodes.map((node) => nodeText(node, graph.constants)),
    ...Array.from(graph.aliases, ([output, input]) => `${output} in ${input}`),
  ];
}

/** Type and shape of a value by its name. */
export type Declared = Readonly<Record<string, readonly [DType, Shape]>>;
/** Values by name. */
export type Values = Readonly<Record<string, Value>>;

/** A float32 value of a shape. */
export const wide = (...shape: Shape): readonly [DType, Shape] => ["float32", shape];
/** A bfloat16 value of a shape. */
export const half = (...shape: Shape): readonly [DType, Shape] => ["bfloat16", shape];

/** Inputs of a graph by name. */
export function declare(b: GraphBuilder, inputs: Declared): Values {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, [dtype, shape]]) => [name, b.input(name, dtype, shape)]),
  );
}

/** A graph `g` of some inputs, with outputs y, y1 and so on. */
export function graphOf(
  inputs: Declared,
  build: (b: GraphBuilder, values: Values) => Value | readonly Value[],
): Graph {
  const b = new GraphBuilder("g");
  const made = [build(b, declare(b, inputs))].flat() as Value[];
  made.forEach((value, i) => b.output(`y${i || ""}`, value));
  return b.build();
}
