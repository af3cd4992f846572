/** Whether the reply has the form of thinking and answer, where the reference has it. */

import { type Metric, plainScore } from "../metric.ts";
import { formFaults } from "../reply_form.ts";

/** 1 or 0. */
export const form: Metric = {
  title: { en: "think/answer form", zh: "思考/回答格式" },
  better: "higher",
  score: ({ reference, reply }) =>
    reference.think === ""
      ? undefined
      : plainScore(Number(formFaults(reply.text, reply.finishReason).length === 0)),
};
