import assert from "node:assert/strict";
import { assertSampling } from "./sampling.ts";
import type { SamplingOptions } from "./sampling_options.ts";
import { SAMPLING_RULES } from "./sampling_rules.ts";

const COUNT = "a whole number from 0";
const IDS = "a list of token ids";
const PENALTY = "a number above 0, 1 for none";
const SHARE = "a number above 0 and up to 1, 1 for no limit";
const SEQUENCES = "lists of one token id or more";
const DECAY = "a whole number of tokens and a factor above 0";

const RULES: Readonly<
  Record<string, {
    readonly expected: string;
    readonly right: readonly unknown[];
    readonly wrong: readonly unknown[];
  }>
> = {
  temperature: {
    expected: "a number above 0; for the likeliest token pass greedy",
    right: [2 ** -1022, 1, 100],
    wrong: [0, -1, NaN, Infinity, "1"],
  },
  topK: { expected: "a whole number, 0 for no limit", right: [0, 5], wrong: [-1, 1.5, NaN, "5"] },
  topP: { expected: SHARE, right: [2 ** -1022, 1], wrong: [0, -0.1, 1.001, NaN, "1"] },
  minP: {
    expected: "a number from 0 to 1, 0 for no limit",
    right: [0, 1],
    wrong: [-0.001, 1.001, NaN, "0"],
  },
  typicalP: { expected: SHARE, right: [2 ** -1022, 1], wrong: [0, 1.001, NaN, "1"] },
  epsilonCutoff: {
    expected: "a number from 0 to below 1",
    right: [0, 0.999],
    wrong: [-0.001, 1, NaN, "0"],
  },
  etaCutoff: { expected: "a number from 0 to below 1", right: [0, 0.999], wrong: [-0.001, 1, NaN] },
  topH: {
    expected: "a number above 0 and up to 1",
    right: [2 ** -1022, 1],
    wrong: [0, 1.001, NaN, "1"],
  },
  repetitionPenalty: { expected: PENALTY, right: [0.1, 1, 5], wrong: [0, -1, Infinity, NaN, "1"] },
  encoderRepetitionPenalty: { expected: PENALTY, right: [0.1, 1, 5], wrong: [0, -1, Infinity] },
  noRepeatNgramSize: { expected: COUNT, right: [0, 3], wrong: [-1, 0.5, "3"] },
  encoderNoRepeatNgramSize: { expected: COUNT, right: [0, 3], wrong: [-1, 0.5, "3"] },
  minLength: { expected: COUNT, right: [0, 3], wrong: [-1, 0.5, "3"] },
  minNewTokens: { expected: COUNT, right: [0, 3], wrong: [-1, 0.5, "3"] },
  forcedBosTokenId: { expected: "a token id", right: [0, 3], wrong: [-1, 0.5, "3"] },
  forcedEosTokenIds: { expected: IDS, right: [[], [0, 3]], wrong: [3, [-1], [1, 0.5], ["3"]] },
  suppressTokens: { expected: IDS, right: [[], [0, 3]], wrong: [3, [-1], [1, 0.5], ["3"]] },
  beginSuppressTokens: { expected: IDS, right: [[], [0, 3]], wrong: [3, [-1], [1, 0.5], ["3"]] },
  badWordsIds: {
    expected: SEQUENCES,
    right: [[], [[0], [3, 4]]],
    wrong: [3, [3], [[]], [[1], [-1]], [[1, 0.5]]],
  },
  sequenceBias: {
    expected: `${SEQUENCES}, each with a number`,
    right: [[], [{ ids: [0], bias: -1 }, { ids: [3, 4], bias: 0.5 }]],
    wrong: [
      ...[3, [3], [null], [{ ids: [], bias: 1 }], [{ ids: [3] }], [{ bias: 3 }]],
      [{ ids: [0], bias: -1 }, { ids: [3], bias: "1" }],
    ],
  },
  exponentialDecayLengthPenalty: {
    expected: DECAY,
    right: [{ start: 0, factor: 1.05 }, { start: 3, factor: 0.5 }],
    wrong: [
      ...[null, 3, { start: -1, factor: 1 }, { start: 0.5, factor: 1 }, { start: 1 }],
      ...[{ factor: 1 }, { start: 1, factor: 0 }, { start: 1, factor: "2" }],
    ],
  },
};

Deno.test("assertSampling() has a range for each option, and names option, value and range", () => {
  assert.deepEqual(Object.keys(RULES), Object.keys(SAMPLING_RULES));
  for (const [name, { expected, right, wrong }] of Object.entries(RULES)) {
    for (const value of [undefined, ...right]) {
      assertSampling({ [name]: value } as SamplingOptions);
    }
    for (const value of wrong) {
      const shown = typeof value === "object" ? JSON.stringify(value) : String(value);
      assert.throws(
        () => assertSampling({ topK: 1, [name]: value } as SamplingOptions),
        new RangeError(`Cannot sample with ${name} ${shown}: expected ${expected}`),
      );
    }
  }
});

Deno.test("assertSampling() shows a hundred characters of a long value", () => {
  const suppressTokens = Array.from({ length: 200 }, () => -1);
  assert.throws(
    () => assertSampling({ suppressTokens }),
    new RangeError(
      `Cannot sample with suppressTokens [${"-1,".repeat(33)}: expected a list of token ids`,
    ),
  );
});
