/**
 * The graphs of an update that no host looks at: norm, clipping and AdamW with all its scalars on a
 * device, and a guard that makes an update without effect where loss or gradient is not finite.
 *
 * In: gradients, the summed loss, and the few numbers that change from update to update. Out:
 * parameters and moments in place, and a row of results to be read when there is time.
 */

import { LAYOUT_BLOCK } from "../engine/parameter_store.ts";
import { GraphBuilder } from "../graph/builder.ts";
import type { Graph, Value } from "../graph/ir.ts";
import * as ops from "../graph/ops.ts";
import type { DType } from "../tensor/dtype.ts";
import type { AdamWOptions } from "./adamw_graph.ts";

/** The scalars that {@linkcode updateControlGraph} makes for {@linkcode guardedAdamWGraph}. */
export const FACTORS = [
  "finite",
  "clip",
  "keep_m",
  "keep_v",
  "step_size",
  "epsilon",
  "decay",
] as const;

/** What an update reports: loss, norm, and 1 where it was made or 0 where it was skipped. */
export const RESULT_WIDTH = 3;

/**
 * Adds losses [n, 1] to a running sum, times a scale: `sum + scale·Σ losses`, in place.
 *
 * @param fresh starts the sum in place of adding to it
 */
export function lossSumGraph(fresh: boolean): Graph {
  const b = new GraphBuilder(fresh ? "loss_sum_first" : "loss_sum");
  const losses = b.input("losses", "float32", ["n", 1]);
  const scale = b.input("scale", "float32", [1]);
  const flat = ops.reshape(b, losses, ["n"]);
  const added = ops.mul(b, ops.reduceSum(b, flat, 0), scale);
  if (fresh) b.output("sum_new", added);
  else {
    const sum = b.input("sum", "float32", [1]);
    b.output("sum_new", ops.add(b, sum, added), { inPlaceOf: sum });
  }
  return b.build();
}

/** The sum of squares of each block of a layout: g [blocks, block] → sums [blocks, 1], float32. */
export function blockNormsGraph(dtype: DType): Graph {
  const b = new GraphBuilder("block_norms");
  const g = inFloat32(b, b.input("g", dtype, ["blocks", LAYOUT_BLOCK]));
  b.output("sums", ops.reduceSum(b, ops.mul(b, g, g), 1));
  return b.build();
}

/**
 * From a step's sums to its scalars, [1] each.
 *
 * `sums` [blocks, 1] are squares of the gradient, `loss` is the update's, `rates` [1] each. The bias
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
    .map((name) => b.input(name, "float32", [1]));
  const [zero, one] = [b.float32([0]), b.float32([1])];
  const norm = ops.sqrt(b, ops.reduceSum(b, ops.reshape(b, sums, ["blocks"]), 0));
  // Infinity − Infinity and NaN − NaN are NaN, which equals nothing.
  const probe = ops.add(b, loss, norm);
  const finite = ops.equal(b, ops.sub(b, probe, probe), zero);
  const guarded = (made: Value, skipped: Value): Value => ops.where(b, finite, made, skipped);

  const next1 = guarded(correctionAfter(b, c1, beta1), c1);
  const next2 = guarded(correctionAfter(b, c2, beta2), c2);
  const root = ops.sqrt(b, next2);
  let clip = one;
  if (maxGradNorm > 0) {
    // torch.nn.utils.clip_grad_norm_: the 1e-6 is part of it.
    const shown = ops.add(b, norm, b.float32([1e-6]));
    const limit = b.float32([maxGradNorm]);
    clip = ops.where(b, ops.lessOrEqual(b, shown, limit), one, ops.div(b, limit, shown));
  }
  b.output("finite", finite);
  b.output("clip", guarded(clip, zero));
  b.output("keep_m", guarded(b.float32([beta1]), one));
  b.output("keep_v", guarded(b.float32([beta2]), one));
  b.output("step_size", guarded(ops.div(b, ops.mul(b, rate, root), next1), zero));
  // Not 0 of a skipped update: nothing is divided by it and a moment of 0.
  b.output("epsilon", guarded(ops.mul(b, root, b.float32([epsilon])), one));
  b.output("decay", guarded(decay, one));
  b.output("correction1_new", next1, { inPlaceOf: c1 });
  b.output("correction2_new", next2, { inPlaceOf: c2 });
  const [result] = b.node("Concat", [loss, norm, ops.cast(b, finite, "float32")], [
    { dtype: "float32", shape: [RESULT_WIDTH] },
  ], { attributes: { axis: 0n } });
  b.output("result", result);
  return b.build();
}

/** 1 − βᵗ⁺¹ from 1 − βᵗ. */
function correctionAfter(b: GraphBuilder, correction: Value, beta: number): Value {
  return ops.add(b, ops.mul(b, correction, b.float32([beta])), b.float32([1 - beta]));
}

