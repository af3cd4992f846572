/**
 * AdamW without a schedule, elementwise over a chunk of parameters, in place. Defazio et al. 2024,
 * https://arxiv.org/abs/2405.15682; the arithmetic of AdamWScheduleFree in their package schedulefree.
 *
 * Three sequences: z takes AdamW's steps, x is their weighted mean, and gradients are taken at y, between the
 * two. Parameters are y; the model is evaluated and saved with x. Kept is d = z − y, which begins at 0 as all
 * state does: with u = g/(√v̂ + ε) + w·y of weight decay w, and c the share of this update in the mean,
 * `e = d − lr·β1·u`, `y ← y + c·e − lr·(1−β1)·u`, `d ← (1−c)·e`, and x = y + (1 − 1/β1)·d.
 */

import * as ops from "../../ort/graph/ops.ts";
import { adamWConstants, type AdamWOptions } from "./adamw_graph.ts";
import { correctionAfter, nextCorrection } from "./bias_correction.ts";
import type { OptimizerDescription } from "./optimizer_description.ts";
import { ruleOptimizer } from "./rule_optimizer.ts";
import type { UpdateRule } from "./update_rule.ts";

/** What is kept of each parameter. */
const STATE = { d: "z_minus_y", v: "exp_avg_sq" } as const;

function scheduleFreeRule(options?: AdamWOptions): UpdateRule {
  const { beta1, beta2, epsilon, weightDecay } = adamWConstants(options);
  if (beta1 === 0) {
    throw new RangeError(
      "Cannot average with beta1 0: gradients would be taken at the mean; raise it",
    );
  }
  return {
    state: STATE,
    weightDecay,
    running: { correction: (updates) => correctionAfter(updates, beta2) },
    // The names of the authors' code. An update counts in the mean by the square of the largest rate so far.
    remembered: { sum: "weight_sum", most: "lr_max" },
    scalars(b, { rate, common, made, running: { correction, sum, most }, guarded }) {
      const next = nextCorrection(b, correction, beta2, made);
      const larger = ops.where(b, ops.greater(b, common, most), common, most);
      const weight = ops.mul(b, larger, larger);
      const total = ops.add(b, sum, guarded(weight, 0));
      // Of rates of 0 alone, as at the start of a warmup, there is no mean yet.
      const none = ops.equal(b, total, b.float32(0));
      const share = ops.div(b, weight, ops.where(b, none, b.float32(1), total));
      return {
        keep_v: guarded(beta2, 1),
        // Not 0 where the first update is skipped: 0 would be divided by it.
        root: guarded(ops.sqrt(b, next), 1),
        rate: guarded(rate, 0),
        share: guarded(share, 0),
        correction: next,
        sum: total,
        most: ops.add(b, most, guarded(ops.sub(b, larger, most), 0)),
      };
    },
    update(b, { p, g, state: { d, v }, scalar, decays }) {
      const squared = ops.mul(b, ops.mul(b, g, g), b.float32(1 - beta2));
      const newV = ops.add(b, ops.mul(b, v, scalar("keep_v")), squared);
      const root = scalar("root");
      const denominator = ops.add(b, ops.sqrt(b, newV), ops.mul(b, root, b.float32(epsilon)));
      const normalized = ops.div(b, ops.mul(b, g, root), denominator);
      const u = decays ? ops.add(b, normalized, ops.mul(b, p, b.float32(weightDecay))) : normalized;
      const step = ops.mul(b, u, scalar("rate"));
      const e = ops.sub(b, d, ops.mul(b, step, b.float32(beta1)));
      const share = scalar("share");
      const towards = ops.sub(b, ops.mul(b, e, share), ops.mul(b, step, b.float32(1 - beta1)));
      const rest = ops.sub(b, b.float32(1), share);
      return { p: ops.add(b, p, towards), state: { d: ops.mul(b, e, rest), v: newV } };
    },
    evaluated: (b, { p, state: { d } }) => ops.add(b, p, ops.mul(b, d, b.float32(1 - 1 / beta1))),
  };
}

/** Schedule-free AdamW as a row of `optimizers.ts`. */
export const scheduleFree: OptimizerDescription = {
  title: "schedule-free AdamW",
  help:
    "AdamW that averages weights in place of lowering the rate, and is evaluated and saved with their " +
    "mean; take --lr-scheduler-type constant_with_warmup and a rate 1 to 10 times AdamW's",
  state: Object.values(STATE),
  several: true,
  make: (options) => ruleOptimizer(scheduleFreeRule(options.constants), options),
};
