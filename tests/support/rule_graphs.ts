/** Graphs of the cases of `rule_cases.ts`: forward, and backward to all inputs that are differentiated. */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import { evaluateShape } from "../../ort/graph/dim.ts";
import { gradient } from "../../ort/graph/gradient.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { Dense } from "./dense.ts";
import type { Draw } from "./random.ts";
import { dense } from "./reference_interpreter.ts";
import { type RuleCase, SYMBOLS } from "./rule_cases.ts";

/** The input that a gradient is added to. */
export function beforeName(name: string): string {
  return `before.${name}`;
}

/** The output that is the gradient of an input. */
export function gradientOf(name: string): string {
  return `d.${name}`;
}

function declare(b: GraphBuilder, each: RuleCase): Record<string, Value> {
  const values: Record<string, Value> = {};
  for (const [name, shape] of Object.entries({ ...each.inputs, ...each.fixed })) {
    values[name] = b.input(name, "float32", shape);
  }
  if (each.positions) values.positions = b.input("positions", "int64", ["rows", "length"]);
  return values;
}

/** The case's value; fanned out, it is made twice of the same inputs and multiplied by itself. */
function valueOf(b: GraphBuilder, each: RuleCase, fanOut: boolean): [Value, Record<string, Value>] {
  const inputs = declare(b, each);
  const y = each.build(b, inputs);
  return [fanOut ? ops.mul(b, y, each.build(b, inputs)) : y, inputs];
}

/** From a case's inputs to y. */
export function ruleForward(each: RuleCase, fanOut: boolean): Graph {
  const b = new GraphBuilder("forward");
  b.output("y", valueOf(b, each, fanOut)[0]);
  return b.build();
}

/** From a case's inputs and dy to the gradients, added to others or by themselves. */
export function ruleBackward(each: RuleCase, fanOut: boolean, accumulate: boolean): Graph {
  const b = new GraphBuilder("backward");
  const [y, inputs] = valueOf(b, each, fanOut);
  const dy = b.input("dy", "float32", y.shape);
  const wrt = new Map(
    Object.keys(each.inputs).map((name) => [
      inputs[name],
      accumulate ? b.input(beforeName(name), "float32", inputs[name].shape) : undefined,
    ]),
  );
  const gradients = gradient(b, { seeds: new Map([[y, dy]]), wrt });
  for (const name of Object.keys(each.inputs)) {
    const input = inputs[name];
    b.output(gradientOf(name), gradients.get(input)!, { inPlaceOf: wrt.get(input) });
  }
  return b.build();
}

/** Numbers for all inputs of a case's graph. */
export function fillInputs(graph: Graph, draw: Draw, magnitude = 1): Record<string, Dense> {
  const filled: Record<string, Dense> = {};
  for (const { name, dtype, shape } of graph.inputs) {
    if (graph.shapeInputs.has(name)) continue;
    filled[name] = dense(
      evaluateShape(shape, SYMBOLS),
      (i) => dtype === "int64" ? i % SYMBOLS.positions : draw(-magnitude, magnitude),
    );
  }
  return filled;
}
