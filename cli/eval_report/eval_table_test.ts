import assert from "node:assert/strict";
import { evalJson, type EvalResult } from "./eval_result.ts";
import { formatDifference, formatEval, formatScore } from "./eval_table.ts";

const METRIC = { title: { en: "exact match", zh: "完全一致" } };

/** Two measures of three models on two rows, where the second model has no second measure. */
const RESULT: EvalResult = {
  data: "rows.jsonl",
  models: [
    { name: "base", model: "m" },
    { name: "tuned", model: "m", adapter: "a" },
    { name: "other", model: "n" },
  ],
  rows: [
    {
      where: { file: "rows.jsonl", line: 3 },
      question: "?",
      reference: { think: "hm", answer: "A" },
      choice: { options: { A: "one", B: "two" }, right: "A" },
      models: [
        {
          reply: {
            text: "A",
            finishReason: "stop",
            newTokens: 2,
            promptTokens: 9,
            think: "",
            answer: "A",
          },
          scores: { accuracy: 1 },
          judged: "good",
        },
        {
          reply: {
            text: "B",
            finishReason: "length",
            newTokens: 4,
            promptTokens: 9,
            think: "",
            answer: "B",
          },
          scores: {},
        },
      ],
    },
    {
      where: { file: "rows.jsonl", line: 4 },
      question: "??",
      reference: { think: "", answer: "B" },
      models: [],
    },
  ],
  summaries: [
    {
      name: "accuracy",
      metric: { ...METRIC, better: "higher" },
      models: [
        { value: 0.25, low: 0, high: 0.5, rows: 2 },
        { value: 0.5, low: 0.125, high: 1, rows: 2 },
        { value: 0.125, low: 0, high: 0.25, rows: 2 },
      ],
      comparisons: [
        { value: 0.25, low: -0.125, high: 0.75, rows: 2, wins: 3, losses: 1, ties: 2 },
        { value: -0.125, low: -0.25, high: 0, rows: 2, wins: 0, losses: 4, ties: 5 },
      ],
    },
    {
      name: "characters",
      metric: METRIC,
      models: [{ value: 12.345, low: 9.999, high: 123.45, rows: 2 }, undefined, undefined],
      comparisons: [undefined, undefined],
    },
  ],
  resamples: 200,
};

Deno.test("formatScore() writes large values with fewer digits", () => {
  assert.deepEqual([0, 0.12345, 9.9994, 10, 99.994, 100, -10.567, -123.45].map(formatScore), [
    ...["0.000", "0.123", "9.999", "10.00", "99.99", "100.0", "-10.57", "-123.5"],
  ]);
  assert.deepEqual([0.5, 0, -0.5].map(formatDifference), ["+0.500", "0.000", "-0.500"]);
});

Deno.test("formatEval() sets each model beside the first", () => {
  assert.deepEqual(formatEval(RESULT).map((line) => line.replace(/ {2,}/g, " | ")), [
    "measure | base | tuned | other",
    "accuracy | 0.250 [0.000, 0.500] | 0.500 [0.125, 1.000] | +0.250 [-0.125, 0.750] | 3/1/2 | " +
    "0.125 [0.000, 0.250] | -0.125 [-0.250, 0.000] | 0/4/5",
    "characters | 12.35 [9.999, 123.5] | - | -",
    "2 rows; in brackets 95 % intervals by 200 bootstrap draws; beside each the difference to base, and rows " +
    "better/worse/same",
  ]);
});

Deno.test("formatEval() of one model tells of no difference", () => {
  const summaries = RESULT.summaries.map(({ models, ...rest }) => ({
    ...rest,
    models: models.slice(0, 1),
    comparisons: [],
  }));
  assert.deepEqual(formatEval({ ...RESULT, models: RESULT.models.slice(0, 1), summaries }), [
    "measure     base",
    "accuracy    0.250 [0.000, 0.500]",
    "characters  12.35 [9.999, 123.5]",
    "2 rows; in brackets 95 % intervals by 200 bootstrap draws",
  ]);
});

Deno.test("evalJson() has replies, scores and what a judge wrote, and null for what is not there", () => {
  assert.equal(evalJson(RESULT).at(-1), "\n");
  const { rows, metrics, ...rest } = JSON.parse(evalJson(RESULT));
  assert.deepEqual(rest, {
    format: "ortune-eval-1",
    data: "rows.jsonl",
    models: RESULT.models,
    interval: { level: 0.95, resamples: 200 },
  });
  assert.deepEqual(metrics, [
    {
      name: "accuracy",
      better: "higher",
      models: RESULT.summaries[0].models,
      beside_first: RESULT.summaries[0].comparisons,
    },
    {
      name: "characters",
      better: null,
      models: [RESULT.summaries[1].models[0], null, null],
      beside_first: [null, null],
    },
  ]);
  assert.deepEqual(rows, [
    {
      line: 3,
      question: "?",
      reference: { think: "hm", answer: "A" },
      choice: { options: { A: "one", B: "two" }, right: "A" },
      models: [
        {
          text: "A",
          finish_reason: "stop",
          new_tokens: 2,
          scores: { accuracy: 1 },
          judged: "good",
        },
        { text: "B", finish_reason: "length", new_tokens: 4, scores: {} },
      ],
    },
    { line: 4, question: "??", reference: { think: "", answer: "B" }, models: [] },
  ]);
});
