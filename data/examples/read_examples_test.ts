import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../text/byte_tokenizer.ts";
import { toExamples } from "./to_examples.ts";
import { readExamples } from "./read_examples.ts";
import { toMessages } from "../records/record.ts";
import { toSeedExample } from "./seed_example.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { createTokenizer } from "../text/tokenizer.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());
const columns = ["question", "think", "answer"];
const noneFound = {
  shapes: [{ name: "question and answer", columns, rows: 3 }],
  dropped: [],
  refusedRows: 0,
  refused: [],
  unread: [],
  otherSystems: 0,
  pairs: 0,
  withoutThinking: 0,
  thinkingOff: 0,
  unlearnedReplies: 0,
  unlearned: [],
  tagged: [],
  trimmed: [],
  terminators: [tokenizer.eosTokenId],
};
const row = (question: string, answer: string): string =>
  JSON.stringify({ question, think: "t", answer });

Deno.test("readExamples() gives toExamples()'s examples with their lines", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("train.jsonl", `${row("q", "a")}\n\n${row("r", "b")}\n`);
  const { examples, report } = await readExamples(path, { tokenizer, maxLength: 256, system: "s" });
  const record = { kind: "question", question: "r", think: "t", answer: "b" } as const;
  const [expected] = toExamples(toMessages(record, { system: "s" }), { tokenizer, maxLength: 256 });
  assert.deepEqual(examples[1], { ...expected, source: { file: path, line: 3 } });
  assert.deepEqual(report, {
    rows: 2,
    examples: 2,
    truncated: [],
    unterminated: [],
    unlabelled: [],
    tokens: examples[0].inputIds.length + examples[1].inputIds.length,
    supervisedTokens: examples[0].supervised + examples[1].supervised,
    ...noneFound,
    shapes: [{ name: "question and answer", columns, rows: 2 }],
    systems: [{ text: "s", rows: 2 }],
    replies: 2,
  });
});

Deno.test("readExamples() lists cut rows, and leaves rows without labels out", async () => {
  await using folder = await tempFolder();
  const rows = [row("q", "a"), row("q", "a".repeat(200)), row("q".repeat(200), "a")];
  const path = await folder.write("train.jsonl", rows.join("\n"));
  const { examples, report } = await readExamples(path, { tokenizer, maxLength: 128 });
  assert.deepEqual(examples.map(({ source }) => source?.line), [1, 2]);
  assert.deepEqual(report, {
    rows: 3,
    examples: 2,
    truncated: [2, 3],
    unterminated: [2, 3],
    unlabelled: [3],
    tokens: examples[0].inputIds.length + 128,
    supervisedTokens: examples[0].supervised + examples[1].supervised,
    ...noneFound,
    systems: [{ text: "", rows: 3 }],
    replies: 3,
  });
});

Deno.test("readExamples() lists a row of several turns once", async () => {
  await using folder = await tempFolder();
  const user = { role: "user", content: "q" };
  const bot = { role: "assistant", content: "a".repeat(300) };
  const path = await folder.write(
    "train.jsonl",
    JSON.stringify({ messages: [user, bot, user, bot] }),
  );
  const { report } = await readExamples(path, { tokenizer, maxLength: 128 });
  assert.deepEqual([report.truncated, report.unlabelled, report.examples], [[1], [1], 1]);
  const last = await readExamples(path, { tokenizer, maxLength: 1024, teach: "last" });
  assert.equal(last.report.examples, 1);
});

Deno.test("readExamples() stops at its limit, before later rows can fail", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("train.jsonl", `${row("q", "a")}\n${row("r", "b")}\nbad\n`);
  const { report } = await readExamples(path, { tokenizer, maxLength: 256, limit: 2 });
  assert.equal(report.rows, 2);
  await assert.rejects(readExamples(path, { tokenizer, maxLength: 256, limit: 0 }), RangeError);
});

Deno.test("readExamples() encodes as it is told, for example as the seed does", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("train.jsonl", row("q", "a"));
  const seed = { tokenizer, maxLength: 256, system: "s" };
  const { examples } = await readExamples(path, {
    ...seed,
    encode: (record) => [toSeedExample(record, seed)],
  });
  const { inputIds, promptLength } = examples[0];
  assert.equal(
    tokenizer.decode(inputIds.subarray(promptLength)),
    "<think>t</think> \n a<|endoftext|>",
  );
});

