/**
 * Whether what was chosen or worked out is right: the letters of a choice file, or of other rows the letters,
 * the number or the `\boxed{}` that the reference ends with.
 */

import { chosenLetters, expectedResult, resultOf, sameResult } from "../final_result.ts";
import { type Metric, plainScore } from "../metric.ts";

/** 1 or 0; several letters must all be there, and no other. */
export const choiceAccuracy: Metric = {
  title: { en: "choice accuracy", zh: "选择正确率" },
  better: "higher",
  score({ choice, reference, reply }) {
    if (choice) {
      return plainScore(Number(chosenLetters(reply.answer, choice.options) === choice.right));
    }
    const expected = expectedResult(reference.answer);
    if (expected === undefined) return undefined;
    const found = resultOf(reply.answer, expected.kind);
    return plainScore(Number(found !== undefined && sameResult(found, expected.value)));
  },
};
