/**
 * The ranges of sampling options.
 *
 * In: an option's value. Out: whether it can be honoured. Not part of the public surface.
 */

import { isCount } from "../../internal/json/is_count.ts";
import type { SamplingOptions } from "./sampling_options.ts";

/** What an option must be. */
export interface SamplingRule {
  readonly holds: (value: unknown) => boolean;
  readonly expected: string;
}

const number = (holds: (value: number) => boolean, expected: string): SamplingRule => ({
  holds: (value) => typeof value === "number" && holds(value),
  expected,
});
const above0 = (value: number): boolean => value > 0 && value < Infinity;
const penalty: SamplingRule = number(above0, "a number above 0, 1 for none");
const fraction: SamplingRule = number(
  (value) => value >= 0 && value < 1,
  "a number from 0 to below 1",
);
const count: SamplingRule = number(isCount, "a whole number from 0");
const ids: SamplingRule = {
  holds: (value) => Array.isArray(value) && value.every(isCount),
  expected: "a list of token ids",
};

/** The ranges of all options that have one. */
export const SAMPLING_RULES: Readonly<Partial<Record<keyof SamplingOptions, SamplingRule>>> = {
  temperature: number(above0, "a number above 0; for the likeliest token pass greedy"),
  topK: number(isCount, "a whole number, 0 for no limit"),
  topP: number(
    (value) => value > 0 && value <= 1,
    "a number above 0 and up to 1, 1 for no limit",
  ),
  minP: number((value) => value >= 0 && value <= 1, "a number from 0 to 1, 0 for no limit"),
  typicalP: number(
    (value) => value > 0 && value <= 1,
    "a number above 0 and up to 1, 1 for no limit",
  ),
  epsilonCutoff: fraction,
  etaCutoff: fraction,
  topH: number((value) => value > 0 && value <= 1, "a number above 0 and up to 1"),
  repetitionPenalty: penalty,
  encoderRepetitionPenalty: penalty,
  noRepeatNgramSize: count,
  encoderNoRepeatNgramSize: count,
  minLength: count,
  minNewTokens: count,
  forcedBosTokenId: number(isCount, "a token id"),
  forcedEosTokenIds: ids,
  suppressTokens: ids,
  beginSuppressTokens: ids,
  badWordsIds: {
    holds: (value) => Array.isArray(value) && value.every(isSequence),
    expected: "lists of one token id or more",
  },
  sequenceBias: {
    holds: (value) =>
      Array.isArray(value) &&
      value.every((each) => isSequence(each?.ids) && typeof each.bias === "number"),
    expected: "lists of one token id or more, each with a number",
  },
  exponentialDecayLengthPenalty: {
    holds: (value) => {
      const { start, factor } = (value ?? {}) as { start?: unknown; factor?: unknown };
      return isCount(start) && typeof factor === "number" && above0(factor);
    },
    expected: "a whole number of tokens and a factor above 0",
  },
};

function isSequence(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isCount);
}
