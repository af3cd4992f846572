import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import { parsePythonJson, type PythonJson } from "../../internal/json/python_json.ts";
import {
  createDataFacts,
  type DataFacts,
  type DataFactsOptions,
  type Part,
  quantile,
} from "./data_facts.ts";
import { formatDataFacts } from "./data_report.ts";
import { DATA_REPORT_WORDS } from "./data_report_words.ts";

type Row = readonly [json: string, part: Part, file?: string];

/** Facts of rows, a line each. */
function facts(rows: readonly Row[], options: Partial<DataFactsOptions> = {}): DataFacts {
  const { add, facts } = createDataFacts({ maxLength: 1000, ...options });
  rows.forEach(([json, part, file = "a.jsonl"], i) =>
    add(parsePythonJson(json) as Map<string, PythonJson>, { file, line: i + 1 }, part)
  );
  return facts();
}

const row = (question: string, think: string, answer: string): string =>
  JSON.stringify({ question, think, answer });

Deno.test("quantile() is the value at a part of a sorted list, the last one at all of it", () => {
  const sorted = [10, 20, 30, 40];
  assert.deepEqual([0, 0.24, 0.25, 0.5, 0.75, 0.99, 1].map((part) => quantile(sorted, part)), [
    ...[10, 10, 20, 30, 40, 40, 40],
  ]);
  assert.deepEqual([quantile([7], 0.5), quantile([], 0.5)], [7, NaN]);
});

Deno.test("createDataFacts() counts rows and characters of each part", () => {
  const { shapes, unread, ...rest } = facts([
    [row("ab", "c", "🎉def"), "train"],
    [row("abc", "", "d"), "train"],
    [row("x", "yy", "zzz"), "val"],
  ]);
  const lengths = (name: string, values: readonly number[]) => ({
    name,
    unit: "characters",
    values,
  });
  const sample = (
    line: number,
    part: Part,
    question: string,
    think: string | undefined,
    text: string,
  ) => ({
    part,
    where: { file: "a.jsonl", line },
    texts: [
      { role: "user", text: question, think: undefined },
      { role: "assistant", text, think },
    ],
  });
  assert.deepEqual(rest, {
    replies: 3,
    unlearnedReplies: 0,
    teach: "all",
    truncation: "right",
    rows: { train: 2, val: 1 },
    lengths: [
      lengths("prompt", [2, 3, 1]),
      lengths("think", [1, 0, 2]),
      lengths("answer", [4, 1, 3]),
    ],
    maxLength: undefined,
    cut: 0,
    unlabelled: 0,
    withoutThinking: 1,
    problems: [],
    duplicates: [],
    repeated: 0,
    samples: [
      sample(1, "train", "ab", "c", "🎉def"),
      sample(2, "train", "abc", "", "d"),
      sample(3, "val", "x", "yy", "zzz"),
    ],
  });
  assert.deepEqual([shapes.map(({ rows }) => rows), unread], [[3], []]);
});

Deno.test("createDataFacts() keeps the first three rows for training and two for validation", () => {
  const rows = Array.from(
    { length: 10 },
    (_, i) => [row("q", "", `${i}`), i < 5 ? "train" : "val"] as const,
  );
  assert.deepEqual(facts(rows).samples.map(({ where }) => where.line), [1, 2, 3, 6, 7]);
});

Deno.test("createDataFacts() finds rows and questions of both parts, and rows that repeat", () => {
  const { duplicates, repeated } = facts([
    [row("a", "", "1"), "train"],
    [row("b", "", "2"), "train"],
    [row("b", "", "3"), "train"],
    [row("a", "", "1"), "train"],
    // The same row, the same question but for blanks, and neither.
    [row("a", "", "1"), "val"],
    [row(" b ", "", "4"), "val"],
    [row("c", "", "4"), "val"],
    [row("c", "", "5"), "val"],
    [row(" ", "", "5"), "train"],
    [row(" ", "", "6"), "val"],
    [`{"question": 3}`, "train"],
    [`{"question": 3, "a": 1}`, "val"],
  ]);
  const at = (line: number) => ({ file: "a.jsonl", line });
  assert.deepEqual(duplicates, [
    { train: at(1), val: at(5), same: "row" },
    { train: at(2), val: at(6), same: "question" },
  ]);
  assert.equal(repeated, 2);
});

Deno.test("createDataFacts() lists what training would refuse, file by file and line by line", () => {
  const { problems, rows, withoutThinking } = facts([
    [row("a", "", "1"), "train", "b.jsonl"],
    [`{"question": "a"}`, "val", "b.jsonl"],
    [`{"question": "a", "answer": "b", "n": [1, {"x": NaN}]}`, "train", "b.jsonl"],
    [`{"question": "a", "answer": "b", "n": -Infinity}`, "train", "a.jsonl"],
    [`{"question": "a", "answer": "b", "n": 1e5, "t": "Infinity"}`, "train", "a.jsonl"],
    [
      `{"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "x", "weight": 0}]}`,
      "val",
    ],
  ]);
  assert.deepEqual(problems.slice(0, -1), [
    "a.jsonl:4: holds NaN or Infinity, which is not JSON",
    "a.jsonl:6: holds no reply that is to be learned",
    "b.jsonl:2:answer: expected a string, got nothing",
  ]);
  assert.deepEqual(problems.at(-1), "b.jsonl:3: holds NaN or Infinity, which is not JSON");
  assert.deepEqual([rows, withoutThinking], [{ train: 4, val: 2 }, 2]);
});

