/**
 * Reverse-mode differentiation over a graph under construction.
 *
 * In: values with the gradients they are given, and the values whose gradients are wanted. Out:
 * those gradients, as new nodes of the same builder, which read the forward values by name:
 * building only the gradients as outputs gives a backward graph that recomputes its forward, for
 * dead nodes are pruned.
 *
 * @module
 */

import type { GradientContext, GraphBuilder } from "./builder.ts";
import { sameShape } from "./dim.ts";
import { gradientRules } from "./gradient_rules.ts";
import type { Value } from "./ir.ts";

/** What to differentiate. */
export interface GradientOptions {
  /** Gradients of the loss by a value, where the way back starts. */
  readonly seeds: ReadonlyMap<Value, Value>;
  /**
   * The values whose gradients are wanted, each with the accumulator its gradient is added to, or
   * undefined for none. Only what is not computed in the graph, such as a weight, may have one.
   */
  readonly wrt: ReadonlyMap<Value, Value | undefined>;
}

/**
 * Adds the backward nodes to the builder.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import { CompiledGraph } from "@ortune/ortune/unstable-engine";
 * import { gradient, GraphBuilder, ops } from "@ortune/ortune/unstable-graph";
 * import { Tensor } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("square_backward");
 * const x = b.input("x", "float32", ["n"]);
 * const y = ops.mul(b, x, x);
 * const dy = b.input("dy", "float32", ["n"]);
 * const gradients = gradient(b, { seeds: new Map([[y, dy]]), wrt: new Map([[x, undefined]]) });
 * b.output("dx", gradients.get(x)!);
 *
 * using runtime = new Runtime({ threads: 1 });
 * using graph = new CompiledGraph(runtime, b.build());
 * const tensor = (...data: number[]) =>
 *   Tensor.from(runtime, "float32", [data.length], Float32Array.from(data));
 * const dx = tensor(0, 0);
 * graph.run({ x: tensor(3, 5), dy: tensor(1, 10), dx });
 * assert.deepEqual([...dx.float32()], [6, 100]);
 * ```
 *
 * @returns the gradient of each wanted value
 * @throws {Error} `no gradient rule for X` where the way back passes an operation without one
 */
export function gradient(
  b: GraphBuilder,
  { seeds, wrt }: GradientOptions,
): Map<Value, Value> {
  // What a node read may have become an output since.
  const forward = b.nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map((input) => input && b.current(input)),
  }));
  const fail = (state: string): never => {
    throw new Error(`Cannot differentiate graph ${b.name}: ${state}`);
  };
  const wanted = new Map(Array.from(wrt, ([value, before]) => [b.current(value), before]));
  // Only values that depend on a wanted one need gradients: the mask, positions and tables do not.
  const needed = new Set<Value>(wanted.keys());
  for (const node of forward) {
    for (const output of node.outputs) {
      // What is passed on through a computed value must not hold what was accumulated before.
      if (wanted.get(output)) fail(`${output.name} has an accumulator but is no input`);
    }
    if (node.inputs.some((input) => input && needed.has(input))) {
      node.outputs.forEach((output) => needed.add(output));
    }
  }
  const gradients = new Map<Value, Value>();
  const reached = new Set<Value>();
  for (const [value, accumulator] of wanted) if (accumulator) gradients.set(value, accumulator);
  for (const [seeded, seed] of seeds) {
    const value = b.current(seeded);
    if (!sameShape(value.shape, seed.shape)) {
      throw new RangeError(
        `Cannot start at ${value.name} [${value.shape}] with a gradient of shape [${seed.shape}]`,
      );
    }
    if (gradients.has(value)) fail(`${value.name} has both a seed and an accumulator`);
    gradients.set(value, seed);
    reached.add(value);
  }
  for (const node of forward.toReversed()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    const [, other] = node.outputs;
    if (other && reached.has(other)) fail(`no gradient rule for the second output of ${node.op}`);
    const dy = gradients.get(node.outputs[0]);
    if (!dy) continue;
    const own = b.ownGradient(node.outputs[0]);
    const inputs = own ? own.inputs.map((input) => b.current(input)) : node.inputs;
    const needs = (i: number): boolean => inputs[i] !== undefined && needed.has(inputs[i]);
    const partial = (i: number): Value | undefined => inputs[i] && gradients.get(inputs[i]);
    const context: GradientContext = {
      dy,
      needs,
      partial,
      give: (i, make) => {
        const input = inputs[i];
        if (!input || !needs(i)) return;
        gradients.set(input, make(gradients.get(input)));
        reached.add(input);
      },
    };
    if (own) {
      own.rule(context);
      continue;
    }
    const rule = gradientRules[node.op];
    if (!rule) {
      return fail(`no gradient rule for ${node.op} (${node.outputs[0].name})`);
    }
    rule({ b, node, ...context });
  }
  const missing = [...wanted.keys()].filter((value) => !reached.has(value));
  if (missing.length > 0) {
    fail(`the seeds do not depend on ${missing.map((value) => value.name).join(", ")}`);
  }
  return new Map([...wrt.keys()].map((value) => [value, gradients.get(b.current(value))!]));
}
