/**
 * All objectives by name. In: a name, or an objective of one's own. Out: the objective. A new one is a file
 * and a row here.
 *
 * @module
 */

import { crossEntropy } from "../../model/graphs/cross_entropy.ts";
import type { Objective } from "../../model/graphs/objective.ts";
import { findPart } from "../find_part.ts";
import { dft } from "./dft.ts";

/** What training can minimize. */
export const objectives: Readonly<Record<string, Objective>> = {
  cross_entropy: crossEntropy,
  dft,
};

/** The name of the objective that is taken where none is named. */
export const DEFAULT_OBJECTIVE = "cross_entropy";

/**
 * An objective.
 *
 * @param objective a name of {@linkcode objectives}, or an objective; @default {DEFAULT_OBJECTIVE}
 * @throws {RangeError} where there is none of that name
 */
export function findObjective(objective: string | Objective = DEFAULT_OBJECTIVE): Objective {
  return findPart("objective", objectives, objective);
}
