/**
 * Cross-entropy of the next token, which is what language models are trained by. In: logits and targets.
 * Out: −log softmax(logits)[target] a row, and its gradient, softmax − one-hot.
 *
 * @module
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import { CrossEntropyKernel } from "../../ort/kernels/cross_entropy_kernels.ts";
import type { LossOptions, Objective } from "./objective.ts";

/** The objective. */
export const crossEntropy: Objective = {
  losses(b, logits, targets, { logSoftmax }) {
    const { loss, probabilities, atTarget } = crossEntropyParts(b, logits, targets, { logSoftmax });
    return {
      loss,
      gradient(precision) {
        const lessOne = ops.sub(b, atTarget(), b.float32(1));
        return ops.scatterElements(
          b,
          ops.cast(b, probabilities, precision),
          targets,
          ops.cast(b, lessOne, precision),
        );
      },
    };
  },
  loadKernel: (gpu, precision) => CrossEntropyKernel.load(gpu, precision),
};

/** What cross-entropy, and objectives that are made of it, are computed from. */
export interface CrossEntropyParts {
  /** [n, 1] */
  readonly loss: Value;
  /** [n, vocab] */
  readonly probabilities: Value;
  /** Makes the targets' own probabilities, [n, 1]. */
  readonly atTarget: () => Value;
}

/** Cross-entropy of a row, and the probabilities that its gradient is made of. */
export function crossEntropyParts(
  b: GraphBuilder,
  logits: Value,
  targets: Value,
  { logSoftmax }: LossOptions,
): CrossEntropyParts {
  return (logSoftmax ? fromLogSoftmax : fromSoftmax)(b, logits, targets);
}

function fromLogSoftmax(b: GraphBuilder, logits: Value, targets: Value): CrossEntropyParts {
  const logs = ops.logSoftmax(b, logits);
  const chosen = ops.gatherElements(b, logs, targets);
  return {
    loss: ops.mul(b, chosen, b.float32(-1)),
    probabilities: ops.exp(b, logs),
    // From the logarithms, so that these can be freed before the gradient is allocated.
    atTarget: () => ops.exp(b, chosen),
  };
}

/**
 * The log of the sum of exponentials is read off the largest logit and its probability, which is at least
 * 1/vocab: no second softmax, and no underflow.
 */
function fromSoftmax(b: GraphBuilder, logits: Value, targets: Value): CrossEntropyParts {
  const probabilities = ops.softmax(b, logits);
  const logSumExp = ops.sub(
    b,
    ops.reduceMax(b, logits, -1),
    ops.log(b, ops.reduceMax(b, probabilities, -1)),
  );
  return {
    loss: ops.sub(b, logSumExp, ops.gatherElements(b, logits, targets)),
    probabilities,
    atTarget: () => ops.gatherElements(b, probabilities, targets),
  };
}
