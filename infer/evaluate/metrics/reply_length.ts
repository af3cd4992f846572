/** How long the reply is. */

import { type Metric, plainScore } from "../metric.ts";

/** Tokens, thinking among them. */
export const replyLength: Metric = {
  title: { en: "tokens a reply", zh: "回复词元数" },
  score: ({ reply }) => plainScore(reply.newTokens),
};
