/** Gradients without calculus: central differences of a graph run in float64. */

import type { Symbols } from "../../ort/graph/dim.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { type DenseMap, interpret } from "./reference_interpreter.ts";
import type { Dense } from "./dense.ts";

// Truncation grows with the square of the step and rounding with its inverse: at 1e-5 both leave
// errors of about 1e-10 in float64.
const STEP = 1e-5;

/** The sum of the products of two lists. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** A scalar function of tensors. */
export type Loss = (inputs: DenseMap) => number;

/** The loss Σ r·y over one output of a graph. */
export function weightedSum(graph: Graph, output: string, r: Dense, symbols: Symbols): Loss {
  return (inputs) => dot(interpret(graph, inputs, symbols)[output].data, r.data);
}

/** The derivative of the loss along `direction` of one input. */
export function alongDirection(
  loss: Loss,
  inputs: DenseMap,
  name: string,
  direction: ArrayLike<number>,
): number {
  const moved = (step: number): number => {
    const { shape, data } = inputs[name];
    return loss({
      ...inputs,
      [name]: { shape, data: data.map((x, i) => x + step * direction[i]) },
    });
  };
  return (moved(STEP) - moved(-STEP)) / (2 * STEP);
}

/** The derivatives of the loss by chosen elements of one input. */
export function byElements(
  loss: Loss,
  inputs: DenseMap,
  name: string,
  elements: readonly number[],
): number[] {
  const length = inputs[name].data.length;
  return elements.map((element) => {
    const direction = new Float64Array(length);
    direction[element] = 1;
    return alongDirection(loss, inputs, name, direction);
  });
}
