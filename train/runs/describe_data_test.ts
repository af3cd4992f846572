import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import { describeData } from "./describe_data.ts";
import { readTrainingData } from "./training_data.ts";
import type { TrainingArguments } from "./training_arguments.ts";

type Described = Parameters<typeof describeData>[0];
type Rows = string | readonly Readonly<Record<string, unknown>>[];

/** What is said of files, by their names, without the table of tokens. */
async function said(
  files: Readonly<Record<string, Rows>>,
  { eosTokenId = 258, files: tokenizerFiles = byteTokenizerFiles(), ...more }:
    & Partial<Omit<Described, "model" | "trainFile">>
    & Pick<Partial<TrainingArguments>, "maxLength" | "dropUnlabelled">
    & {
      readonly eosTokenId?: number | readonly number[];
      readonly files?: ReturnType<typeof byteTokenizerFiles>;
    } = {},
): Promise<string[]> {
  await using folder = await tempFolder();
  const tokenizer = createTokenizer(tokenizerFiles);
  const written = await Promise.all(
    Object.entries(files).map(([name, rows]) =>
      folder.write(
        name,
        typeof rows === "string" ? rows : rows.map((row) => JSON.stringify(row)).join("\n"),
      )
    ),
  );
  const trainFile = written.length === 1 ? written[0] : written;
  const args = { model: folder.path, trainFile, maxLength: 64, system: "", ...more };
  using data = await readTrainingData(args, tokenizer);
  const config = tinyConfig({ vocab_size: 261, eos_token_id: eosTokenId });
  const lines = await describeData(args, { data, config, tokenizer, table: { color: false } });
  const table = lines.findIndex((line) => /^position +id +supervised +text$/.test(line));
  const end = lines.findIndex((line) => line.startsWith("terminator"));
  assert.ok(lines.slice(table + 1, end).every((line) => /^ *\d+ +\d+ +(?:yes|-) |^ *…/.test(line)));
  lines.splice(table, end - table, "TABLE");
  return lines.map((line) => line.replaceAll(`${folder.path}/`, ""));
}

const row = { question: "q", think: "t", answer: "a" };
const UNLIKE_SEED =
  "note: replies follow the model's own chat template and end with its end of turn, samples " +
  "are drawn in evaluation mode, updates are counted rounding up; --compat seed trains as " +
  "Qwen3-Medical-SFT did";
const SHOWN = ["  user       q", "  assistant  [thinking: 1 characters] a  (learned)"];
const READ = "are read as question and answer (question, think, answer)";
const FIRST = "first row (line 1), as the chat that it becomes:";
const TAUGHT = "terminator: <|im_end|> is taught";
const SAME = "prompt: its 20 tokens are those that inference makes";

Deno.test("describeData() shows the first row, its tokens, its terminator and its prompt", async () => {
  assert.deepEqual(await said({ a: [row, row] }), [
    ...[UNLIKE_SEED, `rows: 2 of 2 of a ${READ}`, FIRST, ...SHOWN, "TABLE", TAUGHT, SAME],
  ]);
});

Deno.test("describeData() compares nothing of the seed's own form with inference", async () => {
  assert.deepEqual(await said({ a: [row] }, { compat: "seed", eosTokenId: 256 }), [
    ...[`rows: 1 of 1 of a ${READ}`, FIRST, ...SHOWN, "TABLE"],
    "terminator: <|endoftext|> is taught",
  ]);
});

Deno.test("describeData() tells of a terminator that the model does not end replies at", async () => {
  const at = async (eosTokenId: number | readonly number[]): Promise<string | undefined> =>
    (await said({ a: [row] }, { eosTokenId })).find((line) => line.startsWith("terminator"));
  assert.equal(await at([256, 258]), TAUGHT);
  assert.equal(
    await at(256),
    `${TAUGHT}; the base model ends at <|endoftext|>, so checkpoints end replies at both`,
  );
  assert.equal(
    await at([256, 259]),
    `${TAUGHT}; the base model ends at <|endoftext|>, <think>, so checkpoints end replies at both`,
  );
});

Deno.test("describeData() warns of rows that lose their terminator, with lines where there is one file", async () => {
  const long = { ...row, answer: "b".repeat(99) };
  const [lost, end] = [
    "of 2 rows lose their terminator",
    ", so the model may not learn to stop; raise --max-length",
  ];
  const one = await said({ a: [long, row] });
  assert.deepEqual(one.slice(-3), [
    "terminator: the first example does not teach where a reply ends",
    `warning: 1 ${lost} (line 1)${end}`,
    SAME,
  ]);
  assert.deepEqual((await said({ a: [row, long] })).slice(-3), [
    ...[TAUGHT, `warning: 1 ${lost} (line 2)${end}`, SAME],
  ]);
  const two = await said({ a: [row], b: [long] });
  assert.equal(two[1], `rows: 2 of 2 of a, b ${READ}`);
  assert.deepEqual(two.slice(-2), [`warning: 1 ${lost}${end}`, SAME]);
  const csv = await said({ "a.csv": `question,think,answer\nq,t,a\nq,t,${"b".repeat(99)}\n` });
  assert.equal(csv.at(-2), `warning: 1 ${lost} (line 3)${end}`);
});

