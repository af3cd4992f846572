import assert from "node:assert/strict";
import { formatListing } from "./dataset_table.ts";

Deno.test("formatListing() lists splits with files, rows and sizes, and the columns of each subset", () => {
  const columns = Array.from({ length: 41 }, (_, i) => `c${i}`);
  const sizes = new Map([["a.jsonl", 2048], ["b-1.parquet", 1000], ["b-2.parquet", 23]]);
  const train = { name: "train", files: ["a.jsonl"], rows: 1234 };
  const test = { name: "test", files: ["b-1.parquet", "b-2.parquet", "gone"], rows: undefined };
  const subsets = [
    { name: "main", isDefault: true, splits: [train, test], columns: ["question", "answer"] },
    { name: "more", isDefault: false, splits: [train], columns: columns.slice(0, 40) },
    { name: "most", isDefault: false, splits: [], columns },
    { name: "none", isDefault: false, splits: [], columns: [] },
  ];
  assert.deepEqual(formatListing({ subsets, sizes }), [
    "subset          split  files                  rows      size",
    "main (default)  train  a.jsonl               1,234  2.00 KiB",
    "main (default)  test   b-1.parquet … (3)  not told    1023 B",
    "more            train  a.jsonl               1,234  2.00 KiB",
    "",
    "columns of main: question, answer",
    `columns of more: ${columns.slice(0, 40).join(", ")}`,
    `columns of most: ${columns.slice(0, 40).join(", ")} and 1 more`,
    "columns of none: not told by the card",
  ]);
  // Of the only one it goes without saying.
  assert.equal(
    formatListing({ subsets: subsets.slice(0, 1), sizes })[1].slice(0, 13),
    "main    train",
  );
});
