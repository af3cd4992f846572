/**
 * Lion, elementwise over a chunk of parameters, in place. Chen et al. 2023, https://arxiv.org/abs/2302.06675.
 *
 * `c = β1·m + (1−β1)·g`, `p ← (1 − lr·w)·p − lr·sign(c)`, `m ← β2·m + (1−β2)·g`, with w the weight decay, which
 * norms and biases have none of. As c and the new m both read m, m is written as `c + (β2−β1)·(m−g)`.
 */

import * as ops from "../../ort/graph/ops.ts";
import { adamWConstants, type AdamWOptions } from "./adamw_graph.ts";
import type { OptimizerDescription } from "./optimizer_description.ts";
import { ruleOptimizer } from "./rule_optimizer.ts";
import type { UpdateRule } from "./update_rule.ts";

/** What is kept of each parameter, as its authors' code names it. */
const STATE = { m: "exp_avg" } as const;

function lionRule(options?: AdamWOptions): UpdateRule {
  const { beta1, beta2, weightDecay } = adamWConstants(options);
  return {
    state: STATE,
    weightDecay,
    // Of a skipped update c is m, and so is the new m.
    scalars: (_, { rate, decay, guarded }) => ({
      rate: guarded(rate, 0),
      decay: guarded(decay, 1),
      keep: guarded(beta1, 1),
      add: guarded(1 - beta1, 0),
      further: guarded(beta2 - beta1, 0),
    }),
    update(b, { p, g, state: { m }, scalar, decays }) {
      const c = ops.add(b, ops.mul(b, m, scalar("keep")), ops.mul(b, g, scalar("add")));
      const newM = ops.add(b, c, ops.mul(b, ops.sub(b, m, g), scalar("further")));
      const kept = decays ? ops.mul(b, p, scalar("decay")) : p;
      const newP = ops.sub(b, kept, ops.mul(b, ops.sign(b, c), scalar("rate")));
      return { p: newP, state: { m: newM } };
    },
  };
}

/** Lion as a row of `optimizers.ts`. */
export const lion: OptimizerDescription = {
  title: "Lion",
  help:
    "Lion, with half of AdamW's state; it wants a learning rate some 5 times smaller and, by its authors, " +
    "--adam-beta2 0.99",
  state: Object.values(STATE),
  several: true,
  sharded: true,
  make: (options) => ruleOptimizer(lionRule(options.constants), options),
};
