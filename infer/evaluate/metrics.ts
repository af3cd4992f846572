/** What replies are measured by: a file a measure in `metrics/`, and its name in this table. */

import type { Metric } from "./metric.ts";
import { bleu } from "./metrics/bleu.ts";
import { choiceAccuracy } from "./metrics/choice_accuracy.ts";
import { exactMatch } from "./metrics/exact_match.ts";
import { form } from "./metrics/form.ts";
import { answerLoss, thinkLoss } from "./metrics/reference_loss.ts";
import { repetition } from "./metrics/repetition.ts";
import { replyLength } from "./metrics/reply_length.ts";
import { rouge1, rouge2, rougeL } from "./metrics/rouge.ts";
import { stopRate } from "./metrics/stop_rate.ts";
import { tokenF1 } from "./metrics/token_f1.ts";

/** A name of the table. */
export type MetricName =
  | "choice_accuracy"
  | "exact_match"
  | "token_f1"
  | "rouge_1"
  | "rouge_2"
  | "rouge_l"
  | "bleu"
  | "form"
  | "stop_rate"
  | "think_loss"
  | "answer_loss"
  | "repetition"
  | "reply_length";

/** The measures in the order in which they are shown. */
export const metrics: Readonly<Record<MetricName, Metric>> = {
  choice_accuracy: choiceAccuracy,
  exact_match: exactMatch,
  token_f1: tokenF1,
  rouge_1: rouge1,
  rouge_2: rouge2,
  rouge_l: rougeL,
  bleu,
  form,
  stop_rate: stopRate,
  think_loss: thinkLoss,
  answer_loss: answerLoss,
  repetition,
  reply_length: replyLength,
};

/** Their names, in that order. */
export const metricNames: readonly MetricName[] = Object.keys(metrics) as MetricName[];
