/**
 * What a model says while it is trained.
 *
 * In: a question, the model's thinking and its answer. Out: one text for trackers that show texts.
 *
 * @module
 */

/** A question and what the model said to it. */
export interface Sample {
  /** What the user asks. */
  readonly question: string;
  /** What the model thought before it answered; left out where it did not think. */
  readonly think?: string;
  /** What the model said, without its thinking. */
  readonly answer: string;
}

/** The key under which trackers list samples: the one that Qwen3-Medical-SFT uses. */
export const SAMPLES_KEY = "Prediction";

/**
 * A sample as one text, in the form that Qwen3-Medical-SFT logs.
 *
 * @example
 * ```ts
 * import { formatSample } from "@ortune/ortune/track";
 * import assert from "node:assert/strict";
 *
 * assert.equal(
 *   formatSample({ question: "1+1?", think: "Add.", answer: "2" }),
 *   "Question: 1+1?\n\nLLM:<think>\nAdd.\n</think>\n\n2",
 * );
 * ```
 */
export function formatSample({ question, think, answer }: Sample): string {
  const thinking = think === undefined ? "" : `<think>\n${think}\n</think>\n\n`;
  return `Question: ${question}\n\nLLM:${thinking}${answer}`;
}
