/**
 * ROUGE between answer and reference, as pip's rouge-score computes it: the F-measure of shared n-grams, and
 * of the longest common subsequence. Lin 2004, https://aclanthology.org/W04-1013. Chinese is compared by
 * characters.
 */

import { comparesTexts, type Metric, plainScore } from "../metric.ts";
import { countNgrams, fMeasure, isChinese, rougeTokens, sharedNgrams } from "../text_tokens.ts";

/** F-measures from 0 to 1. */
export interface RougeScores {
  readonly rouge1: number;
  readonly rouge2: number;
  readonly rougeL: number;
}

/** The scores of one text. */
export function rouge(
  text: string,
  reference: string,
  { chinese = isChinese(reference) }: { readonly chinese?: boolean } = {},
): RougeScores {
  const [own, expected] = [text, reference].map((each) => rougeTokens(each, chinese));
  const grams = (n: number): number => {
    const shared = sharedNgrams(countNgrams(expected, n), countNgrams(own, n));
    const [predicted, wanted] = [own, expected].map(({ length }) => Math.max(length - n + 1, 0));
    return fMeasure(shared, predicted, wanted);
  };
  const common = longestCommon(own, expected);
  return {
    rouge1: grams(1),
    rouge2: grams(2),
    rougeL: fMeasure(common, own.length, expected.length),
  };
}

/** The length of the longest common subsequence, in memory of one row. */
function longestCommon(a: readonly string[], b: readonly string[]): number {
  // Numbers compare faster than texts.
  const ids = new Map<string, number>();
  const [left, right] = [a, b].map((tokens) =>
    Int32Array.from(tokens, (token) => {
      const known = ids.get(token) ?? ids.size;
      ids.set(token, known);
      return known;
    })
  );
  const row = new Int32Array(right.length + 1);
  for (const token of left) {
    let diagonal = 0;
    for (let j = 1; j <= right.length; j++) {
      const above = row[j];
      row[j] = token === right[j - 1] ? diagonal + 1 : Math.max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row[right.length];
}

function rougeMetric(name: string, of: keyof RougeScores): Metric {
  return {
    title: { en: name, zh: name },
    better: "higher",
    score: (row) =>
      comparesTexts(row)
        ? plainScore(rouge(row.reply.answer, row.reference.answer)[of])
        : undefined,
  };
}

/** Shared tokens. */
export const rouge1: Metric = rougeMetric("ROUGE-1", "rouge1");

/** Shared pairs of tokens. */
export const rouge2: Metric = rougeMetric("ROUGE-2", "rouge2");

/** The longest common subsequence. */
export const rougeL: Metric = rougeMetric("ROUGE-L", "rougeL");
