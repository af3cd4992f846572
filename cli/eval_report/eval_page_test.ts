import assert from "node:assert/strict";
import { renderEval } from "./eval_page.ts";
import type { EvalResult, EvalRowResult, ModelReply } from "./eval_result.ts";

const reply = (answer: string, accuracy: number, more: Partial<ModelReply> = {}): ModelReply => ({
  reply: {
    ...{ text: answer, answer, think: `why ${answer}`, finishReason: "eos" },
    ...{ newTokens: 2, promptTokens: 9 },
  },
  scores: { accuracy, length: 2 },
  ...more,
});

const row = (line: number, models: readonly ModelReply[]): EvalRowResult => ({
  where: { file: "rows.jsonl", line },
  question: `question ${line}`,
  reference: { think: "because", answer: "the cat sat" },
  models,
});

const cut = reply("a cat sat", 0);
const RESULT: EvalResult = {
  data: "rows.jsonl",
  models: [{ name: "base", model: "m" }, { name: "tuned", model: "m" }],
  rows: [
    row(3, [reply("the dog sat", 0), reply("the cat sat down", 1, { judged: "Grade: 5" })]),
    row(4, [reply("x", 1), { ...cut, reply: { ...cut.reply, finishReason: "length" } }]),
  ],
  summaries: [
    {
      name: "accuracy",
      metric: { title: { en: "accuracy", zh: "准确率" }, better: "higher" },
      models: [
        { value: 0.5, low: 0.25, high: 0.75, rows: 2 },
        { value: 0.75, low: 0.5, high: 1, rows: 2 },
      ],
      comparisons: [{ value: 0.25, low: 0.125, high: 0.5, rows: 2, wins: 1, losses: 2, ties: 3 }],
    },
    {
      name: "length",
      metric: { title: { en: "length", zh: "长度" } },
      models: [{ value: 2, low: 1, high: 3, rows: 2 }, undefined],
      comparisons: [undefined],
    },
  ],
  resamples: 1000,
};

/** The parts of a page between tags, without blanks around. */
const plain = (markup: string): string =>
  markup.replace(/<[^>]+>/g, "|").replace(/\s*\|[\s|]*/g, "|");

Deno.test("renderEval() has a table of measures, with differences to the first model", async () => {
  const page = await renderEval(RESULT);
  const [table] = /<table[^]*?<\/table>/.exec(page)!;
  assert.equal(
    plain(table),
    "|measure|base|tuned|difference to base|better / worse / same|" +
      "accuracy|higher is better|0.500|[0.250, 0.750]|0.750|[0.500, 1.000]|" +
      "+0.250|[0.125, 0.500]|1 / 2 / 3|length|2.000|[1.000, 3.000]|",
  );
  assert.match(page, /<title>base · tuned: rows\.jsonl<\/title>/);
  assert.match(
    page,
    /data-better="\{&quot;accuracy&quot;:&quot;higher&quot;,&quot;length&quot;:&quot;&quot;\}"/,
  );
});

Deno.test("renderEval() sets a difference in bold where its interval leaves 0 out", async () => {
  const bold = async (low: number, high: number): Promise<boolean> => {
    const [first, second] = RESULT.summaries;
    const comparisons = first.comparisons.map((each) => each && { ...each, low, high });
    const page = await renderEval({ ...RESULT, summaries: [{ ...first, comparisons }, second] });
    return /<strong>\s*\+0\.250/.test(page);
  };
  const ends = [[0.1, 0.2], [0, 0.2], [-0.1, 0.2], [-0.2, 0], [-0.2, -0.1]] as const;
  assert.deepEqual(await Promise.all(ends.map(([low, high]) => bold(low, high))), [
    ...[true, false, false, false, true],
  ]);
});

Deno.test("renderEval() marks in each reply what the reference does not have, and what is won and lost", async () => {
  const page = await renderEval(RESULT);
  const rows = page.match(/<article data-scores[^]*?<\/article>/g)!;
  assert.deepEqual(
    rows.map((each) => /data-scores="(.*?)"/.exec(each)![1].replaceAll("&quot;", '"')),
    [
      '[{"accuracy":0,"length":2},{"accuracy":1,"length":2}]',
      '[{"accuracy":1,"length":2},{"accuracy":0,"length":2}]',
    ],
  );
  const answers = (markup: string): string[] =>
    Array.from(markup.matchAll(/<p class="text answer"[^>]*>(.*?)<\/p>/g), ([, text]) => text);
  assert.deepEqual(rows.map(answers), [
    ["the cat sat", "the <mark>dog</mark> sat", "the cat sat <mark>down</mark>"],
    ["the cat sat", "<mark>x</mark>", "<mark>a</mark> cat sat"],
  ]);
  assert.deepEqual(rows.map((each) => each.match(/<span class="(win|loss)">/g) ?? []), [
    ['<span class="win">'],
    ['<span class="loss">'],
  ]);
  assert.deepEqual(rows.map((each) => /Grade: 5/.test(each)), [true, false]);
  assert.deepEqual(rows.map((each) => each.match(/cut at the limit/g)?.length ?? 0), [0, 1]);
  assert.match(plain(rows[0]), /^\|line 3\|question 3\|Reference\|/);
  assert.deepEqual(rows.map((each) => each.match(/why [^<]*/g)), [
    ["why the dog sat", "why the cat sat down"],
    ["why x", "why a cat sat"],
  ]);
});

Deno.test("renderEval() offers wins and losses where there is more than one model, and 2,000 rows", async () => {
  const options = (page: string): string[] =>
    Array.from(page.matchAll(/<option value="(.*?)"/g), ([, value]) => value);
  const several = [
    "all",
    "wins",
    "losses",
    "wrong",
    "",
    "accuracy",
    "length",
    "ascending",
    "descending",
  ];
  assert.deepEqual(options(await renderEval(RESULT)), several);
  const one = {
    ...RESULT,
    models: RESULT.models.slice(0, 1),
    rows: Array.from({ length: 2001 }, (_, i) => row(i + 1, [reply("x", 1)])),
    summaries: RESULT.summaries.map((each) => ({
      ...each,
      models: each.models.slice(0, 1),
      comparisons: [],
    })),
  };
  const page = await renderEval(one);
  assert.deepEqual(options(page), several.filter((each) => !["wins", "losses"].includes(each)));
  assert.equal(page.match(/<article data-scores/g)!.length, 2000);
  const left = /Only the first 2,000 rows are shown/;
  assert.match(page, left);
  assert.doesNotMatch(await renderEval({ ...one, rows: one.rows.slice(1) }), left);
});
