import assert from "node:assert/strict";
import { EMPTY_REPORT } from "../../tests/support/empty_report.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { byteTokenizerFiles } from "../text/byte_tokenizer.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { encodeRecord } from "./encode_record.ts";
import { encodeRows, type EncodeRowsOptions, type LocatedExample } from "./encode_rows.ts";
import type { Example } from "./example.ts";
import { joinExample } from "./join_example.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());

/** An example of so many tokens of prompt and reply. */
function made(
  prompt: number,
  reply: number,
  { maxLength = 99, terminated = true } = {},
): Example {
  const ids = (length: number) => new Int32Array(length).fill(258);
  return joinExample(ids(prompt), ids(reply), { maxLength, terminated });
}

/** Rows `{"question", "answer"}` by their questions, each encoded to what is given for it. */
async function encode(
  rows: Readonly<Record<string, readonly Example[]>>,
  options: Partial<EncodeRowsOptions> = {},
) {
  await using folder = await tempFolder();
  const lines = Object.keys(rows).map((question) => JSON.stringify({ question, answer: "a" }));
  const path = await folder.write("a.jsonl", lines.join("\n"));
  const taken: LocatedExample[] = [];
  const report = await encodeRows(path, {
    ...{ tokenizer, maxLength: 99 },
    encode: (record) => rows[record.kind === "question" ? record.question : ""],
    ...options,
  }, (example) => void taken.push(example));
  for (const { source: { file } } of taken) assert.equal(file, path);
  return { report, taken: taken.map(({ source, inputIds }) => [source.line, inputIds.length]) };
}

const ROWS = {
  whole: [made(3, 2)],
  none: [],
  two: [made(1, 1), made(2, 4, { terminated: false })],
  cut: [made(3, 4, { maxLength: 6 }), made(2, 1)],
  lost: [made(7, 4, { maxLength: 6 })],
};
const STATISTICS = {
  shapes: [{ name: "question and answer", columns: ["question", "answer"], rows: 5 }],
  systems: [{ text: "", rows: 5 }],
  ...{ replies: 5, withoutThinking: 5, terminators: [258] },
};

Deno.test("encodeRows() hands on examples with their rows, and reports what was cut or lost", async () => {
  const report = {
    ...EMPTY_REPORT,
    ...STATISTICS,
    ...{ rows: 5, examples: 5, tokens: 5 + 2 + 6 + 6 + 3, supervisedTokens: 2 + 1 + 4 + 3 + 1 },
    ...{ truncated: [4, 5], unterminated: [3, 4, 5], unlabelled: [5] },
  };
  const taken = [[1, 5], [3, 2], [3, 6], [4, 6], [4, 3]];
  for (const keepUnlabelled of [undefined, false]) {
    assert.deepEqual(await encode(ROWS, { keepUnlabelled }), { report, taken });
  }
  assert.deepEqual(await encode(ROWS, { keepUnlabelled: true }), {
    report: { ...report, examples: 6, tokens: report.tokens + 6 },
    taken: [...taken, [5, 6]],
  });
});

Deno.test("encodeRows() reads as many rows as it is told", async () => {
  for (const [limit, rows, examples] of [[1, 1, 1], [2, 2, 1], [3, 3, 3], [5, 5, 5], [6, 5, 5]]) {
    const { report } = await encode(ROWS, { limit });
    assert.deepEqual([report.rows, report.examples], [rows, examples], `${limit}`);
  }
  for (const limit of [0, 0.5, -1, NaN]) {
    await assert.rejects(encodeRows("f", { tokenizer, maxLength: 9, limit }, () => {}), {
      name: "RangeError",
      message: `Cannot read f: limit is ${limit}, less than 1`,
    });
  }
});

Deno.test("encodeRows() counts rows that it leaves out, or stops at the first", async () => {
  await using folder = await tempFolder();
  const rows = ['{"question":"q","answer":4}', '{"question":"q","answer":"a"}', "{"];
  const path = await folder.write("a.jsonl", rows.join("\n"));
  const read = async (options: Partial<EncodeRowsOptions>) => {
    const encode = () => [made(1, 1)];
    return await encodeRows(path, { tokenizer, maxLength: 9, encode, ...options }, () => {});
  };
  const { rows: count, refusedRows, refused, examples } = await read({ dropRefused: true });
  assert.deepEqual([count, refusedRows, examples], [3, 2, 1]);
  assert.deepEqual(refused[0], { line: 1, reason: "answer: expected a string, got number 4" });
  assert.equal(refused[1].line, 3);
  // Rows that are left out count as read.
  assert.deepEqual((await read({ dropRefused: true, limit: 2 })).rows, 2);
  for (const dropRefused of [undefined, false]) {
    await assert.rejects(read({ dropRefused }), { message: /:1:answer: expected a string/ });
  }
  // What the encoder throws is the row's fault.
  const fails = (cause: unknown) => () => {
    throw cause;
  };
  const odd = await read({ dropRefused: true, encode: fails(new Error("odd")) });
  assert.deepEqual([odd.rows, odd.examples, odd.refused[1]], [3, 0, { line: 2, reason: "odd" }]);
  const good = await folder.write("b.jsonl", rows[1]);
  for (const cause of [new Error("odd"), "odd"]) {
    const options = { tokenizer, maxLength: 9, encode: fails(cause) };
    await assert.rejects(encodeRows(good, options, () => {}), {
      name: "JsonlError",
      message: `${good}:1: odd`,
      cause,
    });
  }
});

