import assert from "node:assert/strict";
import type { ExampleList } from "../../data/examples/example_list.ts";
import { stubExample } from "../../tests/support/trainer_stub.ts";
import { type TempFolder, tempFolder } from "../../tests/support/temp_folder.ts";
import { firstRows, type FirstRowsOptions } from "./first_rows.ts";

/** A file of rows, each by its question; an undefined one is no row. */
function write(
  folder: TempFolder,
  name: string,
  questions: readonly (string | undefined)[],
): Promise<string> {
  const lines = questions.map((question) =>
    question === undefined ? "{}" : JSON.stringify({ question, answer: "a" })
  );
  return folder.write(name, lines.join("\n"));
}

/** Examples of lines of files, in order. */
function listOf(places: readonly (readonly [file: string, line: number])[]): ExampleList {
  return {
    ...{ length: places.length, lengths: new Int32Array(places.length) },
    supervised: new Int32Array(places.length),
    at: (index) => ({
      ...stubExample(1),
      source: { file: places[index][0], line: places[index][1] },
    }),
  };
}

/** Questions with their lines. */
async function asked(
  list: ExampleList,
  count: number,
  options: Partial<FirstRowsOptions> = {},
): Promise<string[]> {
  const rows = await firstRows(list, count, { takes: () => true, ...options });
  return rows.map(({ record, where }) =>
    `${where.line} ${record.kind === "question" ? record.question : record.kind}`
  );
}

Deno.test("firstRows() reads the rows of the first examples again, each once", async () => {
  await using folder = await tempFolder();
  const [a, b] = [
    await write(folder, "a", ["a1", "a2", "a3", "a4"]),
    await write(folder, "b", ["b1", "b2"]),
  ];
  const list = listOf([[a, 2], [a, 2], [a, 4], [b, 1], [b, 2]]);
  assert.deepEqual(await asked(list, 1), ["2 a2"]);
  assert.deepEqual(await asked(list, 2), ["2 a2", "4 a4"]);
  assert.deepEqual(await asked(list, 3), ["2 a2", "4 a4", "1 b1"]);
  assert.deepEqual(await asked(list, 9), ["2 a2", "4 a4", "1 b1", "2 b2"]);
  assert.deepEqual(await asked(listOf([]), 3), []);
  assert.deepEqual(await asked(list, 0), []);
});

Deno.test("firstRows() looks at four rows for each that is asked, and takes those that can be", async () => {
  await using folder = await tempFolder();
  const file = await write(folder, "a", Array.from({ length: 9 }, (_, i) => `a${i + 1}`));
  const list = listOf(Array.from({ length: 9 }, (_, i) => [file, i + 1] as const));
  const from = (first: number): Pick<FirstRowsOptions, "takes"> => ({
    takes: (record) => record.kind === "question" && Number(record.question.slice(1)) >= first,
  });
  assert.deepEqual(await asked(list, 1, from(4)), ["4 a4"]);
  assert.deepEqual(await asked(list, 1, from(5)), []);
  assert.deepEqual(await asked(list, 2, from(7)), ["7 a7", "8 a8"]);
  assert.deepEqual(await asked(list, 2, from(8)), ["8 a8"]);
});

Deno.test("firstRows() reads rows by the columns that are named, and passes over those that are refused", async () => {
  await using folder = await tempFolder();
  const rows = [{ ask: "one", answer: "a" }, { ask: "two", answer: "b" }];
  const named = await folder.write("named", rows.map((row) => JSON.stringify(row)).join("\n"));
  const columns = { question: "ask" };
  assert.deepEqual(await asked(listOf([[named, 2]]), 1, { columns }), ["2 two"]);
  const broken = await write(folder, "broken", ["a1", undefined, "a3"]);
  await Deno.writeTextFile(broken, '\n{"question"', { append: true });
  // A line that is not asked is not parsed as a record, but must be JSON where it comes before.
  assert.deepEqual(await asked(listOf([[broken, 1], [broken, 3]]), 2), ["1 a1", "3 a3"]);
  const list = listOf([[broken, 2], [broken, 3]]);
  await assert.rejects(asked(list, 2), /broken:2/);
  assert.deepEqual(await asked(list, 2, { dropRefused: true }), ["3 a3"]);
  // Once all are found, nothing more is read.
  assert.deepEqual(await asked(listOf([[broken, 3]]), 2), ["3 a3"]);
});
