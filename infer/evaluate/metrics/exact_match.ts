/** Whether the answer is the reference, character by character but for blanks. */

import { comparesTexts, type Metric, plainScore } from "../metric.ts";

function withoutBlanks(text: string): string {
  return text.normalize().trim().replace(/\s+/g, " ");
}

/** 1 or 0; runs of blanks count as one, and those around the text as none. */
export const exactMatch: Metric = {
  title: { en: "exact match", zh: "完全一致" },
  better: "higher",
  score: (row) =>
    comparesTexts(row)
      ? plainScore(Number(withoutBlanks(row.reply.answer) === withoutBlanks(row.reference.answer)))
      : undefined,
};
