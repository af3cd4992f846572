/**
 * Dynamic fine-tuning: cross-entropy times the target's own probability, which counts as a constant. Wu et al.
 * 2025, https://arxiv.org/abs/2508.05629; TRL's loss_type "dft". In: logits and targets. Out: −p·log p of the
 * target a row, and p·(softmax − one-hot).
 *
 * @module
 */

import { crossEntropyParts } from "../../model/graphs/cross_entropy.ts";
import type { Objective } from "../../model/graphs/objective.ts";
import * as ops from "../../ort/graph/ops.ts";

/** The objective. */
export const dft: Objective = {
  losses(b, logits, targets, options) {
    const { loss, probabilities, atTarget } = crossEntropyParts(b, logits, targets, options);
    return {
      loss: ops.mul(b, loss, atTarget()),
      gradient(precision) {
        const weight = atTarget();
        const lessOne = ops.mul(b, ops.sub(b, weight, b.float32(1)), weight);
        return ops.scatterElements(
          b,
          ops.cast(b, ops.mul(b, probabilities, weight), precision),
          targets,
          ops.cast(b, lessOne, precision),
        );
      },
    };
  },
};
