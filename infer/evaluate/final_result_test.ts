import assert from "node:assert/strict";
import {
  chosenLetters,
  expectedResult,
  type Result,
  resultOf,
  sameResult,
} from "./final_result.ts";
import { plainScore } from "./metric.ts";
import { metrics } from "./metrics.ts";
import { scoreRows, summarize } from "./score_rows.ts";

Deno.test("resultOf() finds the result of an answer, of the kind that is expected", () => {
  const cases: readonly (readonly [Result["kind"], string, string | undefined])[] = [
    ["letters", "The answer is C.", "C"],
    ["letters", "答案：J", "J"],
    ["letters", "\\boxed{BA}", "AB"],
    ["letters", "\\boxed{5}", undefined],
    ["letters", "K", undefined],
    ["number", "2 and 3 make 5", "5"],
    ["number", "The answer is 5, of 7 cases", "5"],
    ["number", "答案是 $5, of 7", "5"],
    ["number", "so it is 7\n#### 5\nof 9", "5"],
    ["number", "#### $1,250.5 or so", "1,250.5"],
    ["number", "\\boxed{5} and 7", "5"],
    ["number", "\\boxed{x}", "x"],
    ["number", "-3", "-3"],
    ["number", "−3/4", "−3/4"],
    ["number", "none", undefined],
    ["boxed", "\\boxed{x} then \\boxed{ y }", "y"],
    ["boxed", "\\boxed{\\frac{a}{b}}", "\\frac{a}{b}"],
    ["boxed", "\\boxed{a{b}c} d}", "a{b}c"],
    ["boxed", "\\boxed{}", ""],
    ["boxed", "\\boxed{a", undefined],
    ["boxed", "x = 5", undefined],
  ];
  for (const [kind, answer, expected] of cases) {
    assert.equal(resultOf(answer, kind), expected, `${kind}: ${answer}`);
  }
});

Deno.test("sameResult() compares numbers by value, and texts without layout", () => {
  const same: readonly (readonly [string, string])[] = [
    ["5", "5.0"],
    ["1,250", "1250"],
    ["1/2", "0.5"],
    ["\\frac{1}{2}", "0.5"],
    ["\\dfrac{3}{4}", "\\tfrac{6}{8}"],
    ["50%", "50"],
    ["50\\%", "50"],
    ["$5", "5"],
    ["￥5", "¥5"],
    ["−3", "-3"],
    [" 7 ", "7"],
    // Up to a billionth of the larger one, or of 1.
    ["1000000000", "1000000001"],
    ["1000000001", "1000000000"],
    ["-1000000000", "-1000000001"],
    ["0.5", "0.5000000009"],
    ["\\left( x , y \\right)", "(x,y)"],
    ["\\text{yes}", "yes"],
    ["x^{2}", "x^2"],
    ["a\\!b\\;c", "a b c"],
  ];
  const different: readonly (readonly [string, string])[] = [
    ["5", "6"],
    ["5", "five"],
    ["five", "5"],
    ["1000000000", "1000000003"],
    ["0.5", "0.50000001"],
    ["5 m", "5"],
    ["x", "y"],
    ["1/0", "2"],
  ];
  for (const [a, b] of same) assert.ok(sameResult(a, b), `${a} and ${b}`);
  for (const [a, b] of different) assert.ok(!sameResult(a, b), `${a} and ${b}`);
});

Deno.test("expectedResult() takes the last boxed, a number behind hashes, or a whole text", () => {
  const cases: readonly (readonly [string, Result | undefined])[] = [
    ["\\boxed{1} then \\boxed{B}", { kind: "letters", value: "B" }],
    ["\\boxed{ C, A }", { kind: "letters", value: "AC" }],
    ["\\boxed{12}", { kind: "number", value: "12" }],
    ["\\boxed{K}", { kind: "boxed", value: "K" }],
    ["It is 5.\n#### 6", { kind: "number", value: "6" }],
    ["(A)", { kind: "letters", value: "A" }],
    ["B、A。", { kind: "letters", value: "AB" }],
    ["5.", { kind: "number", value: "5" }],
    ["50%", { kind: "number", value: "50%" }],
    ["5 or 6", undefined],
    ["Apple", undefined],
  ];
  for (const [reference, expected] of cases) {
    assert.deepEqual(expectedResult(reference), expected, reference);
  }
});

Deno.test("chosenLetters() goes by the options that there are", () => {
  const options = { A: "one", B: "two", C: "Two" };
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["D", undefined],
    ["One.", "A"],
    [" one ", "A"],
    // Written alike but for capitals: it could be either.
    ["two", undefined],
    ["A B", "AB"],
    ["C and A, not B", "AC"],
    ["A cold is likely; option B", "B"],
    ["A and B", "AB"],
    ["It is A, surely A", "A"],
    ["It is A's turn", undefined],
    ["Choose\n**(B)**", "B"],
    ["\\boxed{D}", undefined],
  ];
  for (const [answer, expected] of cases) {
    assert.equal(chosenLetters(answer, options), expected, answer);
  }
});

Deno.test("scoreRows() and summarize() have a value a measure and a model, and leave silent ones out", () => {
  const row = {
    reference: { think: "", answer: "5" },
    reply: {
      think: "",
      answer: "5",
      text: "5",
      finishReason: "eos" as const,
      newTokens: 3,
      promptTokens: 2,
    },
  };
  const table = { form: metrics.form, reply_length: metrics.reply_length };
  const scores = scoreRows([row, row], table);
  assert.deepEqual(scores, {
    form: [undefined, undefined],
    reply_length: [plainScore(3), plainScore(3)],
  });
  assert.deepEqual(Object.keys(scoreRows([row])), Object.keys(metrics));
  const twice = scoreRows([row, { ...row, reply: { ...row.reply, newTokens: 5 } }], table);
  const [summary, ...others] = summarize([scores, twice, {}], table, { resamples: 20 });
  assert.equal(others.length, 0);
  assert.deepEqual([summary.name, summary.metric], ["reply_length", metrics.reply_length]);
  assert.deepEqual(summary.models.map((each) => each && [each.value, each.rows]), [
    [3, 2],
    [4, 2],
    undefined,
  ]);
  assert.deepEqual(summary.comparisons.map((each) => each && [each.value, each.rows]), [
    [1, 2],
    undefined,
  ]);
});
