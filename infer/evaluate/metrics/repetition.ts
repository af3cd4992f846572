/**
 * How much a reply repeats itself, thinking included: the share of its sequences of four tokens that stood
 * there before, as Welleck et al. 2019 count them (https://arxiv.org/abs/1908.04319).
 */

import { type Metric, plainScore } from "../metric.ts";
import { countNgrams, isChinese, rougeTokens } from "../text_tokens.ts";

const ORDER = 4;

/** From 0, for all different, to 1. */
export const repetition: Metric = {
  title: { en: "repetition", zh: "重复率" },
  better: "lower",
  score({ reply: { text } }) {
    const tokens = rougeTokens(text, isChinese(text));
    const all = tokens.length - ORDER + 1;
    return plainScore(all > 0 ? 1 - countNgrams(tokens, ORDER).size / all : 0);
  },
};
