import assert from "node:assert/strict";
import { type TempFolder, tempFolder } from "../../tests/support/temp_folder.ts";
import { findDuplicates, type ReadFile } from "./find_duplicates.ts";

const LONG = "Take two of these in the morning, with water, and come back when the pain has gone. "
  .repeat(3);

/** Writes rows, each by its answer; an undefined one is no row. */
async function write(
  folder: TempFolder,
  name: string,
  answers: readonly (string | undefined)[],
): Promise<ReadFile> {
  const lines = answers.map((answer) => answer === undefined ? "{" : JSON.stringify({ answer }));
  const file = await folder.write(name, lines.join("\n"));
  return { file, rows: answers.length };
}

/** What is found, with file names alone. */
async function find(
  folder: TempFolder,
  train: readonly ReadFile[],
  { validation = [], drop = false }: {
    readonly validation?: readonly ReadFile[];
    readonly drop?: boolean;
  } = {},
): Promise<{ repeated: string[]; notes: string[] }> {
  const { repeated, notes } = await findDuplicates({ train, validation }, { drop });
  const short = (text: string): string => text.replaceAll(`${folder.path}/`, "");
  return { repeated: [...repeated].map(short), notes: notes.map(short) };
}

Deno.test("findDuplicates() finds nothing among rows that differ", async () => {
  await using folder = await tempFolder();
  const train = [await write(folder, "t", ["a", "b"]), await write(folder, "u", ["c"])];
  // What the validation rows repeat among themselves is not told.
  const validation = [await write(folder, "v", ["x", "x"]), await write(folder, "w", ["x"])];
  assert.deepEqual(await find(folder, train, { validation }), { repeated: [], notes: [] });
});

Deno.test("findDuplicates() tells rows that repeat others, nearly or to the letter, from those of the validation", async () => {
  await using folder = await tempFolder();
  const train = [
    await write(folder, "t", ["a", LONG, "v", undefined, "a", LONG.replace("two", "three")]),
    await write(folder, "u", ["w", "a", "b", "b"]),
  ];
  const validation = [await write(folder, "x", ["n", "v"]), await write(folder, "y", ["w"])];
  assert.deepEqual(await find(folder, train, { validation }), {
    repeated: ["3:t", "5:t", "6:t", "1:u", "2:u", "4:u"],
    notes: [
      "2 rows to train on are among the validation rows too, or nearly so; --dedup leaves such rows out: " +
      "t, line 3 (as x, line 2); u, line 1 (as y, line 1)",
      "3 rows to train on repeat earlier ones; --dedup leaves such rows out: " +
      "t, line 5 (as line 1); u, line 2 (as t, line 1); u, line 4 (as line 3)",
      "1 row to train on is nearly the same as an earlier one; --dedup leaves such rows out: " +
      "t, line 6 (as line 2)",
    ],
  });
});

Deno.test("findDuplicates() names three rows of each kind, and counts the others", async () => {
  await using folder = await tempFolder();
  const other = (words: string): string => LONG.replace("two", words);
  const train = [
    await write(folder, "t", [
      ...["v", "v", "v", "v", "a", "a", "a", "a", "a", "a"],
      ...[LONG, other("three"), other("four")],
    ]),
  ];
  const validation = [await write(folder, "x", ["v"])];
  const { notes } = await find(folder, train, { validation, drop: true });
  assert.deepEqual(notes, [
    "4 rows to train on are among the validation rows too, or nearly so, and are left out (--dedup): " +
    "t, line 1 (as x, line 1); t, line 2 (as x, line 1); t, line 3 (as x, line 1) and 1 more",
    "5 rows to train on repeat earlier ones, and are left out (--dedup): " +
    "t, line 6 (as line 5); t, line 7 (as line 5); t, line 8 (as line 5) and 2 more",
    "2 rows to train on are nearly the same as earlier ones, and are left out (--dedup): " +
    "t, line 12 (as line 11); t, line 13 (as line 11)",
  ]);
  const three = await find(folder, [await write(folder, "u", ["a", "a", "a", "a"])], {
    drop: true,
  });
  assert.deepEqual(three.notes, [
    "3 rows to train on repeat earlier ones, and are left out (--dedup): " +
    "u, line 2 (as line 1); u, line 3 (as line 1); u, line 4 (as line 1)",
  ]);
  const one = await find(folder, [await write(folder, "u", ["a", "a"])]);
  assert.deepEqual(one.notes, [
    "1 row to train on repeats an earlier one; --dedup leaves such rows out: u, line 2 (as line 1)",
  ]);
});

Deno.test("findDuplicates() looks at no more rows of a file than are used, and stops where asked", async () => {
  await using folder = await tempFolder();
  const { file } = await write(folder, "t", ["a", "a", "a"]);
  const of = async (rows: number): Promise<string[]> =>
    (await find(folder, [{ file, rows }])).repeated;
  assert.deepEqual([await of(1), await of(2), await of(3)], [[], ["2:t"], ["2:t", "3:t"]]);
  const { file: other } = await write(folder, "u", ["b", "b", "b"]);
  const both = await find(folder, [{ file, rows: 2 }, { file: other, rows: 2 }]);
  assert.deepEqual(both.repeated, ["2:t", "2:u"]);
  const signal = AbortSignal.abort(new Error("enough"));
  const stopped = findDuplicates({ train: [{ file, rows: 3 }], validation: [] }, {
    drop: false,
    signal,
  });
  await assert.rejects(stopped, { message: "enough" });
});
