/**
 * All objectives of pairs by name. In: a name and beta. Out: the objective. A new one is a file and a row here.
 *
 * @module
 */

import { findPart } from "../find_part.ts";
import { dpo } from "./dpo.ts";
import { orpo } from "./orpo.ts";
import type { PairObjective } from "../pair_objective.ts";

/** What training on pairs of replies can minimize, made for a beta. */
export const pairObjectives: Readonly<Record<string, (beta: number) => PairObjective>> = {
  dpo: (beta) => dpo(beta),
  dpo_hinge: (beta) => dpo(beta, "hinge"),
  ipo: (beta) => dpo(beta, "ipo"),
  orpo,
};

/** Whether a loss is one of pairs. */
export function isPairLoss(loss: string | undefined): boolean {
  return loss !== undefined && Object.hasOwn(pairObjectives, loss);
}

/** TRL's beta of DPO and of ORPO. */
export const DEFAULT_BETA = 0.1;

/**
 * An objective of pairs.
 *
 * @param name of {@linkcode pairObjectives}
 * @param beta @default {DEFAULT_BETA}
 * @throws {RangeError} where there is none of that name
 */
export function findPairObjective(name: string, beta: number = DEFAULT_BETA): PairObjective {
  return findPart<(beta: number) => PairObjective>("objective of pairs", pairObjectives, name)(
    beta,
  );
}
