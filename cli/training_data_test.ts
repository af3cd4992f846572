import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../data/byte_tokenizer.ts";
import { createTokenizer } from "../data/tokenizer.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { readTrainingData } from "./training_data.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());
const row = (answer: string): string => JSON.stringify({ question: "a", answer }) + "\n";

Deno.test("readTrainingData() reads both files and says nothing where nothing is cut", async () => {
  await using folder = await tempFolder();
  const args = {
    trainFile: await folder.write("train.jsonl", row("b") + row("c")),
    validationFile: await folder.write("val.jsonl", row("d")),
    maxLength: 512,
    system: "",
  };
  const { train, validation, report, notes } = await readTrainingData(args, tokenizer);
  assert.deepEqual([train.length, validation.length, report.rows, notes], [2, 1, 2, []]);
  const { train: alone, validation: none } = await readTrainingData(
    { ...args, validationFile: undefined, system: "Be brief." },
    tokenizer,
  );
  assert.deepEqual(none, []);
  assert.match(tokenizer.decode(alone[0].inputIds), /Be brief\./);
});

Deno.test("readTrainingData() notes the rows that are cut, ten at most", async () => {
  await using folder = await tempFolder();
  const trainFile = await folder.write("train.jsonl", row("b") + row("c".repeat(900)).repeat(12));
  const args = { trainFile, maxLength: 128, system: "" };
  const { notes } = await readTrainingData(args, tokenizer);
  assert.deepEqual(notes, [
    `${trainFile}: 12 of 13 rows are cut to --max-length 128 and lose their end: ` +
    "lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more",
  ]);
});

Deno.test("readTrainingData() refuses rows without an answer left, in either file", async () => {
  await using folder = await tempFolder();
  const trainFile = await folder.write("train.jsonl", row("b"));
  const long = JSON.stringify({ question: "a".repeat(300), answer: "b" }) + "\n";
  const validationFile = await folder.write("val.jsonl", row("b") + long);
  const args = { trainFile, validationFile, maxLength: 128, system: "" };
  await assert.rejects(readTrainingData(args, tokenizer), {
    message: `Cannot train on ${validationFile}: line 2 has no answer left within --max-length ` +
      "128; raise it, shorten or remove the rows, or leave them out with --drop-unlabelled",
  });
});