Deno.test("readExamples() names the line that the template refuses", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("train.jsonl", `${row("q", "a")}\n`);
  await assert.rejects(readExamples(path, { tokenizer, maxLength: 256, enableThinking: false }), {
    name: "JsonlError",
    message:
      /train\.jsonl:1: Cannot make an example of message 1: its prompt asks for no thinking, and the /,
  });
});

Deno.test("readExamples() counts what it reads, leaves out and does not read", async () => {
  await using folder = await tempFolder();
  const user = { role: "user", content: "q" };
  const bot = { role: "assistant", content: "a" };
  const rows = [
    JSON.stringify({ question: "q", answer: "a", hint: 1, weight: 2 }),
    JSON.stringify({ question: "q", answer: "Write </think>, then go on.", hint: null }),
    "not JSON",
    JSON.stringify({ question: "q" }),
    JSON.stringify({ question: "q", answer: "a", think: "t", system: "Be brief.", hint: "x" }),
    JSON.stringify({ messages: [user, { ...bot, train: false }] }),
    JSON.stringify({ messages: [user, { ...bot, weight: 0 }, user, { ...bot, mood: 1 }] }),
  ];
  const path = await folder.write("train.jsonl", rows.join("\n"));
  const read = { tokenizer, maxLength: 256 };
  await assert.rejects(readExamples(path, read), /train\.jsonl:3: /);
  const { report } = await readExamples(path, { ...read, dropRefused: true });
  assert.deepEqual(report, {
    ...noneFound,
    rows: 7,
    examples: 4,
    truncated: [],
    unterminated: [],
    unlabelled: [],
    tokens: report.tokens,
    supervisedTokens: report.supervisedTokens,
    refusedRows: 2,
    refused: [
      {
        line: 3,
        reason:
          'expected a JSON object, got invalid JSON at character 1: expected a value, found "n"',
      },
      { line: 4, reason: "answer: expected a string, got nothing" },
    ],
    unread: [
      { field: "hint", rows: 2 },
      {
        field: "weight",
        rows: 1,
        remedy:
          "weight is 2: all rows weigh the same; repeat a row to weigh it more, or leave it out",
      },
      { field: "messages[].mood", rows: 1 },
    ],
    shapes: [
      {
        name: "question and answer",
        columns: ["question", "answer", "think", "system"],
        rows: 3,
      },
      { name: "messages", columns: ["messages"], rows: 2 },
    ],
    systems: [{ text: "", rows: 4 }, { text: "Be brief.", rows: 1 }],
    replies: 4,
    withoutThinking: 3,
    unlearnedReplies: 2,
    unlearned: [6],
    tagged: [2],
  });
});

Deno.test("readExamples() keeps an example without labels where it is told to", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("train.jsonl", row("q".repeat(200), "a"));
  const options = { tokenizer, maxLength: 128, keepUnlabelled: true };
  const { examples: [example], report } = await readExamples(path, options);
  assert.deepEqual([example.supervised, example.inputIds.length], [0, 128]);
  assert.deepEqual([report.examples, report.unlabelled], [1, [1]]);
});

Deno.test("readExamples() gives a pair as two examples, and leaves both out where one is", async () => {
  await using folder = await tempFolder();
  const rows = [
    { prompt: "one", chosen: " two", rejected: " three, four and five" },
    { prompt: "a prompt of many tokens", chosen: "a", rejected: "b" },
    { prompt: "a", chosen: "b", rejected: "c" },
  ];
  const path = await folder.write(
    "rows.jsonl",
    rows.map((each) => JSON.stringify(each)).join("\n"),
  );
  const read = async (options: Partial<Parameters<typeof readExamples>[1]>) => {
    const { examples, report } = await readExamples(path, { tokenizer, maxLength: 20, ...options });
    const { pairs, truncated, unlabelled, dropped } = report;
    return {
      texts: examples.map(({ inputIds }) => tokenizer.decode(inputIds)),
      ...{ pairs, truncated, unlabelled, dropped },
    };
  };
  const last = ["ab<|im_end|>", "ac<|im_end|>"];
  assert.deepEqual(await read({}), {
    texts: ["one two<|im_end|>", "one three, four and ", ...last],
    ...{ pairs: 3, truncated: [1, 2], unlabelled: [2], dropped: [] },
  });
  assert.deepEqual(await read({ truncation: "drop" }), {
    texts: last,
    ...{ pairs: 3, truncated: [], unlabelled: [], dropped: [1, 2] },
  });
  await assert.rejects(read({ truncation: "error" }), { name: "JsonlError", line: 1 });
});