Deno.test("createDataFacts() counts a chat up to its last reply that is learned, without its system prompt", () => {
  const chat = JSON.stringify({
    messages: [
      { role: "system", content: "sssss" },
      { role: "user", content: "ab" },
      { role: "assistant", content: "cde" },
      { role: "user", content: "f" },
      { role: "assistant", content: "ghij" },
    ],
  });
  const values = (teach: "all" | "last") =>
    facts([[chat, "train"]], { teach }).lengths.map(({ values }) => values);
  assert.deepEqual(values("all"), [[6], [0], [4]]);
  const { replies, unlearnedReplies, teach } = facts([[chat, "train"]], { teach: "last" });
  assert.deepEqual([replies, unlearnedReplies, teach], [1, 1, "last"]);
  // A text has no thinking to be without.
  const text = facts([[`{"prompt": "abc", "completion": "de"}`, "train"]]);
  assert.deepEqual([text.withoutThinking, text.lengths.map(({ values }) => values)], [
    0,
    [[3], [0], [2]],
  ]);
  assert.deepEqual(text.samples[0].texts, [
    { role: "prompt", text: "abc" },
    { role: "completion", text: "de" },
  ]);
});

Deno.test("createDataFacts() counts tokens as training has them, and rows that are cut", () => {
  const tokenizer = createTokenizer(byteTokenizerFiles());
  const rows: readonly Row[] = [[`{"prompt": "abc", "completion": "de"}`, "train"]];
  const known = (maxLength: number) => {
    const { cut, unlabelled, maxLength: told, lengths } = facts(rows, { tokenizer, maxLength });
    return [cut, unlabelled, told, lengths.slice(3).map(({ values }) => values[0])];
  };
  // Three of the prompt, two and an end of the completion.
  assert.deepEqual(known(6), [0, 0, 6, [3, 0, 2, 6]]);
  assert.deepEqual(known(5), [1, 0, 5, [3, 0, 2, 6]]);
  assert.deepEqual(known(4), [1, 0, 4, [3, 0, 2, 6]]);
  assert.deepEqual(known(3), [1, 1, 3, [3, 0, 2, 6]]);
  const { lengths } = facts(rows, { tokenizer });
  assert.deepEqual(lengths.map(({ name, unit }) => `${name}, ${unit}`), [
    ...["prompt, characters", "think, characters", "answer, characters"],
    ...["prompt, tokens", "think, tokens", "answer, tokens", "whole example, tokens"],
  ]);
});

Deno.test("createDataFacts() tells of the chosen reply of a pair", () => {
  const tokenizer = createTokenizer(byteTokenizerFiles());
  const pair = JSON.stringify({ prompt: "?", chosen: "abcd", rejected: "efghijkl" });
  const { lengths, samples } = facts([[pair, "train"]], { tokenizer });
  const of = (name: string, unit: string) =>
    lengths.find((each) => each.name === name && each.unit === unit)!.values;
  assert.deepEqual([of("answer", "characters"), of("answer", "tokens")], [[4], [4]]);
  const [prompt, whole] = ["prompt", "whole example"].map((name) => of(name, "tokens")[0]);
  // The reply and its end.
  assert.equal(whole - prompt, 5);
  assert.equal(samples[0].texts.at(-1)!.text, "abcd");
});

Deno.test("createDataFacts() sorts what is refused by names of files", () => {
  const files = ["c", "a", "b", "d", "a", "c"];
  const { problems } = facts(files.map((file) => [`{"question": "q"}`, "train", file] as const));
  assert.deepEqual(problems.map((each) => each.slice(0, 3)), [
    "a:2",
    "a:5",
    "b:3",
    "c:1",
    "c:6",
    "d:4",
  ]);
});

Deno.test("formatDataFacts() tells lengths below each other, and what is of note", () => {
  const rows = Array.from(
    { length: 7 },
    (_, i) => [row(`q${i}`, "", "a".repeat(i + 1)), "train"] as const,
  );
  const bad = Array.from({ length: 6 }, () => [`{"question": "q"}`, "train"] as const);
  const lines = formatDataFacts(facts([...rows, ...bad]));
  assert.deepEqual(lines, [
    "                    min  median  90 %  99 %  max  mean",
    "prompt, characters    2       2     2     2    2     2",
    "think, characters     0       0     0     0    0     0",
    "answer, characters    1       4     7     7    7     4",
    "7 rows are read as question and answer (question, think, answer)",
    "token lengths are not known: give --model DIR with a tokenizer",
    "7 rows have no thinking",
    "6 rows are empty or malformed",
    ...[8, 9, 10, 11, 12].map((line) => `  a.jsonl:${line}:answer: expected a string, got nothing`),
    "  and 1 more",
    "0 rows stand in both parts",
    "5 rows repeat an earlier one",
  ]);
  const five = formatDataFacts(facts([...rows, ...bad.slice(1)]));
  assert.equal(five.includes("  and 0 more"), false);
  assert.equal(
    formatDataFacts(facts(bad.slice(1)))[0],
    "token lengths are not known: give --model DIR with a tokenizer",
  );
});

