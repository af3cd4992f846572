import assert from "node:assert/strict";
import { readDatasetRows } from "../../data/records/dataset_rows.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { describeAlike, describeDropped, findRepeats, type RowRepeat } from "./row_repeats.ts";

const LONG = Array.from({ length: 60 }, (_, i) => `word${i}`).join(" ");
const TEXTS = ["a", "b", "A", LONG, `${LONG} more`, "b"];

Deno.test("findRepeats() names rows that repeat earlier ones, and describeDropped() where they stand", async () => {
  await using folder = await tempFolder();
  const file = await folder.write(
    "a.jsonl",
    TEXTS.map((text) => JSON.stringify({ text })).join("\n"),
  );
  const rows = await readDatasetRows([file]);
  const repeats = findRepeats(rows, new AbortController().signal);
  assert.deepEqual(repeats, [
    { index: 2, of: 0, exact: true },
    { index: 4, of: 3, exact: false },
    { index: 5, of: 1, exact: true },
  ]);
  const at = (line: number): string => `${file}, line ${line}`;
  assert.deepEqual(describeDropped(rows, repeats), [
    "2 rows are the same as an earlier one: left out",
    `  ${at(3)} as ${at(1)}`,
    `  ${at(6)} as ${at(2)}`,
    "1 row is nearly the same as an earlier one: left out",
    `  ${at(5)} as ${at(4)}`,
  ]);
  assert.deepEqual(describeDropped(rows, []), []);
  const reason = new Error("stop");
  assert.throws(() => findRepeats(rows, AbortSignal.abort(reason)), reason);
});

Deno.test("describeAlike() tells of rows that are nearly the same, and of those in both parts", async () => {
  await using folder = await tempFolder();
  const file = await folder.write(
    "a.jsonl",
    TEXTS.map((text) => JSON.stringify({ text })).join("\n"),
  );
  const rows = await readDatasetRows([file]);
  const near = (index: number, of: number): RowRepeat => ({ index, of, exact: false });
  const at = (line: number): string => `${file}, line ${line}`;
  const repeats = [near(1, 0), near(2, 0), near(3, 0), near(5, 4), {
    index: 4,
    of: 0,
    exact: true,
  }];
  // Of these, row 1 and what it repeats stand in one part.
  assert.deepEqual(describeAlike(rows, repeats, new Set([0, 1, 4])), [
    "4 rows are nearly the same as an earlier one; --dedup leaves such rows out",
    `  ${at(2)} as ${at(1)}`,
    `  ${at(3)} as ${at(1)}`,
    `  ${at(4)} as ${at(1)}`,
    "  and 1 more",
    "3 rows are nearly the same as one in the other part; --dedup leaves such rows out",
    `  ${at(3)} as ${at(1)}`,
    `  ${at(4)} as ${at(1)}`,
    `  ${at(6)} as ${at(5)}`,
  ]);
  assert.deepEqual(describeAlike(rows, [near(1, 0)], new Set()), [
    "1 row is nearly the same as an earlier one; --dedup leaves such rows out",
    `  ${at(2)} as ${at(1)}`,
  ]);
});
