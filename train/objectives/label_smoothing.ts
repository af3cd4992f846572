/**
 * Cross-entropy with smoothed labels: a share of each target is spread over the whole vocabulary. Szegedy et al.
 * 2016, https://arxiv.org/abs/1512.00567; transformers' label_smoothing_factor. In: logits and targets. Out:
 * (1 − s)·cross-entropy + s·mean of −log softmax a row, and its gradient.
 *
 * @module
 */

import { crossEntropyParts } from "../../model/graphs/cross_entropy.ts";
import type { Objective } from "../../model/graphs/objective.ts";
import * as ops from "../../ort/graph/ops.ts";

/**
 * Makes the objective.
 *
 * @param factor the share that is spread, above 0 and to 1
 *
 * @example
 * ```ts
 * import { labelSmoothing, objectives } from "@ortune/ortune/train";
 * import assert from "node:assert/strict";
 *
 * // To be given to a trainer as `objective`.
 * assert.notEqual(labelSmoothing(0.1), objectives.cross_entropy);
 * ```
 */
export function labelSmoothing(factor: number): Objective {
  return {
    losses(b, logits, targets, options) {
      const { loss, probabilities, atTarget } = crossEntropyParts(b, logits, targets, options);
      const vocabulary = logits.shape[1] as number;
      const sum = ops.reduceSum(b, logits, 1);
      const mean = ops.mul(b, sum, b.float32(1 / vocabulary));
      // The log of the sum of exponentials is in both parts.
      const further = ops.sub(b, ops.gatherElements(b, logits, targets), mean);
      return {
        loss: ops.add(b, loss, ops.mul(b, further, b.float32(factor))),
        gradient(precision) {
          const share = b.float32(factor / vocabulary);
          const rest = ops.sub(b, atTarget(), b.float32(1 - factor + factor / vocabulary));
          return ops.scatterElements(
            b,
            ops.cast(b, ops.sub(b, probabilities, share), precision),
            targets,
            ops.cast(b, rest, precision),
          );
        },
      };
    },
  };
}
