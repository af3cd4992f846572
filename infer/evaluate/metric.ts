/**
 * What a measure of replies is.
 *
 * Types, and the score of those that are a plain mean.
 *
 * @module
 */

import type { FinishReason } from "../generate/generation.ts";

/** Thinking and answer, apart. */
export interface ThinkAnswer {
  /** The thinking, without its tags; empty where there is none. */
  readonly think: string;
  /** The answer. */
  readonly answer: string;
}

/** A reply as it was made. */
export interface EvaluatedReply extends ThinkAnswer {
  /** All of its text, with the tags of its thinking. */
  readonly text: string;
  /** Why it ended. */
  readonly finishReason: FinishReason;
  /** Tokens of the reply, without the one that ends it. */
  readonly newTokens: number;
  /** Tokens of its prompt. */
  readonly promptTokens: number;
}

/** The summed loss of some tokens, in nats, and how many they are. */
export interface LossSum {
  readonly sum: number;
  readonly tokens: number;
}

/** What the model makes of the reference: the loss of its tokens. */
export interface ReferenceLoss {
  /** Up to the end of the thinking; no tokens where the reference does not think. */
  readonly think: LossSum;
  /** Behind it, with the token that ends the reply. */
  readonly answer: LossSum;
}

/** A question of a choice file. */
export interface Choice {
  /** The options by their letters, in order. */
  readonly options: Readonly<Record<string, string>>;
  /** The letters of all right options, in order, such as `ACD`. */
  readonly right: string;
}

/** A row that was answered. */
export interface AnsweredRow {
  /** What the data answer. */
  readonly reference: ThinkAnswer;
  /** Set where the row is of a choice file; the reference's answer then is its letters. */
  readonly choice?: Choice;
  /** What the model answered. */
  readonly reply: EvaluatedReply;
  /** Set where it was asked for. */
  readonly loss?: ReferenceLoss;
}

/** What a measure says of one row. */
export interface RowScore {
  /** The row's own value. */
  readonly value: number;
  /** What is summed over rows, as many numbers for every row: a measure makes its value of all rows of them. */
  readonly sums: readonly number[];
}

/** A measure of replies. */
export interface Metric {
  /** What it is, in a few words, in both languages. */
  readonly title: { readonly en: string; readonly zh: string };
  /** Which value is better; `undefined` where neither is. */
  readonly better?: "higher" | "lower";
  /** The score of one row; `undefined` where it says nothing of such a row. */
  readonly score: (row: AnsweredRow) => RowScore | undefined;
  /** The value of several rows by their sums. @default {the first divided by the second} */
  readonly combine?: (sums: readonly number[]) => number;
}

/** The score of a row for a measure whose value of several rows is their mean. */
export function plainScore(value: number): RowScore {
  return { value, sums: [value, 1] };
}

/** The value of several rows by their sums. */
export function combineScores(
  { combine }: Pick<Metric, "combine">,
  sums: readonly number[],
): number {
  return combine ? combine(sums) : sums[0] / sums[1];
}

/** Whether answers are compared as texts: of a choice file only what was chosen counts. */
export function comparesTexts({ choice, reference }: AnsweredRow): boolean {
  return choice === undefined && reference.answer.trim() !== "";
}
