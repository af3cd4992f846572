/**
 * Direct preference optimization: how much more likely than under the reference a chosen reply has become, beside
 * the rejected one. Rafailov et al. 2023, https://arxiv.org/abs/2305.18290; TRL's DPOTrainer. In: beta and a form
 * of the loss. Out: the objective.
 *
 * @module
 */

import {
  logSigmoid,
  type PairObjective,
  REWARD_FIGURES,
  rewardFigures,
  sigmoid,
} from "../pair_objective.ts";

/** A form of the loss, by TRL's name of it. */
export type DpoLossType = "sigmoid" | "hinge" | "ipo";

/** A loss of a margin, and its derivative. */
interface Slope {
  readonly loss: number;
  readonly slope: number;
}

/** A form of the loss. */
interface DpoLoss {
  /** Whether log-ratios are means over the tokens of their reply. */
  readonly means: boolean;
  /** Takes the loss of how far the chosen reply's log-ratio is above the rejected one's. */
  of(margin: number, beta: number): Slope;
}

const LOSSES: Readonly<Record<DpoLossType, DpoLoss>> = {
  sigmoid: {
    means: false,
    of: (margin, beta) => ({
      loss: -logSigmoid(beta * margin),
      slope: -beta * sigmoid(-beta * margin),
    }),
  },
  // Zhao et al. 2023, https://arxiv.org/abs/2305.10425.
  hinge: {
    means: false,
    of: (margin, beta) => ({
      loss: Math.max(0, 1 - beta * margin),
      slope: beta * margin < 1 ? -beta : 0,
    }),
  },
  // Azar et al. 2023, https://arxiv.org/abs/2310.12036, equation 17.
  ipo: {
    means: true,
    of(margin, beta) {
      const off = margin - 1 / (2 * beta);
      return { loss: off ** 2, slope: 2 * off };
    },
  },
};

/**
 * Makes the objective.
 *
 * @param beta how strongly the model is held to the reference
 * @param type the form of the loss
 *
 * @example
 * ```ts
 * import { dpo } from "@ortune/ortune/train";
 * import assert from "node:assert/strict";
 *
 * const reply = { sum: -12, tokens: 4, reference: -12 };
 * const { loss, byChosen, figures } = dpo(0.1).loss(reply, reply);
 * assert.ok(Math.abs(loss - Math.log(2)) < 1e-15 && Math.abs(byChosen + 0.05) < 1e-15);
 * assert.equal(figures["rewards/margins"], 0);
 * ```
 */
export function dpo(beta: number, type: DpoLossType = "sigmoid"): PairObjective {
  const { means, of } = LOSSES[type];
  return {
    reference: true,
    chosenNll: false,
    figures: REWARD_FIGURES,
    loss(chosen, rejected) {
      const ratios = {
        chosen: chosen.sum - chosen.reference,
        rejected: rejected.sum - rejected.reference,
      };
      const [ofChosen, ofRejected] = means ? [chosen.tokens, rejected.tokens] : [1, 1];
      const margin = ratios.chosen / ofChosen - ratios.rejected / ofRejected;
      const { loss, slope } = of(margin, beta);
      return {
        loss,
        byChosen: slope / ofChosen,
        byRejected: -slope / ofRejected,
        figures: rewardFigures(
          { chosen: beta * ratios.chosen, rejected: beta * ratios.rejected },
          { chosen: chosen.sum, rejected: rejected.sum },
        ),
      };
    },
  };
}
