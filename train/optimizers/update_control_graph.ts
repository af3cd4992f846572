/**
 * What an update that no host looks at is steered by: loss, gradient norm, clipping and AdamW's
 * scalars on a device, and a guard against a loss or gradient that is not finite.
 *
 * In: sums of losses and of squared gradients, and the few numbers that change from update to update.
 * Out: the scalars of `adamWGraph` when it is guarded, and a row of results to be read when there is
 * time.
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { AdamWOptions } from "./adamw_graph.ts";

/** The scalars that {@linkcode updateControlGraph} makes for a guarded {@linkcode adamWGraph}. */
export const FACTORS = [
  "finite",
  "clip",
  "keep_m",
  "keep_v",
  "step_size",
  "epsilon",
  "decay",
] as const;

/** What an update reports: loss and norm. Whether it was made follows: {@linkcode isMade}. */
export const RESULT_WIDTH = 2;

/** Whether the graph let an update have effect: the sum of its loss and norm is a float32. */
export function isMade(loss: number, gradNorm: number): boolean {
  return Number.isFinite(Math.fround(loss + gradNorm));
}

/**
 * Adds losses [n, 1] to a running sum, times a scale: `sum + scale·Σ losses`, in place.
 *
 * @param fresh starts the sum in place of adding to it
 */
export function lossSumGraph(fresh: boolean): Graph {
  const b = new GraphBuilder(fresh ? "loss_sum_first" : "loss_sum");
  const losses = b.input("losses", "float32", ["n", 1]);
  const scale = b.input("scale", "float32", []);
  const added = ops.mul(b, total(b, losses, "n"), scale);
  if (fresh) b.output("sum_new", added);
  else {
    const sum = b.input("sum", "float32", []);
    b.output("sum_new", ops.add(b, sum, added), { inPlaceOf: sum });
  }
  return b.build();
}

/** All elements of x [count, 1] added. */
function total(b: GraphBuilder, x: Value, count: string): Value {
  return ops.reduceSum(b, ops.reshape(b, x, [count]), 0, { keepDims: false });
}

/**
 * From a step's sums to its scalars, [] each.
 *
 * `sums` [blocks, 1] are of squared gradients, `loss`, `rate` and `decay_rate` are scalars. The bias
 * corrections 1 − βᵗ are kept as running values, `c ← β·c + (1 − β)`, so that a skipped update does
 * not count. Outputs are {@linkcode FACTORS}, both corrections in place, and `result`
 * [{@linkcode RESULT_WIDTH}].
 */
export function updateControlGraph(
  { beta1, beta2, epsilon }: Required<Omit<AdamWOptions, "weightDecay">>,
  maxGradNorm: number,
): Graph {
  const b = new GraphBuilder("update_control");
  const sums = b.input("sums", "float32", ["blocks", 1]);
  const [loss, rate, decay, c1, c2] = ["loss", "rate", "decay_rate", "correction1", "correction2"]
    .map((name) => b.input(name, "float32", []));
  const [zero, one] = [b.float32(0), b.float32(1)];
  const norm = ops.sqrt(b, total(b, sums, "blocks"));
  // As isMade() has it: Infinity − Infinity and NaN − NaN are NaN, which equals nothing.
  const probe = ops.add(b, loss, norm);
  const finite = ops.equal(b, ops.sub(b, probe, probe), zero);
  const guarded = (made: Value, skipped: Value): Value => ops.where(b, finite, made, skipped);

  const made = ops.cast(b, finite, "float32");
  // c + made·(1 − β)·(1 − c), which is β·c + (1 − β) of an update that is made.
  const corrected = (c: Value, beta: number): Value =>
    ops.add(b, c, ops.mul(b, ops.mul(b, ops.sub(b, one, c), b.float32(1 - beta)), made));
  const next1 = corrected(c1, beta1);
  const next2 = corrected(c2, beta2);
  const root = ops.sqrt(b, next2);
  let clip = one;
  if (maxGradNorm > 0) {
    // torch.nn.utils.clip_grad_norm_: the 1e-6 is part of it.
    const divisor = ops.add(b, norm, b.float32(1e-6));
    const limit = b.float32(maxGradNorm);
    clip = ops.where(b, ops.lessOrEqual(b, divisor, limit), one, ops.div(b, limit, divisor));
  }
  b.output("finite", finite);
  b.output("clip", guarded(clip, zero));
  b.output("keep_m", guarded(b.float32(beta1), one));
  b.output("keep_v", guarded(b.float32(beta2), one));
  b.output("step_size", guarded(ops.div(b, ops.mul(b, rate, root), next1), zero));
  // Not 0 of a skipped update: nothing is divided by it and a moment of 0.
  b.output("epsilon", guarded(ops.mul(b, root, b.float32(epsilon)), one));
  b.output("decay", guarded(decay, one));
  b.output("correction1_new", next1, { inPlaceOf: c1 });
  b.output("correction2_new", next2, { inPlaceOf: c2 });
  const shown = [loss, norm].map((x) => ops.unsqueeze(b, x, 0));
  const [result] = b.node("Concat", shown, [
    { dtype: "float32", shape: [RESULT_WIDTH] },
  ], { attributes: { axis: 0n } });
  b.output("result", result);
  return b.build();
}

/** The bias correction that the graph has after a number of updates: its very roundings. */
export function correctionAfter(updates: number, beta: number): number {
  const { fround } = Math;
  let correction = 0;
  for (let i = 0; i < updates; i++) {
    correction = fround(correction + fround(fround(1 - correction) * fround(1 - beta)));
  }
  return correction;
}
