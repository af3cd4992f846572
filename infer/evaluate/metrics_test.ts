/** What the measures say of replies. */

import assert from "node:assert/strict";
import { chosenLetters, expectedResult } from "./final_result.ts";
import type { AnsweredRow, RowScore } from "./metric.ts";
import { type MetricName, metrics } from "./metrics.ts";

const OPTIONS = { A: "aspirin", B: "insulin", C: "an apple", D: "none of them" };

function row(
  reference: string,
  answer: string,
  change: Partial<AnsweredRow> & { readonly think?: string; readonly text?: string } = {},
): AnsweredRow {
  const { think = "", text = answer, ...rest } = change;
  return {
    reference: { think, answer: reference },
    reply: { think: "", answer, text, finishReason: "eos", newTokens: 5, promptTokens: 9 },
    ...rest,
  };
}

const value = (name: MetricName, answered: AnsweredRow): number | undefined =>
  metrics[name].score(answered)?.value;

Deno.test("chosenLetters() finds what an answer chooses", () => {
  const answers: readonly (readonly [string, string | undefined])[] = [
    ["B", "B"],
    ["B. insulin, as the pancreas makes none", "B"],
    ["(C)", "C"],
    ["**D**", "D"],
    ["The answer is B because A is wrong.", "B"],
    ["The answer is (b)? No. Answer: C", "C"],
    ["答案是：D", "D"],
    ["故选 AC。", "AC"],
    ["正确选项为A、B、D", "ABD"],
    ["C, A and B", "ABC"],
    ["So $\\boxed{A}$ it is, not B", "A"],
    ["\\boxed{ACD}", "ACD"],
    ["A patient should take B here", "B"],
    ["insulin", "B"],
    ["Insulin.", "B"],
    ["It may be B or C", undefined],
    ["The answer is Aspirin", undefined],
    ["I do not know", undefined],
    ["", undefined],
  ];
  assert.deepEqual(
    answers.map(([answer]) => [answer, chosenLetters(answer, OPTIONS)]),
    answers,
  );
});

Deno.test("expectedResult() tells results from texts", () => {
  const references: readonly (readonly [string, string | undefined])[] = [
    ["So we have \\boxed{\\frac{3}{4}}.", "number \\frac{3}{4}"],
    ["\\boxed{x^2+1}", "boxed x^2+1"],
    ["\\boxed{BA}", "letters AB"],
    ["2 + 2 = 4\n#### 4", "number 4"],
    ["1,250", "number 1,250"],
    ["C", "letters C"],
    ["Rest, and drink 2 litres.", undefined],
    ["A cold", undefined],
    ["", undefined],
  ];
  const found = references.map(([text]) => {
    const result = expectedResult(text);
    return [text, result && `${result.kind} ${result.value}`];
  });
  assert.deepEqual(found, references);
});

Deno.test("choice accuracy compares letters, numbers and what is boxed", () => {
  const cases: readonly (readonly [string, string, number | undefined])[] = [
    ["#### 18", "She has 18.", 1],
    ["#### 18", "She had 20 and gave 2, so the answer is 18 of 30", 1],
    ["#### 1250", "1,250.00", 1],
    ["#### 18", "19", 0],
    ["\\boxed{\\frac{3}{4}}", "$\\boxed{0.75}$", 1],
    ["\\boxed{x^2 + 1}", "It is \\boxed{x^2+1}", 1],
    ["\\boxed{x^2 + 1}", "It is x^2+1", 0],
    ["-3", "−3", 1],
    ["C", "The answer is C.", 1],
    ["Rest.", "Rest.", undefined],
  ];
  assert.deepEqual(
    cases.map(([reference, answer]) => [
      reference,
      answer,
      value("choice_accuracy", row(reference, answer)),
    ]),
    cases,
  );
  const choice = { options: OPTIONS, right: "AC" };
  assert.equal(value("choice_accuracy", row("AC", "答案：C、A", { choice })), 1);
  assert.equal(value("choice_accuracy", row("AC", "A", { choice })), 0);
});

Deno.test("of a choice file only what was chosen counts, not its text", () => {
  const answered = row("B", "B", { choice: { options: OPTIONS, right: "B" } });
  const said = Object.entries(metrics).filter(([, metric]) => metric.score(answered));
  assert.deepEqual(said.map(([name]) => name), [
    "choice_accuracy",
    "stop_rate",
    "repetition",
    "reply_length",
  ]);
});

Deno.test("measures of texts, form, end, repetition and length", () => {
  const cases: readonly (readonly [MetricName, AnsweredRow, number | undefined])[] = [
    ["exact_match", row("Lie  down.", " Lie down.\n"), 1],
    ["exact_match", row("Lie down.", "lie down."), 0],
    ["token_f1", row("The fever fell.", "Fever, fell!"), 1],
    ["token_f1", row("多喝水", "多喝茶"), 2 / 3],
    ["rouge_l", row("多喝水", "多水"), 0.8],
    ["form", row("a", "a", { think: "t", text: "<think>\nt\n</think>\n\na" }), 1],
    ["form", row("a", "a", { think: "t" }), 0],
    ["form", row("a", "a"), undefined],
    ["stop_rate", row("a", "a"), 1],
    ["reply_length", row("a", "a"), 5],
    ["repetition", row("a", "a b c d a b c d a b c d"), 5 / 9],
    ["repetition", row("a", "a b"), 0],
    ["answer_loss", row("a", "a"), undefined],
  ];
  for (const [name, answered, expected] of cases) {
    const got = value(name, answered);
    const near = got === expected || Math.abs(got! - expected!) < 1e-12;
    assert.ok(near, `${name} of ${answered.reply.text}: ${got} is not ${expected}`);
  }
});

Deno.test("losses of several rows are means over their tokens", () => {
  const loss = (sum: number, tokens: number): RowScore =>
    metrics.answer_loss.score(
      row("a", "a", { loss: { think: { sum: 0, tokens: 0 }, answer: { sum, tokens } } }),
    )!;
  const [one, other] = [loss(2, 1), loss(2, 3)];
  assert.deepEqual([one.value, other.value], [2, 2 / 3]);
  assert.deepEqual(one.sums.map((sum, i) => sum + other.sums[i]), [4, 4]);
});
