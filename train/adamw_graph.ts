/**
 * AdamW's update as an elementwise graph over a chunk of parameters, in place.
 *
 * In: p, g, m, v, [n] each, and the step's scalars. Out: p, m and v. Loshchilov and Hutter 2019,
 * https://arxiv.org/abs/1711.05101; torch.optim.AdamW's order of operations, with the bias
 * corrections folded into two scalars a step.
 */

import { LAYOUT_BLOCK } from "../engine/parameter_store.ts";
import { GraphBuilder } from "../graph/builder.ts";
import type { Graph } from "../graph/ir.ts";
import * as ops from "../graph/ops.ts";

/** AdamW's constants. */
export interface AdamWOptions {
  /**
   * Decay of the first moment.
   * @default 0.9
   */
  readonly beta1?: number;
  /**
   * Decay of the second moment.
   * @default 0.999
   */
  readonly beta2?: number;
  /**
   * Added to the root of the second moment.
   * @default 1e-8
   */
  readonly epsilon?: number;
  /**
   * Parameters shrink by learning rate times this, but for norms and biases.
   * @default 0
   */
  readonly weightDecay?: number;
}

/**
 * The update of n elements: p, m, v in place, from their gradient g and the step's scalars.
 *
 * `m ← β1·m + (1−β1)·c·g`, `v ← β2·v + (1−β2)·(c·g)²`, `p ← decay·p − a·m/(√v + e)` with
 * c the clip factor, a = lr·√(1−β2ᵗ)/(1−β1ᵗ), e = ε·√(1−β2ᵗ), decay = 1 − lr·weightDecay.
 *
 * @example
 * ```ts
 * import { adamWGraph, CompiledGraph, Runtime, Tensor } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * using runtime = new Runtime({ threads: 1 });
 * using graph = new CompiledGraph(runtime, adamWGraph({ beta1: 0.9, beta2: 0.999 }, false));
 * const scalar = (value: number) => Tensor.from(runtime, "float32", [], Float32Array.of(value));
 * const vector = (value: number) => Tensor.from(runtime, "float32", [1], Float32Array.of(value));
 * const [p, g, m, v] = [vector(1), vector(4), vector(0), vector(0)];
 * // The first update at learning rate 0.1: a step of 0.1 against the gradient, whatever its size.
 * const stepSize = 0.1 * Math.sqrt(1 - 0.999) / (1 - 0.9);
 * graph.run({ p, g, m, v, clip: scalar(1), step_size: scalar(stepSize), epsilon: scalar(0) });
 * assert.ok(Math.abs(p.float32()[0] - 0.9) < 1e-6);
 * ```
 *
 * @param decays whether p is multiplied by `decay`
 */
export function adamWGraph(
  { beta1, beta2 }: Required<Pick<AdamWOptions, "beta1" | "beta2">>,
  decays: boolean,
): Graph {
  const b = new GraphBuilder(decays ? "optimizer" : "optimizer_no_decay");
  const [p, g, m, v] = ["p", "g", "m", "v"].map((name) => b.input(name, "float32", ["n"]));
  const scalar = (name: string) => b.input(name, "float32", []);
  const clipped = ops.mul(b, g, scalar("clip"));
  const newM = ops.add(
    b,
    ops.mul(b, m, b.float32(beta1)),
    ops.mul(b, clipped, b.float32(1 - beta1)),
  );
  const squared = ops.mul(b, ops.mul(b, clipped, clipped), b.float32(1 - beta2));
  const newV = ops.add(b, ops.mul(b, v, b.float32(beta2)), squared);
  const denominator = ops.add(b, ops.sqrt(b, newV), scalar("epsilon"));
  const update = ops.div(b, ops.mul(b, newM, scalar("step_size")), denominator);
  const kept = decays ? ops.mul(b, p, scalar("decay")) : p;
  b.output("p_new", ops.sub(b, kept, update), { inPlaceOf: p });
  b.output("m_new", newM, { inPlaceOf: m });
  b.output("v_new", newV, { inPlaceOf: v });
  return b.build();
}

/** The sum of squares of each block of a layout: g [blocks, block] → sums [blocks, 1]. */
export function sumOfSquaresGraph(): Graph {
  const b = new GraphBuilder("sum_of_squares");
  const g = b.input("g", "float32", ["blocks", LAYOUT_BLOCK]);
  // Three times as fast as ReduceSumSquare, whose kernel does not vectorize.
  b.output("sums", ops.reduceSum(b, ops.mul(b, g, g), 1));
  return b.build();
}
