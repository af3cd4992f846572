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
    model: folder.path,
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
  assert.equal(none.length, 0);
  assert.match(tokenizer.decode(alone.at(0).inputIds), /Be brief\./);
});

Deno.test("readTrainingData() notes the rows that are cut, ten at most", async () => {
  await using folder = await tempFolder();
  const trainFile = await folder.write("train.jsonl", row("b") + row("c".repeat(900)).repeat(12));
  const args = { model: folder.path, trainFile, maxLength: 128, system: "" };
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
  const args = { model: folder.path, trainFile, validationFile, maxLength: 128, system: "" };
  await assert.rejects(readTrainingData(args, tokenizer), {
    message: `Cannot train on ${validationFile}: line 2 has no answer left within --max-length ` +
      "128; raise it, shorten or remove the rows, or leave them out with --drop-unlabelled",
  });
});

Deno.test("readTrainingData() keeps tokens in the output folder, and says the same of them again", async () => {
  await using folder = await tempFolder();
  await folder.write("tokenizer.json", "{}");
  await folder.write("tokenizer_config.json", "{}");
  const long = JSON.stringify({ question: "a".repeat(300), answer: "b" }) + "\n";
  const trainFile = await folder.write("train.jsonl", row("b") + row("c".repeat(900)) + long);
  const validationFile = await folder.write("val.jsonl", row("d"));
  const args = { model: folder.path, trainFile, validationFile, maxLength: 128, system: "" };
  const output = `${folder.path}/output`;
  const names = async (): Promise<string[]> =>
    (await Array.fromAsync(Deno.readDir(`${output}/tokens`), ({ name }) => name)).sort();
  await assert.rejects(readTrainingData(args, tokenizer, { output }), /line 3 has no answer left/);
  assert.equal((await names()).length, 1);

  const dropped = { ...args, dropUnlabelled: true };
  const encode = tokenizer.encode.bind(tokenizer);
  let encoded = 0;
  const counting = {
    ...tokenizer,
    encode: (text: string): Int32Array => {
      encoded++;
      return encode(text);
    },
  };
  using memory = await readTrainingData(dropped, tokenizer);
  using made = await readTrainingData(dropped, counting, { output });
  // Of the training file the refused run has left the tokens.
  assert.equal(encoded, 2);
  using again = await readTrainingData(dropped, counting, { output });
  assert.equal(encoded, 2);
  assert.equal(memory.notes.length, 2);
  for (const data of [made, again]) {
    const { train, validation, report, notes, sha256 } = data;
    assert.deepEqual([report, notes, sha256], [memory.report, memory.notes, memory.sha256]);
    for (const index of [0, 1]) assert.deepEqual(train.at(index), memory.train.at(index));
    assert.deepEqual(validation.at(0), memory.validation.at(0));
  }
  const kept = await names();
  assert.equal(kept.length, 2);
  using _other = await readTrainingData({ ...dropped, maxLength: 127 }, tokenizer, { output });
  assert.equal((await names()).length, 2);
  assert.ok((await names()).every((name) => !kept.includes(name)));
});
