/**
 * What training on pairs minimizes: a loss of a chosen and a rejected reply, by the log-probabilities of both.
 *
 * In: what the model, and perhaps a reference, make of the replies. Out: a loss, its gradient by the two
 * log-probabilities, and figures under TRL's names. The rest, from the gradient by a reply's log-probability to that
 * of the weights, is cross-entropy's.
 *
 * @module
 */

/** A reply as a model has it. */
export interface ReplyLikelihood {
  /** Sum of the log-probabilities of its tokens, the end of the reply among them. */
  readonly sum: number;
  /** How many tokens these are. */
  readonly tokens: number;
  /** The sum under the reference; 0 where none is compared with. */
  readonly reference: number;
}

/** The loss of a pair. */
export interface PairLoss {
  /** What is minimized. */
  readonly loss: number;
  /** Its gradient by the sum of the chosen reply. */
  readonly byChosen: number;
  /** Its gradient by the sum of the rejected reply. */
  readonly byRejected: number;
  /** Figures by the names of {@linkcode PairObjective.figures}. */
  readonly figures: Readonly<Record<string, number>>;
}

/** An objective of training on pairs. */
export interface PairObjective {
  /** Whether replies are compared with what the model made of them before training. */
  readonly reference: boolean;
  /**
   * Whether the mean cross-entropy of all tokens of the chosen texts, prompts among them, is minimized too; it is
   * told as `nll_loss`.
   */
  readonly chosenNll: boolean;
  /** Names of the figures of a pair, as TRL logs them. */
  readonly figures: readonly string[];
  /** Takes the loss of a pair. */
  loss(chosen: ReplyLikelihood, rejected: ReplyLikelihood): PairLoss;
}

/** Figures of rewards, which all objectives have. */
export const REWARD_FIGURES: readonly string[] = [
  "rewards/chosen",
  "rewards/rejected",
  "rewards/accuracies",
  "rewards/margins",
  "logps/chosen",
  "logps/rejected",
];

/** Figures of odds, which ORPO has besides. */
export const ODDS_FIGURES: readonly string[] = ["log_odds_ratio", "log_odds_chosen"];

/** Name of the figure of the chosen texts' cross-entropy. */
export const NLL_FIGURE = "nll_loss";

/** Names of all figures of pairs. */
export const PAIR_FIGURES: readonly string[] = [...REWARD_FIGURES, ...ODDS_FIGURES, NLL_FIGURE];

/** These figures of two rewards and of two log-probabilities. */
export function rewardFigures(
  rewards: { readonly chosen: number; readonly rejected: number },
  logps: { readonly chosen: number; readonly rejected: number },
): Record<string, number> {
  return {
    "rewards/chosen": rewards.chosen,
    "rewards/rejected": rewards.rejected,
    "rewards/accuracies": Number(rewards.chosen > rewards.rejected),
    "rewards/margins": rewards.chosen - rewards.rejected,
    "logps/chosen": logps.chosen,
    "logps/rejected": logps.rejected,
  };
}

/** log σ(x), without overflow. */
export function logSigmoid(x: number): number {
  return Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
}

/** σ(x). */
export function sigmoid(x: number): number {
  return Math.exp(logSigmoid(x));
}
