/**
 * What an update that no host looks at is steered by: loss, gradient norm, clipping and a rule's scalars
 * on a device, and a guard against a loss or gradient that is not finite.
 *
 * In: sums of losses and of squared gradients, and the few numbers that change from update to update.
 * Out: the scalars of a rule's guarded graph, and a row of results to be read when there is time.
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { UpdateRule } from "./update_rule.ts";

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

/** The name of a rule's scalar for parameters of a factor on the learning rate, by its place among them. */
export function scalarName(name: string, factor: number): string {
  return factor === 0 ? name : `${name}@${factor}`;
}

/**
 * From a step's sums to its scalars, [] each.
 *
 * `step.sums` [blocks, 1] are of squared gradients, `step.loss`, `step.rate` and `step.decay` are scalars, and
 * so is what the rule keeps from step to step. Outputs are `finite` bool, `clip`, the rule's scalars, its
 * running numbers in place, and `step.result` [{@linkcode RESULT_WIDTH}].
 *
 * @param factors on the learning rate; the rule's scalars are there once for each, see {@linkcode scalarName}
 */
export function updateControlGraph(
  { running = {}, remembered = {}, weightDecay, scalars }: Pick<
    UpdateRule,
    "running" | "remembered" | "weightDecay" | "scalars"
  >,
  maxGradNorm: number,
  factors: readonly number[] = [1],
): Graph {
  const b = new GraphBuilder("update_control");
  const sums = b.input("step.sums", "float32", ["blocks", 1]);
  const scalar = (name: string): Value => b.input(name, "float32", []);
  const [loss, rate, decay] = ["step.loss", "step.rate", "step.decay"].map(scalar);
  const kept = Object.keys({ ...running, ...remembered });
  const before = Object.fromEntries(kept.map((name) => [name, scalar(name)]));
  const [zero, one] = [b.float32(0), b.float32(1)];
  const norm = ops.sqrt(b, total(b, sums, "blocks"));
  // As isMade() has it: Infinity − Infinity and NaN − NaN are NaN, which equals nothing.
  const probe = ops.add(b, loss, norm);
  const finite = ops.equal(b, ops.sub(b, probe, probe), zero);
  const asValue = (x: Value | number): Value => typeof x === "number" ? b.float32(x) : x;
  const guarded = (made: Value | number, skipped: Value | number): Value =>
    ops.where(b, finite, asValue(made), asValue(skipped));
  let clip = one;
  if (maxGradNorm > 0) {
    // torch.nn.utils.clip_grad_norm_: the 1e-6 is part of it.
    const divisor = ops.add(b, norm, b.float32(1e-6));
    const limit = b.float32(maxGradNorm);
    clip = ops.where(b, ops.lessOrEqual(b, divisor, limit), one, ops.div(b, limit, divisor));
  }
  const made = ops.cast(b, finite, "float32");
  b.output("finite", finite);
  b.output("clip", guarded(clip, zero));
  // Read once, and copied for all factors: what is written over may have no other reader.
  const read = factors.length === 1
    ? before
    : Object.fromEntries(Object.entries(before).map(([name, x]) => [name, ops.add(b, x, zero)]));
  const shared = { made, common: rate, running: read, guarded };
  for (const [i, factor] of factors.entries()) {
    const own = factor === 1 ? { rate, decay } : scaledRate(b, rate, { factor, weightDecay });
    for (const [name, value] of Object.entries(scalars(b, { ...own, ...shared }))) {
      if (!Object.hasOwn(before, name)) b.output(scalarName(name, i), value);
      // What is kept depends on no factor.
      else if (i === 0) b.output(`${name}_new`, value, { inPlaceOf: before[name] });
    }
  }
  const shown = [loss, norm].map((x) => ops.unsqueeze(b, x, 0));
  const [result] = b.node("Concat", shown, [
    { dtype: "float32", shape: [RESULT_WIDTH] },
  ], { attributes: { axis: 0n } });
  b.output("step.result", result);
  return b.build();
}

function scaledRate(
  b: GraphBuilder,
  rate: Value,
  { factor, weightDecay }: { readonly factor: number; readonly weightDecay: number },
): { readonly rate: Value; readonly decay: Value } {
  const scaled = ops.mul(b, rate, b.float32(factor));
  const shrink = ops.mul(b, scaled, b.float32(weightDecay));
  return { rate: scaled, decay: ops.sub(b, b.float32(1), shrink) };
}
