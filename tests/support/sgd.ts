/**
 * torch.optim.SGD with momentum, elementwise over a chunk of parameters, in place.
 *
 * `m ← μ·m + g + w·p`, `p ← p − lr·m` with μ = 0.9 and w the weight decay, which norms and biases have
 * none of.
 */

import * as ops from "../../ort/graph/ops.ts";
import type { OptimizerDescription } from "../../train/optimizers/optimizer_description.ts";
import { ruleOptimizer } from "../../train/optimizers/rule_optimizer.ts";
import type { UpdateRule } from "../../train/optimizers/update_rule.ts";

const sgdRule = (weightDecay: number): UpdateRule => ({
  state: { m: "momentum_buffer" },
  weightDecay,
  // Beside each scalar, what it is where a step is skipped: then nothing changes.
  scalars: (_, { rate, guarded }) => ({
    rate: guarded(rate, 0),
    momentum: guarded(0.9, 1),
    decay: guarded(weightDecay, 0),
  }),
  update(b, { p, g, state: { m }, scalar, decays }) {
    const shrink = decays ? ops.add(b, g, ops.mul(b, p, scalar("decay"))) : g;
    const newM = ops.add(b, ops.mul(b, m, scalar("momentum")), shrink);
    return { p: ops.sub(b, p, ops.mul(b, newM, scalar("rate"))), state: { m: newM } };
  },
});

/** SGD as a row of `optimizers.ts`. */
export const sgd: OptimizerDescription = {
  title: "SGD",
  help: "SGD with a momentum of 0.9",
  state: ["momentum_buffer"],
  make: (options) => ruleOptimizer(sgdRule(options.constants?.weightDecay ?? 0), options),
};
