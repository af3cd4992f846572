/**
 * AdamW's update as an elementwise graph over a chunk of parameters, in place.
 *
 * In: p, g, m, v, [n] each, and the step's scalars. Out: p, m and v. Loshchilov and Hutter 2019,
 * https://arxiv.org/abs/1711.05101; torch.optim.AdamW's order of operations, with the bias
 * corrections folded into two scalars a step.
 */

import { LAYOUT_BLOCK } from "../../model/engine/parameter_store.ts";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { Precision } from "../../model/precision.ts";
import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";

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
 * What an update keeps.
 *
 * | kind | p | g | m, v | bytes a parameter, with the model's own |
 * |---|---|---|---|---|
 * | `float32` | float32 | float32 | float32 | 16 |
 * | `adamw` | float32, and a bfloat16 copy as output `weight` | bfloat16 | float32 | 16 |
 * | `adamw-bf16` | bfloat16 | bfloat16 | bfloat16 | 8 |
 * | `bfloat16-pure` | bfloat16 | bfloat16 | bfloat16 | 8 |
 *
 * All compute in float32. `adamw-bf16` rounds p, m and v stochastically: the expected value of what
 * is stored is what was computed, so updates below half the distance to the next bfloat16 add up, and
 * the second moment decays. `bfloat16-pure` rounds to nearest, as torch's fused AdamW does on a
 * bfloat16 model: updates below about 1/256 of a weight vanish, and v hardly falls.
 */
export type AdamWKind = "float32" | "adamw" | "adamw-bf16" | "bfloat16-pure";

/**
 * The same and `adamw-8bit`, of which there is a kernel and no graph: bfloat16 weights rounded
 * stochastically, and moments in 8 bits with a float32 scale for each 256 of them, 6 bytes a parameter
 * with the model's own.
 */
export type OptimizerKind = AdamWKind | "adamw-8bit";

/** The constants of {@linkcode adamWGraph}. */
export interface AdamWGraphOptions extends Required<Pick<AdamWOptions, "beta1" | "beta2">> {
  /**
   * Makes an update without effect where one more input, `finite` bool [], is false. It then also
   * takes β1 and β2 as inputs `keep_m` and `keep_v`, to be 1 of such an update, as `decay` is.
   * @default false
   */
  readonly guarded?: boolean;
}

/**
 * The update of n elements: p, m, v in place, from their gradient g and the step's scalars.
 *
 * `m ← β1·m + (1−β1)·c·g`, `v ← β2·v + (1−β2)·(c·g)²`, `p ← decay·p − a·m/(√v + e)` with
 * c the clip factor, a = lr·√(1−β2ᵗ)/(1−β1ᵗ), e = ε·√(1−β2ᵗ), decay = 1 − lr·weightDecay.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import { CompiledGraph } from "@ortune/ortune/unstable-engine";
 * import { Tensor } from "@ortune/ortune/unstable-ort";
 * import { adamWGraph } from "./adamw_graph.ts";
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
 * Where kind is `adamw-bf16`, tensors are [blocks, 256], and two more inputs give the random numbers:
 * `blocks`, int32 [blocks, 1], odd numbers that differ from block to block, the same at every update;
 * and `seed`, int32 [], a random odd number for each update.
 *
 * @param decays whether p is multiplied by `decay`
 * @param kind what is kept in which type; the scalars are float32 in all
 */