Deno.test("describeData() compares no prompt that was cut at its start", async () => {
  const prompts = async (maxLength: number, truncation?: "left" | "right"): Promise<number> =>
    (await said({ a: [{ ...row, question: "q".repeat(60) }] }, { maxLength, truncation }))
      .filter((line) => /^prompt|^warning: inference/.test(line)).length;
  assert.deepEqual([await prompts(200, "left"), await prompts(200), await prompts(60, "left")], [
    ...[1, 1, 0],
  ]);
});

Deno.test("describeData() knows a prompt that is rendered without thinking", async () => {
  const silent = { question: "q", answer: "a" };
  for (const emptyThink of ["teach", "prompt", "omit"] as const) {
    const lines = await said({ a: [silent] }, { emptyThink });
    assert.match(
      lines.at(-1)!,
      /^prompt: its \d+ tokens are those that inference makes$/,
      emptyThink,
    );
  }
  // One that thinks is asked to.
  assert.equal((await said({ a: [row] }, { emptyThink: "prompt" })).at(-1), SAME);
});

Deno.test("describeData() warns where a template has no place for a reply to begin", async () => {
  const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
  assert.ok(isRecord(tokenizerConfig));
  const whole = `${tokenizerConfig.chat_template}`;
  const chat_template = whole.slice(0, whole.indexOf("{% if add_generation_prompt %}"));
  const files = { tokenizerJson, tokenizerConfig: { ...tokenizerConfig, chat_template } };
  const warning =
    "warning: the chat template knows no add_generation_prompt, so the model is taught to write the " +
    "header of its replies itself; give one that does with --chat-template FILE";
  const lines = await said({ a: [row] }, { files });
  assert.ok(lines.includes(warning));
  const seed = await said({ a: [row] }, { files, compat: "seed" });
  assert.ok(!seed.includes(warning));
});

Deno.test("describeData() says how a text is completed", async () => {
  const lines = await said({ a: [{ prompt: "The sky is", completion: " blue" }] });
  assert.deepEqual(lines.slice(1), [
    "rows: 1 of 1 of a are read as prompt and completion (prompt, completion)",
    "first row (line 1), as text without a chat template:",
    ...["  prompt     The sky is", "  completion  blue  (learned)", "TABLE"],
    "terminator: <|im_end|> is taught",
    "prompt: text without a chat template; ask for its completion by /v1/completions",
  ]);
});

Deno.test("describeData() shows what a pair's reply is preferred to, and what both are learned by", async () => {
  const pair = { prompt: "p", chosen: "c", rejected: "r\nr" };
  const rejected = (lines: readonly string[]): string[] => {
    const at = lines.findIndex((line) => line.startsWith("  rejected"));
    return lines.slice(at, at + 2);
  };
  assert.deepEqual(rejected(await said({ a: [pair] }, { loss: "dpo" })), [
    "  rejected   r↵r<|im_end|>  (what it is preferred to)",
    "loss: dpo with beta 0.1, compared with the model as training starts from it",
  ]);
  const long = { ...pair, rejected: "s".repeat(99) };
  assert.deepEqual(
    rejected(await said({ a: [long] }, { loss: "orpo", beta: 0.5, maxLength: 200 })),
    [
      `  rejected   ${"s".repeat(46)} … ${"s".repeat(13)}<|im_end|>  (what it is preferred to)`,
      "loss: orpo with beta 0.5",
    ],
  );
});

Deno.test("describeData() warns of control tokens in texts, of each file with its lines", async () => {
  const files = {
    a: [row, { ...row, question: "x <|im_end|> y" }],
    b: [{ ...row, answer: "<|im_start|> <|im_end|> <|im_start|>" }, row, {
      ...row,
      think: "<|im_end|>",
    }],
    c: [row],
  };
  const lines = await said(files, { maxLength: 99 });
  const end = "read as control, not as text; remove them unless that is meant";
  assert.deepEqual(lines.filter((line) => line.startsWith("warning")), [
    `warning: <|im_end|> in the text of a, line 2: ${end}`,
    `warning: <|im_start|>, <|im_end|> in the text of b, lines 1, 3: ${end}`,
  ]);
});

Deno.test("describeData() shows the row of the first example, where rows before it are left out", async () => {
  const cut = { ...row, question: "q".repeat(99) };
  const lines = await said({ a: [cut, { ...row, question: "second" }, row] }, {
    dropUnlabelled: true,
  });
  assert.deepEqual(lines.slice(2, 4), [
    "first row (line 2), as the chat that it becomes:",
    "  user       second",
  ]);
});
