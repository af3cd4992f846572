/**
 * The overlap of answer and reference as bags of tokens, as SQuAD's evaluation has it: in lower case, without
 * punctuation and English articles; each Chinese character is a token. Rajpurkar et al. 2016,
 * https://arxiv.org/abs/1606.05250.
 */

import { comparesTexts, type Metric, plainScore } from "../metric.ts";
import { countNgrams, fMeasure, sharedNgrams, spaceCharacters } from "../text_tokens.ts";

// Python's string.punctuation has these symbols too.
const PUNCTUATION = /[\p{P}$+<=>^`|~]/gu;
const ARTICLES = /\b(a|an|the)\b/g;

function tokensOf(text: string): readonly string[] {
  const words = text.toLowerCase().replace(PUNCTUATION, "").replace(ARTICLES, " ");
  return spaceCharacters(words).split(/\s+/).filter((word) => word !== "");
}

/** The F-measure of shared tokens, from 0 to 1; of two texts without a token 1. */
export const tokenF1: Metric = {
  title: { en: "token F1", zh: "词元 F1" },
  better: "higher",
  score(row) {
    if (!comparesTexts(row)) return undefined;
    const [own, expected] = [row.reply.answer, row.reference.answer].map(tokensOf);
    if (own.length === 0 && expected.length === 0) return plainScore(1);
    const shared = sharedNgrams(countNgrams(own, 1), countNgrams(expected, 1));
    return plainScore(fMeasure(shared, own.length, expected.length));
  },
};