Deno.test("formatDataFacts() tells of cut rows, of replies and of what is not read", () => {
  const own: DataFacts = {
    ...facts([]),
    maxLength: 9,
    cut: 1,
    unlabelled: 2,
    unread: [{ field: "f", rows: 1 }, { field: "g", rows: 2, remedy: "g is 1: leave it out" }],
    replies: 3,
    unlearnedReplies: 1,
  };
  assert.deepEqual(formatDataFacts(own), [
    "1 row is longer than 9 tokens and would be cut",
    "2 rows are cut before the answer: training refuses them",
    "3 replies are learned, 1 are read only",
    "0 rows have no thinking",
    "0 rows are empty or malformed",
    "training does not read:",
    "  f (1 row has it)",
    "  g is 1: leave it out (2 rows have it)",
    "0 rows stand in both parts",
    "0 rows repeat an earlier one",
  ]);
  const told = (changes: Partial<DataFacts>) =>
    formatDataFacts({ ...own, ...changes, unread: [] }).slice(0, -4);
  assert.deepEqual(told({ unlabelled: 0, unlearnedReplies: 0 }), [
    "1 row is longer than 9 tokens and would be cut",
  ]);
  assert.deepEqual(told({ truncation: "left", unlearnedReplies: 0, teach: "last" }), [
    "1 row is longer than 9 tokens and would lose their oldest turns or tokens",
    "3 replies are learned, 0 are read only (--teach last)",
  ]);
});

Deno.test("the words of a report fit both languages", () => {
  const { en, zh } = DATA_REPORT_WORDS;
  const [a, b] = [{ file: "a", line: 1 }, { file: "b", line: 2, unit: "row" as const }];
  for (
    const [say, english, chinese] of [
      [
        (w: typeof en) => w.duplicate({ train: a, val: { file: "a", line: 3 }, same: "row" }),
        "the row of line 3 (validation) is that of line 1 (training)",
        "第 3 行（验证）的整行与第 1 行（训练）相同",
      ],
      [
        (w: typeof en) => w.duplicate({ train: a, val: b, same: "question" }),
        "the question of b, row 2 (validation) is that of a, line 1 (training)",
        "b 第 2 行（验证）的问题与 a 第 1 行（训练）相同",
      ],
      [
        (w: typeof en) => w.howSplit({ validation: "test" }),
        "Validation: the dataset's own split test",
        "验证集：数据集自带的 test",
      ],
      [
        (w: typeof en) => w.howSplit({ seed: 3, trainRatio: 0.9 }),
        "Seed 3, training part 0.9: the order is CPython's",
        "随机种子 3，训练部分 0.9：顺序与 CPython 相同",
      ],
      [
        (w: typeof en) => w.replies(5, 2, "last"),
        "5 replies are learned, 2 are read only (--teach last)",
        "学习 5 条回复，另有 2 条只作为上下文（--teach last）",
      ],
      [
        (w: typeof en) => w.replies(5, 2, "all"),
        "5 replies are learned, 2 are read only",
        "学习 5 条回复，另有 2 条只作为上下文",
      ],
      [(w: typeof en) => w.sample("train", a), "Training, line 1", "训练，第 1 行"],
      [(w: typeof en) => w.sample("val", b), "Validation, row 2", "验证，第 2 行"],
      [
        (w: typeof en) => w.cut(2000, { maxLength: 8, truncation: "drop" }),
        "2,000 rows are longer than 8 tokens and would be left out",
        "2,000 行超过 8 个词元，会被丢弃",
      ],
      [
        (w: typeof en) => w.cut(1, { maxLength: 8, truncation: "error" }),
        "1 row is longer than 8 tokens and would stop training",
        "1 行超过 8 个词元，训练会报错停止",
      ],
      [(w: typeof en) => w.role("tool"), "Tool result", "工具结果"],
      [(w: typeof en) => w.role("judge"), "judge", "judge"],
      [(w: typeof en) => w.quantile("90 %"), "90 %", "90 %"],
      [(w: typeof en) => w.quantile("median"), "median", "中位数"],
      [
        (w: typeof en) => w.length({ name: "think", unit: "tokens" }),
        "think, tokens",
        "思考，词元",
      ],
    ] as const
  ) {
    assert.deepEqual([say(en), say(zh)], [english, chinese]);
  }
});
