import assert from "node:assert/strict";
import type { EvalRow } from "../../infer/evaluate/asked_row.ts";
import type { EncodedRow } from "../../infer/evaluate/encode_row.ts";
import type { EvaluatedReply } from "../../infer/evaluate/metric.ts";
import type { OwnMetric } from "../../infer/evaluate/own_metric.ts";
import { type TempFolder, tempFolder } from "../../tests/support/temp_folder.ts";
import { type AnsweredModel, evalScores, type EvalScoresOptions } from "./eval_scores.ts";

const ANSWERS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"];

const ROWS = ANSWERS.map((answer, i): EvalRow => ({
  where: { file: "rows.jsonl", line: i + 1 },
  record: { kind: "question", question: `q${i}`, think: "", answer, system: "" },
  ...i === 0 ? { choice: { options: { A: "alpha", B: "b" }, right: "A" } } : {},
}));

const reply = (answer: string): EvaluatedReply => ({
  ...{ text: answer, think: "", answer, finishReason: "eos", newTokens: 3, promptTokens: 5 },
});

/** A model that answers so. */
function model(folder: TempFolder, name: string, answers: readonly string[]): AnsweredModel {
  const encoded = ANSWERS.map((answer, i) => ({
    ...{ question: `q${i}`, reference: { think: "", answer }, key: `key${i}` },
  } as EncodedRow));
  return {
    name,
    model: `models/${name}`,
    encoded,
    replies: answers.map((answer, row) => ({ row, key: `key${row}`, reply: reply(answer) })),
    gradesPath: `${folder.path}/${name}.jsonl`,
  };
}

/** A judge that grades by the length of an answer, and what it was asked. */
function judge(refused: (answer: string) => boolean = () => false) {
  const asked: string[] = [];
  const options: NonNullable<EvalScoresOptions["judge"]> = {
    url: "http://localhost/v1",
    model: "judge",
    wait: 0,
    fetch: (_url, init) => {
      const { content } = JSON.parse(String(init?.body)).messages[0];
      const answer = content.split("Answer to grade:\n")[1];
      asked.push(answer);
      if (refused(answer)) return Promise.resolve(new Response("no", { status: 400 }));
      const message = { content: `It is so.\nGrade: ${Math.min(5, answer.length)}` };
      return Promise.resolve(Response.json({ choices: [{ message }] }));
    },
  };
  return { asked, options };
}

const options = {
  data: "rows.jsonl",
  seed: 1,
  resamples: 10,
  signal: new AbortController().signal,
};

Deno.test("evalScores() has of each row what each model answered, and how it is measured", async () => {
  await using folder = await tempFolder();
  const models = [
    model(folder, "base", ANSWERS),
    { ...model(folder, "tuned", ANSWERS.map((_, i) => i === 1 ? "beta" : "x")), adapter: "a" },
  ];
  const { rows, summaries, ...rest } = await evalScores(ROWS, models, options);
  assert.deepEqual(rest, {
    data: "rows.jsonl",
    models: [
      { name: "base", model: "models/base", adapter: undefined },
      { name: "tuned", model: "models/tuned", adapter: "a" },
    ],
    resamples: 10,
  });
  assert.deepEqual(
    rows.map(({ where, question, reference, choice, models }) => [
      where.line,
      question,
      reference.answer,
      choice?.right,
      models.map(({ reply, scores, judged }) => [reply.text, scores.exact_match, judged]),
    ]),
    ANSWERS.map((answer, i) => [
      i + 1,
      `q${i}`,
      answer,
      i === 0 ? "A" : undefined,
      // Of a choice letters are compared.
      [
        [answer, i === 0 ? undefined : 1, undefined],
        [i === 1 ? "beta" : "x", i === 0 ? undefined : i === 1 ? 1 : 0, undefined],
      ],
    ]),
  );
  assert.deepEqual(
    summaries.filter(({ name }) => name === "exact_match").map(({ models, comparisons }) => [
      models.map((each) => each?.value),
      comparisons.map((each) => each && [each.wins, each.losses, each.ties]),
    ]),
    [[[1, 1 / 5], [[0, 4, 1]]]],
  );
  assert.equal(summaries.some(({ name }) => name === "judge"), false);
  assert.deepEqual(Object.keys(rows[0].models[0].scores).includes("choice_accuracy"), true);
  assert.deepEqual(Object.keys(rows[1].models[0].scores).includes("choice_accuracy"), false);
});