export function adamWGraph(
  { beta1, beta2, guarded = false }: AdamWGraphOptions,
  decays: boolean,
  kind: AdamWKind = "float32",
): Graph {
  const b = new GraphBuilder(decays ? "optimizer" : "optimizer_no_decay");
  const stochastic = kind === "adamw-bf16";
  const shape = stochastic ? ["blocks", LAYOUT_BLOCK] : ["n"];
  const gradient = kind === "float32" ? "float32" : "bfloat16";
  const state = kind === "float32" || kind === "adamw" ? "float32" : "bfloat16";
  const stored = {
    p: b.input("p", state, shape),
    g: b.input("g", gradient, shape),
    m: b.input("m", state, shape),
    v: b.input("v", state, shape),
  };
  const [p, g, m, v] = Object.values(stored).map((value) => ops.cast(b, value, "float32"));
  const scalar = (name: string) => b.input(name, "float32", []);
  // NaN times 0 is NaN, so the gradients of an update that is not to be are replaced.
  const seen = guarded ? ops.where(b, b.input("finite", "bool", []), g, b.float32(0)) : g;
  const clipped = ops.mul(b, seen, scalar("clip"));
  const newM = ops.add(
    b,
    ops.mul(b, m, guarded ? scalar("keep_m") : b.float32(beta1)),
    ops.mul(b, clipped, b.float32(1 - beta1)),
  );
  const squared = ops.mul(b, ops.mul(b, clipped, clipped), b.float32(1 - beta2));
  const newV = ops.add(b, ops.mul(b, v, guarded ? scalar("keep_v") : b.float32(beta2)), squared);
  const denominator = ops.add(b, ops.sqrt(b, newV), scalar("epsilon"));
  const update = ops.div(b, ops.mul(b, newM, scalar("step_size")), denominator);
  const kept = decays ? ops.mul(b, p, scalar("decay")) : p;
  const round = stochastic
    ? stochasticRounding(b)
    : (value: Value): Value => ops.cast(b, value, state);
  const newP = round(ops.sub(b, kept, update));
  b.output("p_new", newP, { inPlaceOf: stored.p });
  if (kind === "adamw") b.output("weight", ops.cast(b, newP, "bfloat16"));
  b.output("m_new", round(newM), { inPlaceOf: stored.m });
  b.output("v_new", round(newV), { inPlaceOf: stored.v });
  return b.build();
}

// A little below x, rounded: a bfloat16 between the same two powers of two as x, where x itself might
// be rounded up to the upper one.
const BELOW = 1 - 2 ** -9;
// A bfloat16 that grows by this share ends nearest to the next one, wherever between two powers of
// two it starts: 0.7 to 1.4 steps.
const NEXT = 1 + 0.7 * 2 ** -7;

/**
 * Rounds float32 [blocks, 256] to one of the two bfloat16 beside it, the nearer the likelier:
 * x + u·(distance of the two), u uniform within ±½, rounded to nearest. Opset 21 cannot reinterpret
 * bits, so the distance is found by going from one number to the next.
 *
 * u is block·seed·column modulo 2³², all odd: a multiplicative hash (Dietzfelbinger et al. 1997,
 * https://doi.org/10.1006/jagm.1997.0873), the columns being constants of the graph. What is rounded
 * of one parameter shares it; each rounding alone is fair.
 */
function stochasticRounding(b: GraphBuilder): (x: Value) => Value {
  const random = MersenneTwister.fromSeed(256);
  const columns = Array.from({ length: LAYOUT_BLOCK }, () => random.nextUint32() | 1);
  const blocks = b.input("blocks", "int32", ["blocks", 1]);
  const seeds = ops.mul(b, blocks, b.input("seed", "int32", []));
  const narrow = (x: Value): Value => ops.cast(b, x, "bfloat16");
  const wide = (x: Value): Value => ops.cast(b, x, "float32");
  const uniform = ops.mul(b, wide(ops.mul(b, seeds, b.int32(columns))), b.float32(2 ** -32));
  return (x) => {
    const below = wide(narrow(ops.mul(b, x, b.float32(BELOW))));
    const next = wide(narrow(ops.mul(b, below, b.float32(NEXT))));
    return narrow(ops.add(b, x, ops.mul(b, uniform, ops.sub(b, next, below))));
  };
}

/**
 * The sum of squares of each block of a layout: g [blocks, block] → sums float32 [blocks, 1].
 *
 * @param dtype of the gradients; they are squared and added in float32
 */
export function sumOfSquaresGraph(dtype: Precision = "float32"): Graph {
  const b = new GraphBuilder("sum_of_squares");
  const g = ops.cast(b, b.input("g", dtype, ["blocks", LAYOUT_BLOCK]), "float32");
  // Three times as fast as ReduceSumSquare, whose kernel does not vectorize.
  b.output("sums", ops.reduceSum(b, ops.mul(b, g, g), 1));
  return b.build();
}
