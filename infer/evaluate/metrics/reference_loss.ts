/** The loss a token of the reference, thinking and answer apart, in nats. */

import type { Metric, ReferenceLoss } from "../metric.ts";

function lossMetric(title: Metric["title"], part: keyof ReferenceLoss): Metric {
  return {
    title,
    better: "lower",
    score({ loss }) {
      if (loss === undefined || loss[part].tokens === 0) return undefined;
      const { sum, tokens } = loss[part];
      return { value: sum / tokens, sums: [sum, tokens] };
    },
  };
}

/** Of the thinking, with its tags; of several rows the mean over all their tokens. */
export const thinkLoss: Metric = lossMetric({ en: "loss of thinking", zh: "思考损失" }, "think");

/** Of the answer, with the token that ends it; of several rows the mean over all their tokens. */
export const answerLoss: Metric = lossMetric({ en: "loss of answer", zh: "回答损失" }, "answer");