Deno.test("evalScores() asks a judge for grades of all answers, and not again for those that are kept", async () => {
  await using folder = await tempFolder();
  const first = judge();
  const of = (answers: readonly string[]) => [model(folder, "base", answers)];
  const { rows, summaries } = await evalScores(
    ROWS,
    of(["a", "bb", "ccc", "dddd", "eeeee", "ffffff"]),
    {
      ...options,
      judge: first.options,
    },
  );
  assert.deepEqual(first.asked.sort(), ["a", "bb", "ccc", "dddd", "eeeee", "ffffff"]);
  assert.deepEqual(rows.map(({ models }) => models[0].scores.judge), [1, 2, 3, 4, 5, 5]);
  assert.equal(rows[2].models[0].judged, "It is so.\nGrade: 3");
  const told = summaries.find(({ name }) => name === "judge")!;
  assert.deepEqual([told.models[0]?.value, told.metric.better], [20 / 6, "higher"]);
  // One answer is another one now.
  const again = judge();
  const next = await evalScores(ROWS, of(["a", "bb", "cccc", "dddd", "eeeee", "ffffff"]), {
    ...options,
    judge: again.options,
  });
  assert.deepEqual(again.asked, ["cccc"]);
  assert.deepEqual(next.rows.map(({ models }) => models[0].scores.judge), [1, 2, 4, 4, 5, 5]);
});

Deno.test("evalScores() stops asking where a judge refuses, and keeps the grades that came", async () => {
  await using folder = await tempFolder();
  const models = [model(folder, "base", ["aa", "no", "cc", "dd", "ee", "ff"])];
  const refusing = judge((answer) => answer === "no");
  await assert.rejects(
    evalScores(ROWS, models, { ...options, judge: refusing.options }),
    { message: "Cannot ask the judge at http://localhost/v1: status 400, no" },
  );
  const { asked, options: willing } = judge();
  await evalScores(ROWS, models, { ...options, judge: willing });
  assert.ok(asked.includes("no") && asked.length < 6, asked.join());
  const reason = new Error("stop");
  const stopped = { ...options, signal: AbortSignal.abort(reason), judge: judge().options };
  await assert.rejects(evalScores(ROWS, [model(folder, "other", ANSWERS)], stopped), reason);
});

Deno.test("evalScores() takes the numbers of a user's own measure, under names of their own", async () => {
  await using folder = await tempFolder();
  const own = (values: (question: string) => Record<string, number>): OwnMetric => ({
    score: ({ question, reference, choice }, reply, where) => {
      assert.equal(reference.answer, ANSWERS[where.line - 1]);
      assert.equal(choice?.right, where.line === 1 ? "A" : undefined);
      return Promise.resolve({ size: reply.text.length, ...values(question) });
    },
    [Symbol.dispose]: () => {},
  });
  const models = [model(folder, "base", ["a", "bb", "a", "a", "a", "a"])];
  const some = own((question): Record<string, number> => question === "q1" ? { seen: 7 } : {});
  const { rows, summaries } = await evalScores(ROWS, models, { ...options, own: some });
  assert.deepEqual(rows.map(({ models }) => [models[0].scores.size, models[0].scores.seen]), [
    [1, undefined],
    [2, 7],
    ...Array(4).fill([1, undefined]),
  ]);
  assert.deepEqual(summaries.slice(-2).map(({ name, models }) => [name, models[0]?.value]), [
    ["size", 7 / 6],
    ["seen", 7],
  ]);
  for (const name of ["bleu", "judge"]) {
    await assert.rejects(
      evalScores(ROWS, models, { ...options, own: own(() => ({ [name]: 1 })) }),
      {
        message: `Cannot take the metric's ${name}: a measure has this name; rename it`,
      },
    );
  }
});
