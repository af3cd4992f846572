/**
 * Odds ratio preference optimization: the chosen texts are learned, and the odds of their replies are raised above
 * those of the rejected ones. Hong et al. 2024, https://arxiv.org/abs/2403.07691; TRL's ORPOTrainer. In: beta, the
 * paper's λ. Out: the objective.
 *
 * @module
 */

import {
  logSigmoid,
  ODDS_FIGURES,
  type PairObjective,
  REWARD_FIGURES,
  rewardFigures,
  sigmoid,
} from "../pair_objective.ts";

/**
 * Makes the objective.
 *
 * @param beta how much the odds ratio counts beside the cross-entropy of the chosen texts
 *
 * @example
 * ```ts
 * import { orpo } from "@ortune/ortune/train";
 * import assert from "node:assert/strict";
 *
 * const reply = { sum: -12, tokens: 4, reference: 0 };
 * const { loss, byChosen, byRejected, figures } = orpo(0.1).loss(reply, reply);
 * assert.ok(Math.abs(loss - 0.1 * Math.log(2)) < 1e-15);
 * assert.equal(byChosen, -byRejected);
 * assert.equal(figures["logps/chosen"], -3); // a mean over tokens
 * ```
 */
export function orpo(beta: number): PairObjective {
  return {
    reference: false,
    chosenNll: true,
    figures: [...REWARD_FIGURES, ...ODDS_FIGURES],
    loss(chosen, rejected) {
      const [c, r] = [chosen.sum / chosen.tokens, rejected.sum / rejected.tokens];
      const logOdds = c - r - (log1mexp(c) - log1mexp(r));
      const ratio = logSigmoid(logOdds);
      const slope = -beta * sigmoid(-logOdds);
      // d log(p / (1 − p)) / d log p = 1 / (1 − p).
      return {
        loss: -beta * ratio,
        byChosen: -slope / Math.expm1(c) / chosen.tokens,
        byRejected: slope / Math.expm1(r) / rejected.tokens,
        figures: {
          ...rewardFigures({ chosen: beta * c, rejected: beta * r }, { chosen: c, rejected: r }),
          log_odds_ratio: ratio,
          log_odds_chosen: logOdds,
        },
      };
    },
  };
}

/** log(1 − exp(x)) of x below 0, without cancellation. */
function log1mexp(x: number): number {
  return x < -Math.LN2 ? Math.log1p(-Math.exp(x)) : Math.log(-Math.expm1(x));
}
