/** Several files, folders and patterns of rows; mixes, rows held back, rows that repeat others. */

import assert from "node:assert/strict";
import { dirname } from "node:path";
import { gzipSync } from "node:zlib";
import type { ExampleList } from "../../data/examples/example_list.ts";
import { interleaveRows } from "../../data/examples/interleave_rows.ts";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import { repositoryPath } from "../../tests/support/run_script.ts";
import { type TempFolder, tempFolder } from "../../tests/support/temp_folder.ts";
import { expandRows, type Purpose } from "./row_paths.ts";
import { readTrainingData } from "./training_data.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());
const jsonl = (name: string, count: number): string =>
  Array.from({ length: count }, (_, i) => `{"question":"${name}${i}","answer":"a"}\n`).join("");
const csv = (name: string, count: number): string =>
  `question,answer\n${Array.from({ length: count }, (_, i) => `${name}${i},a\n`).join("")}`;

/** The questions of a list, in order. */
function questions(list: ExampleList): string[] {
  return Array.from({ length: list.length }, (_, i) => {
    const { inputIds, promptLength } = list.at(i);
    return /user\n(.*?)<\|im_end\|>/.exec(tokenizer.decode(inputIds.subarray(0, promptLength)))![1];
  });
}

const names = (name: string, ...rows: number[]): string[] => rows.map((row) => `${name}${row}`);
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const options = (folder: TempFolder) => ({ model: folder.path, maxLength: 256, system: "" });

/** Notes on files and rows, without those on thinking. */
const notesOf = (
  { notes }: { readonly notes: readonly string[] },
  { path }: TempFolder,
): string[] =>
  notes.filter((note) => !note.includes("no thinking")).map((note) =>
    note.replaceAll(`${path}/`, "")
  );

Deno.test("interleaveRows() takes the rows that datasets.interleave_datasets takes", async () => {
  const cases = JSON.parse(
    await Deno.readTextFile(repositoryPath("tests/fixtures/row_mix/mix.json")),
  ) as (Parameters<typeof interleaveRows>[1] & { lengths: number[]; rows: string })[];
  assert.equal(cases.length, 6);
  for (const { lengths, rows, ...how } of cases) {
    const mixed = [...interleaveRows(lengths, how)].map(({ source, row }) => `${source}:${row}`);
    assert.equal(mixed.join(" "), rows);
  }
  assert.throws(() => [...interleaveRows([2, 0], { probabilities: [0.5, 0.5] })], {
    message:
      "Cannot mix 2 sources of 2, 0 rows by 0.5, 0.5: give one share above 0 for each source with " +
      "rows, which add up to 1",
  });
});

Deno.test("readTrainingData() joins files of all formats, with the places of their rows", async () => {
  await using folder = await tempFolder();
  const trainFile = [
    await folder.write("a.jsonl.gz", gzipSync(jsonl("a", 2))),
    await folder.write("b.csv", csv("b", 2)),
    await folder.write("c.json", '[{"question":"c0","answer":"a"}]'),
  ];
  const validationFile = [
    await folder.write("v.tsv", csv("v", 1).replace(",", "\t").replace(",", "\t")),
    trainFile[2],
  ];
  using data = await readTrainingData({ ...options(folder), trainFile, validationFile }, tokenizer);
  assert.deepEqual(questions(data.train), [...names("a", 0, 1), ...names("b", 0, 1), "c0"]);
  assert.deepEqual(questions(data.validation), ["v0", "c0"]);
  assert.deepEqual(range(5).map((i) => data.train.at(i).source), [
    { file: trainFile[0], line: 1 },
    { file: trainFile[0], line: 2 },
    { file: trainFile[1], line: 2 },
    { file: trainFile[1], line: 3 },
    { file: trainFile[2], line: 1, unit: "row" },
  ]);
  assert.equal(data.report.rows, 5);
  assert.deepEqual(notesOf(data, folder), [
    "b.csv: read as CSV with , between cells; every cell is text, an empty one is null",
    "v.tsv: read as CSV with tabs between cells; every cell is text, an empty one is null",
    "1 row to train on is among the validation rows too, or nearly so; --dedup leaves such rows out: c.json, row 1 " +
    "(as row 1)",
  ]);
});

