/**
 * Reverse-mode differentiation over a graph under construction. In: values with the gradients they
 * are given, and the values whose gradients are wanted. Out: those gradients, as new nodes of the
 * same builder, which read the forward values by name: building only the gradients as outputs
 * gives a backward graph that recomputes its forward, for dead nodes are pruned.
 */

import type { GraphBuilder } from "./builder.ts";
import { sameShape } from "./dim.ts";
import { gradientRules } from "./gradient_rules.ts";
import type { Value } from "./ir.ts";

/** What to differentiate. */
export interface GradientOptions {
  /** Gradients of the loss by a value, where the way back starts. */
  readonly seeds: ReadonlyMap<Value, Value>;
  /**
   * The values whose gradients are wanted, each with the accumulator its gradient is added to, or
   * undefined for none.
   */
  readonly wrt: ReadonlyMap<Value, Value | undefined>;
}

/**
 * Adds the backward nodes to the builder.
 *
 * @returns the gradient of each wanted value
 * @throws {Error} `no gradient rule for X` where the way back passes an operation without one
 */
export function gradient(
  b: GraphBuilder,
  { seeds, wrt }: GradientOptions,
): Map<Value, Value> {
  const forward = [...b.nodes];
  // Only values that depend on a wanted one need gradients: the mask, positions and tables do not.
  const needed = new Set<Value>(wrt.keys());
  for (const node of forward) {
    if (node.inputs.some((input) => input && needed.has(input))) {
      node.outputs.forEach((output) => needed.add(output));
    }
  }
  const gradients = new Map<Value, Value>();
  for (const [value, accumulator] of wrt) if (accumulator) gradients.set(value, accumulator);
  for (const [value, seed] of seeds) {
    if (!sameShape(value.shape, seed.shape)) {
      throw new RangeError(
        `Cannot start at ${value.name} [${value.shape}] with a gradient of shape [${seed.shape}]`,
      );
    }
    gradients.set(value, seed);
  }
  for (const node of forward.toReversed()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    const dy = gradients.get(node.outputs[0]);
    if (!dy) continue;
    const rule = gradientRules[node.op];
    if (!rule) {
      throw new Error(
        `Cannot differentiate graph ${b.name}: no gradient rule for ${node.op} ` +
          `(${node.outputs[0].name})`,
      );
    }
    rule({
      b,
      node,
      dy,
      give: (i, make) => {
        const input = node.inputs[i];
        if (input && needed.has(input)) gradients.set(input, make(gradients.get(input)));
      },
    });
  }
  const missing = [...wrt.keys()].filter((value) => !gradients.has(value));
  if (missing.length > 0) {
    throw new Error(
      `Cannot differentiate graph ${b.name}: the seeds do not depend on ` +
        missing.map((value) => value.name).join(", "),
    );
  }
  return new Map([...wrt.keys()].map((value) => [value, gradients.get(value)!]));
}
