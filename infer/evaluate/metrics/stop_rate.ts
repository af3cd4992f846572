/** Whether the reply ended by itself: by a token that ends one, or one of the model's stop strings. */

import { type Metric, plainScore } from "../metric.ts";

/** 1 or 0. */
export const stopRate: Metric = {
  title: { en: "stop rate", zh: "自行结束率" },
  better: "higher",
  score: ({ reply }) => plainScore(Number(["eos", "stop"].includes(reply.finishReason))),
};