Deno.test("readTrainingData() mixes by shares, the same again, and changes its hash with the mix", async () => {
  await using folder = await tempFolder();
  const trainFile = [
    await folder.write("a.jsonl", jsonl("a", 5)),
    await folder.write("b.csv", csv("b", 3)),
  ];
  const output = `${folder.path}/output`;
  const read = async (more: object) => {
    using data = await readTrainingData({ ...options(folder), trainFile, ...more }, tokenizer, {
      output,
    });
    return { rows: questions(data.train), sha256: data.sha256, notes: data.notes };
  };
  await folder.write("tokenizer.json", "{}");
  await folder.write("tokenizer_config.json", "{}");
  const mixed = await read({ mix: [0.7, 0.3] });
  assert.deepEqual(mixed.rows, ["b0", "a0", "b1", "a1", "a2", "b2"]);
  assert.equal(
    mixed.notes.at(-1),
    `an epoch has 6 rows: 3 of ${trainFile[0]} (which has 5), 3 of ${trainFile[1]} (which has 3)`,
  );
  assert.deepEqual(await read({ mix: [0.7, 0.3] }), mixed);
  const others = [
    await read({ mix: [0.7, 0.3], mixSeed: 7 }),
    await read({ mix: [0.7, 0.3], mixStrategy: "all_exhausted" }),
    await read({}),
  ];
  assert.equal(new Set([mixed, ...others].map(({ sha256 }) => sha256)).size, 4);
  assert.deepEqual(
    new Set(others[1].rows),
    new Set([...names("a", ...range(5)), ...names("b", 0, 1, 2)]),
  );
  await assert.rejects(read({ mix: [1] }), {
    message: "Cannot mix 2 names of --train-file by 1 shares: give one for each",
  });
  // Each file's tokens are kept apart, so that the mixes share them.
  const kept = await Array.fromAsync(Deno.readDir(`${output}/tokens`));
  assert.equal(kept.length, 2);
});

Deno.test("readTrainingData() holds back a percentage of the rows, drawn by the seed, whole rows", async () => {
  await using folder = await tempFolder();
  const chat = (i: number): string =>
    JSON.stringify({
      messages: [
        { role: "user", content: `a${i}` },
        { role: "assistant", content: "b" },
        { role: "user", content: "c" },
        { role: "assistant", content: "d" },
      ],
    });
  const trainFile = await folder.write("a.jsonl", range(20).map(chat).join("\n"));
  const args = { ...options(folder), trainFile, validationSplitPercentage: 25 };
  const lines = (list: ExampleList): number[] =>
    range(list.length).map((i) => list.at(i).source!.line);
  using data = await readTrainingData(args, tokenizer);
  assert.deepEqual([data.train.length, data.validation.length], [30, 10]);
  assert.deepEqual(
    new Set([...lines(data.train), ...lines(data.validation)]),
    new Set(range(20).map((i) => i + 1)),
  );
  assert.ok(!lines(data.validation).some((line) => lines(data.train).includes(line)));
  assert.deepEqual(lines(data.train), lines(data.train).toSorted((a, b) => a - b));
  using other = await readTrainingData({ ...args, seed: 7 }, tokenizer);
  assert.notDeepEqual(lines(other.validation), lines(data.validation));
  assert.ok(
    data.notes.includes(
      `${trainFile}: 5 of 20 rows are held back (--validation-split-percentage 25)`,
    ),
  );
});

