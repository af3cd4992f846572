import assert from "node:assert/strict";
import { readDatasetRows } from "./dataset_rows.ts";
import { binaryKind, textKind } from "./file_kind.ts";
import { readRows } from "./read_rows.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const row = '{"question":"Hi","answer":"Hello."}';

const tar = new Uint8Array(512);
tar.set(utf8("ustar"), 257);

/** A file, and what its error says that it is. */
const files: [string, Uint8Array | string, RegExp][] = [
  ["rows.7z", Uint8Array.of(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c), /got a 7z file/],
  ["rows.pkl", Uint8Array.of(0x80, 3, 0x5d, 0x71), /got a Python pickle/],
  ["rows.pickle", Uint8Array.of(0x80, 5, 0x95, 0), /got a Python pickle/],
  ["rows.parquet", utf8("PARE....PARE"), /got an encrypted Parquet file; write it again/],
  ["rows.arrow", utf8("ARROW1\0\0"), /got an Arrow file/],
  ["rows.xlsx", utf8("PK\x03\x04\x14"), /got a zip file, or a workbook/],
  ["rows.tar", tar, /got a tar file/],
  ["rows.db", utf8("SQLite format 3\0"), /got an SQLite database/],
  ["pointer", "version https://git-lfs.github.com/spec/v1\n", /got a Git LFS pointer/],
  ["object.json", '{\n  "question": "Hi"\n}\n', /got JSON over several lines/],
  ["page.html", "<!DOCTYPE html>\n<html>", /got an HTML or XML page, not data/],
];

for (const [name, content, message] of files) {
  Deno.test(`a file ${name} is refused by what it is`, async () => {
    await using folder = await tempFolder();
    const path = await folder.write(name, content);
    await assert.rejects(Array.fromAsync(readRows(path, (value) => value)), (error: Error) => {
      assert.match(error.message, message);
      const expected = `${path}: expected JSON Lines, a JSON array, CSV, TSV or Parquet, got `;
      assert.ok(error.message.startsWith(expected), error.message);
      assert.ok(!error.message.includes("FILE"), "the command names the file");
      return true;
    });
    await assert.rejects(readDatasetRows([path]), { message });
  });
}

Deno.test("binaryKind() knows formats by all of their first bytes", () => {
  const pandas = (reader: string) =>
    `convert it: python -c "import pandas as pd; pd.${reader}('FILE').to_json('converted.jsonl', ` +
    `orient='records', lines=True, force_ascii=False)"`;
  const unpack = "unpack it first";
  const kinds: readonly (readonly [readonly (string | number)[], string])[] = [
    [["PARE"], "an encrypted Parquet file; write it again without encryption"],
    [["ARROW1"], `an Arrow file; ${pandas("read_feather")}`],
    [["BZh"], `a bzip2 file; ${unpack}`],
    [[0xfd, "7zXZ"], `an xz file; ${unpack}`],
    [["PK", 3, 4], `a zip file, or a workbook (xlsx); ${unpack}, or save it as JSON Lines`],
    [["7z", 0xbc, 0xaf], `a 7z file; ${unpack}`],
    [[...Array<number>(257).fill(0), "ustar"], `a tar file; ${unpack}`],
    [["SQLite format 3"], "an SQLite database; export its table as JSON Lines"],
    [["%PDF-"], "a PDF; write its questions and answers as JSON Lines"],
    [[0x93, "NUMPY"], "a NumPy file; write its rows as JSON Lines"],
    [["Obj", 1], "an Avro file; convert it to JSON Lines"],
    [["ORC"], `an ORC file; ${pandas("read_orc")}`],
    ...[2, 3, 4, 5].map((protocol) =>
      [[0x80, protocol], "a Python pickle; write its rows as JSON Lines"] as const
    ),
    [["version https://git-lfs"], "a Git LFS pointer, not the file; fetch it: git lfs pull"],
  ];
  for (const [parts, kind] of kinds) {
    const bytes = parts.flatMap((part) => typeof part === "number" ? [part] : [...utf8(part)]);
    assert.equal(binaryKind(Uint8Array.of(...bytes, 0x20)), kind);
    assert.equal(binaryKind(Uint8Array.from(bytes)), kind);
    assert.equal(binaryKind(Uint8Array.from(bytes.slice(0, -1))), undefined, kind);
    for (let at = bytes.findIndex((byte) => byte !== 0); at < bytes.length; at++) {
      const other = binaryKind(Uint8Array.from(bytes.with(at, bytes[at] ^ 0x40)));
      assert.equal(other, undefined, `${kind} ${at}`);
    }
  }
  for (const protocol of [1, 6]) assert.equal(binaryKind(Uint8Array.of(0x80, protocol)), undefined);
  assert.equal(binaryKind(new Uint8Array(0)), undefined);
});

Deno.test("textKind() knows formats of text by their first line", () => {
  const page = "an HTML or XML page, not data; download the file itself";
  const kinds: readonly (readonly [string, string | undefined])[] = [
    [
      " {\r",
      "JSON over several lines; write one object a line: jq -c . FILE > converted.jsonl",
    ],
    ["--- a", "YAML; convert it to JSON Lines"],
    ["<!doctype html>", page],
    [" <HTML lang=en>", page],
    ["<?xml version", page],
    ...["", "{}", "{ a", "-- a", "a ---", "<p>", "x<html>"].map((text) =>
      [text, undefined] as const
    ),
  ];
  for (const [text, kind] of kinds) assert.equal(textKind(text), kind, text);
});

/** A file of rows with a slip in the second, and what its error says. */
const slips: [string, string, RegExp][] = [
  [
    "NaN",
    `${row}\n{"question":"Hi","think":NaN}`,
    /:2: .* character 26 after .*: got "NaN}"; JSON has no such number: write null/,
  ],
  [
    "a byte order mark inside",
    `\ufeff${row}\n\ufeff${row}`,
    /:2: .*a byte order mark, as joined files have: remove it/,
  ],
  [
    "lines that end with \\r",
    `${row}\r${row}\r${row}\r`,
    /lines that end with \\r alone; save the file with \\n/,
  ],
  [
    "a comma too many",
    `${row}\n{"question":"Hi","answer":"Hello.",}`,
    /:2: .*remove the comma before it/,
  ],
  ["a Python dict", `${row}\n{'question': 'Hi'}`, /:2: .*write rows with json.dumps/],
  ["a Python None", `${row}\n{"question": None}`, /:2: .*write rows with json.dumps/],
  [
    "a row over two lines",
    `${row}\n{"question":"Hi",\n"answer":"Hello."}`,
    /:2: .*goes on in the next line/,
  ],
];

for (const [name, content, message] of slips) {
  Deno.test(`${name} in a file of rows is named`, async () => {
    await using folder = await tempFolder();
    const path = await folder.write("rows.jsonl", content);
    await assert.rejects(Array.fromAsync(readRows(path, (value) => value)), { message });
  });
}