/** The types of the arrays of an update. */
export interface UpdateTypes {
  /** Of the parameters that are updated. @default "float32" */
  readonly parameter?: DType;
  /** Of the gradients. @default "float32" */
  readonly gradient?: DType;
  /** Of both moments. @default "float32" */
  readonly moment?: DType;
  /**
   * Of a rounded copy of the parameters that the model runs on.
   * @default none: it runs on the parameters themselves
   */
  readonly copy?: DType;
}

/**
 * The update of n elements, as {@linkcode adamWGraph} has it, with its scalars as tensors [1]: p, m
 * and v in place, in float32 whatever they are stored in. Where `finite` is false, nothing changes.
 */
export function guardedAdamWGraph(
  { beta1, beta2 }: Required<Pick<AdamWOptions, "beta1" | "beta2">>,
  decays: boolean,
  { parameter = "float32", gradient = "float32", moment = "float32", copy }: UpdateTypes = {},
): Graph {
  const b = new GraphBuilder(decays ? "device_optimizer" : "device_optimizer_no_decay");
  const p = b.input("p", parameter, ["n"]);
  const g = b.input("g", gradient, ["n"]);
  const [m, v] = ["m", "v"].map((name) => b.input(name, moment, ["n"]));
  const scalar = (name: typeof FACTORS[number]): Value =>
    b.input(name, name === "finite" ? "bool" : "float32", [1]);
  // NaN times 0 is NaN, so a skipped update's gradients are replaced.
  const seen = ops.where(b, scalar("finite"), inFloat32(b, g), b.float32([0]));
  const clipped = ops.mul(b, seen, scalar("clip"));
  const newM = ops.add(
    b,
    ops.mul(b, inFloat32(b, m), scalar("keep_m")),
    ops.mul(b, clipped, b.float32(1 - beta1)),
  );
  const newV = ops.add(
    b,
    ops.mul(b, inFloat32(b, v), scalar("keep_v")),
    ops.mul(b, ops.mul(b, clipped, clipped), b.float32(1 - beta2)),
  );
  const denominator = ops.add(b, ops.sqrt(b, newV), scalar("epsilon"));
  const update = ops.div(b, ops.mul(b, newM, scalar("step_size")), denominator);
  const p32 = inFloat32(b, p);
  const newP = ops.sub(b, decays ? ops.mul(b, p32, scalar("decay")) : p32, update);
  const stored = (value: Value, like: Value): Value =>
    like.dtype === "float32" ? value : ops.cast(b, value, like.dtype);
  if (copy) b.output("w_new", ops.cast(b, newP, copy));
  b.output("p_new", stored(newP, p), { inPlaceOf: p });
  b.output("m_new", stored(newM, m), { inPlaceOf: m });
  b.output("v_new", stored(newV, v), { inPlaceOf: v });
  return b.build();
}

function inFloat32(b: GraphBuilder, value: Value): Value {
  return value.dtype === "float32" ? value : ops.cast(b, value, "float32");
}