Deno.test("readTrainingData() reads at most --max-rows of each source, over its files", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/one`);
  await folder.write("one/a.jsonl", jsonl("a", 3));
  await folder.write("one/b.jsonl", jsonl("b", 3));
  const trainFile = [`${folder.path}/one`, await folder.write("c.csv", csv("c", 9))];
  using data = await readTrainingData({ ...options(folder), trainFile, maxRows: 4 }, tokenizer);
  assert.deepEqual(questions(data.train), [
    ...names("a", 0, 1, 2),
    "b0",
    ...names("c", 0, 1, 2, 3),
  ]);
});

Deno.test("readTrainingData() leaves out rows that repeat others where --dedup asks for it", async () => {
  await using folder = await tempFolder();
  const long =
    "Take two of these in the morning, with water, and come back when the pain has gone. ".repeat(
      3,
    );
  const row = (question: string, answer: string): string =>
    `${JSON.stringify({ question, answer })}\n`;
  const trainFile = await folder.write(
    "a.jsonl",
    row("q0", "a") + row("q1", long) + row("q0", "a") + row("q1", long.replace("two", "three")) +
      row("v", "a"),
  );
  const validationFile = await folder.write("v.jsonl", row("v", "a"));
  const args = { ...options(folder), maxLength: 1024, trainFile, validationFile };
  using told = await readTrainingData(args, tokenizer);
  assert.equal(told.train.length, 5);
  using dropped = await readTrainingData({ ...args, dedup: true }, tokenizer);
  assert.deepEqual(questions(dropped.train), ["q0", "q1"]);
  assert.notEqual(told.sha256, dropped.sha256);
  assert.deepEqual(notesOf(dropped, folder), [
    "1 row to train on is among the validation rows too, or nearly so, and is left out (--dedup): a.jsonl, line 5 " +
    "(as v.jsonl, line 1)",
    "1 row to train on repeats an earlier one, and is left out (--dedup): a.jsonl, line 3 (as line 1)",
    "1 row to train on is nearly the same as an earlier one, and is left out (--dedup): a.jsonl, line 4 (as line 2)",
  ]);
});

Deno.test("expandRows() finds files of folders and patterns, in order, inside of them", async () => {
  await using folder = await tempFolder();
  await using other = await tempFolder();
  const files = [
    "plain/b.jsonl",
    "plain/a.csv",
    "plain/.hidden.jsonl",
    "splits/train.jsonl",
    "splits/test.jsonl",
    "shards/data/train-00000-of-00002.parquet",
    "shards/data/train-00001-of-00002.parquet",
    "shards/README.md",
    "held/dev.jsonl",
    "held/test.jsonl",
    "empty/notes.md",
    "linked/a.jsonl",
  ];
  for (const file of files) {
    await Deno.mkdir(dirname(`${folder.path}/${file}`), { recursive: true });
    await folder.write(file, "{}");
  }
  const expand = async (path: string, purpose?: Purpose): Promise<string[]> => {
    const [{ files }] = await expandRows(`${folder.path}/${path}`, purpose);
    return files.map((file) => file.slice(folder.path.length + 1));
  };
  assert.deepEqual(await expand("splits"), ["splits/train.jsonl"]);
  assert.deepEqual(await expand("shards"), files.slice(5, 7));
  assert.deepEqual(await expand("held", "validation"), ["held/dev.jsonl"]);
  assert.deepEqual(await expand("plain", "validation"), ["plain/b.jsonl"]);
  await assert.rejects(
    expand("splits", "validation"),
    /splits train, test apart, and none is validation; name files of it$/,
  );
  assert.deepEqual(await expand("plain/*"), ["plain/a.csv", "plain/b.jsonl"]);
  assert.deepEqual(await expand("*/t[er]*.jsonl"), [
    "held/test.jsonl",
    "splits/test.jsonl",
    "splits/train.jsonl",
  ]);
  assert.deepEqual(await expand("**/*0-of*"), [files[5]]);
  assert.deepEqual(await expand("none.jsonl"), ["none.jsonl"]);
  const refused: readonly (readonly [string, string])[] = [
    [
      "none/*.jsonl",
      "Cannot find ~/none/*.jsonl: no file matches it; give a pattern of files, or a file's path",
    ],
    [
      "held",
      "Cannot read ~/held: its names tell the splits validation, test apart, and none is train; name files of it",
    ],
    [
      "empty",
      "Cannot read ~/empty: it has no files of rows (JSON Lines, JSON, CSV, TSV, Parquet); name files of it",
    ],
    [
      "linked",
      "Cannot read ~/linked/b.jsonl: it is a link to a file outside of its folder; copy the file, or remove it",
    ],
  ];
  await Deno.symlink(await other.write("b.jsonl", "{}"), `${folder.path}/linked/b.jsonl`);
  for (const [path, message] of refused) {
    await assert.rejects(expand(path), (error: Error) => {
      assert.equal(error.message.replaceAll(folder.path, "~"), message);
      return true;
    });
  }
});