Deno.test("encodeRows() leaves out both replies of a pair of which one has no label", async () => {
  await using folder = await tempFolder();
  const row = '{"question":"q","chosen":"a","rejected":"b"}';
  const path = await folder.write("a.jsonl", `${row}\n${row}\n${row}`);
  const pairs = [
    [made(2, 1), made(2, 3)],
    [made(6, 2, { maxLength: 6 }), made(2, 2)],
    [made(1, 2), made(6, 1, { maxLength: 6 })],
  ];
  const read = async (options: Partial<EncodeRowsOptions>) => {
    const taken: number[] = [];
    let pair = 0;
    const { pairs: count, unlabelled, replies } = await encodeRows(path, {
      ...{ tokenizer, maxLength: 6, encode: () => pairs[pair++] },
      ...options,
    }, ({ source }) => void taken.push(source.line));
    return { count, unlabelled, replies, taken };
  };
  const found = { count: 3, unlabelled: [2, 3], replies: 3 };
  assert.deepEqual(await read({}), { ...found, taken: [1, 1] });
  // The chosen reply is counted, whatever is taught of chats.
  assert.deepEqual(await read({ teach: "marked" }), { ...found, taken: [1, 1] });
  assert.deepEqual(await read({ keepUnlabelled: true }), { ...found, taken: [1, 1, 2, 2, 3, 3] });
});

Deno.test("encodeRows() hands its options on to each row", async () => {
  await using folder = await tempFolder();
  const rows = [
    { q: "1", a: "2", hint: "h" },
    { q: "1", a: "2", system: "own", chat_template_kwargs: { enable_thinking: true } },
    { q: "1".repeat(90), a: "2" },
  ];
  const path = await folder.write("a.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
  const texts: string[] = [];
  const report = await encodeRows(path, {
    ...{ tokenizer, maxLength: 90, system: "s", enableThinking: false, truncation: "drop" },
    columns: { question: "q", answer: "a" },
  }, ({ inputIds }) => void texts.push(tokenizer.decode(inputIds)));
  const chat = (system: string, reply: string): string =>
    `<|im_start|>system\n${system}<|im_end|>\n<|im_start|>user\n1<|im_end|>\n<|im_start|>assistant\n${reply}2<|im_end|>`;
  const block = "<think>\n\n</think>\n\n";
  assert.deepEqual(texts, [chat("s", block), chat("own", block)]);
  const { dropped, thinkingOff, withoutThinking, systems, unread, examples } = report;
  assert.deepEqual({ dropped, thinkingOff, withoutThinking, systems, unread, examples }, {
    ...{ dropped: [3], thinkingOff: 2, withoutThinking: 1, examples: 2 },
    systems: [{ text: "s", rows: 2 }, { text: "own", rows: 1 }],
    unread: [{ field: "hint", rows: 1 }],
  });
});

Deno.test("encodeRecord() encodes chats, texts and pairs, and of a pair both or none", () => {
  const options = { tokenizer, maxLength: 60 };
  const texts = (examples: readonly Example[]): string[] =>
    examples.map(({ inputIds, promptLength }) => tokenizer.decode(inputIds.subarray(promptLength)));
  const text = (completion: string) => ({ kind: "text", prompt: "p", completion }) as const;
  const long = "x".repeat(80);
  assert.deepEqual(texts(encodeRecord(text("c"), options)), ["c<|im_end|>"]);
  const drop = { ...options, truncation: "drop" } as const;
  assert.deepEqual(encodeRecord(text(long), drop), []);
  const pair = (chosen: string, rejected: string) =>
    ({ kind: "pair", chosen: text(chosen), rejected: text(rejected) }) as const;
  assert.deepEqual(texts(encodeRecord(pair("c", "r"), drop)), ["c<|im_end|>", "r<|im_end|>"]);
  assert.deepEqual(encodeRecord(pair("c", long), drop), []);
  assert.deepEqual(encodeRecord(pair(long, "r"), drop), []);
  const chat = (content: string) =>
    ({
      kind: "chat",
      messages: [
        { role: "user", content: "u" },
        { role: "assistant", content: "0", learn: true },
        { role: "assistant", content },
      ],
    }) as const;
  const marked = { ...options, maxLength: 200, teach: "marked", enableThinking: false } as const;
  assert.deepEqual(texts(encodeRecord(chat("1"), marked)), ["0<|im_end|>"]);
  // All replies of a pair are taught, whatever is of chats.
  const chats = { kind: "pair", chosen: chat("1"), rejected: chat("2") } as const;
  assert.equal(encodeRecord(chats, marked).length, 4);
  // A row's own wish goes before that of all rows.
  const own = { ...chat("1"), enableThinking: true };
  assert.notDeepEqual(encodeRecord(own, marked), encodeRecord(chat("1"), marked));
});
