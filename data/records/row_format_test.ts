import assert from "node:assert/strict";
import {
  describeFormat,
  nameContradiction,
  readCompression,
  readFileName,
  recognizeFormat,
  ROW_EXTENSIONS,
  unitOf,
} from "./row_format.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const csv = (delimiter: string) => ({ kind: "csv", delimiter }) as const;
const jsonl = { kind: "jsonl" } as const;
const json = { kind: "json" } as const;
const parquet = { kind: "parquet" } as const;

Deno.test("readFileName() reads a name's ending and how it is packed", () => {
  assert.deepEqual(ROW_EXTENSIONS, [
    ...["jsonl", "ndjson", "json", "csv", "tsv", "tab", "parquet", "pq"],
  ]);
  const cases: readonly (readonly [string, string | undefined, string | undefined])[] = [
    ["a.jsonl", "jsonl", undefined],
    ["/b.c/d.e/A.CSV.GZ", "csv", "gzip"],
    ["a.json.gzip", "json", "gzip"],
    ["C:\\b.csv\\a.zst", undefined, "zstd"],
    ["a.b.zst.parquet", "parquet", undefined],
    ["folder.csv/a", undefined, undefined],
    ["gz", undefined, "gzip"],
    ["a.toString", "tostring", undefined],
    ["a.constructor", "constructor", undefined],
    ["", undefined, undefined],
    [".jsonl", "jsonl", undefined],
  ];
  for (const [path, extension, compression] of cases) {
    assert.deepEqual(readFileName(path), { extension, compression }, path);
  }
});

Deno.test("readCompression() knows gzip and zstd by all of their first bytes", () => {
  const cases: readonly (readonly [number[], string | undefined])[] = [
    [[0x1f, 0x8b], "gzip"],
    [[0x1f, 0x8b, 8, 0], "gzip"],
    [[0x28, 0xb5, 0x2f, 0xfd], "zstd"],
    [[0x28, 0xb5, 0x2f, 0xfd, 1], "zstd"],
    ...[
      ...[[], [0x1f], [0x1f, 0x8c], [0x20, 0x8b], [0x28, 0xb5, 0x2f], [0x29, 0xb5, 0x2f, 0xfd]],
      ...[[0x28, 0xb6, 0x2f, 0xfd], [0x28, 0xb5, 0x30, 0xfd], [0x28, 0xb5, 0x2f, 0xfe]],
    ].map((bytes): [number[], undefined] => [bytes, undefined]),
  ];
  for (const [bytes, expected] of cases) {
    assert.equal(readCompression(Uint8Array.from(bytes)), expected, `${bytes}`);
  }
});

Deno.test("recognizeFormat() knows formats by their content, and by the name where it leaves them open", () => {
  const cases: readonly (readonly [string, string, unknown])[] = [
    // The content, the name, the format.
    ["", "a.csv", jsonl],
    [" \n\t\n", "a.csv", jsonl],
    ['{"a":1}\n{"a":2}', "a", jsonl],
    ['\n\r\n  {"a":1}', "a.txt", jsonl],
    ['{"a,b":1}', "a.csv", jsonl],
    ['{ "a,b":1}', "a.tsv", jsonl],
    ["[1]", "a.csv", json],
    ["\ufeff [\n", "a.jsonl", json],
    [" \r [1]", "a", json],
    ["PAR1....", "a.jsonl", parquet],
    ["PAR2,b", "a.jsonl", csv(",")],
    ["a,b\n1,2", "a.jsonl", csv(",")],
    ["a;b;c,d\n1,2", "a", csv(";")],
    ["a\tb", "a", csv("\t")],
    ["a|b", "a", csv("|")],
    ["a,b\r1,2", "a", csv(",")],
    // As often as another: the comma comes first.
    ["a;b,c", "a", csv(",")],
    ["a|b;c\td", "a.csv", csv("\t")],
    [",b", "a", csv(",")],
    ['"a","b c"', "a", csv(",")],
    ['"a,b,c";"d ""e"",f,g"', "a.csv", csv(";")],
    ["Größe,b-c,d.e_1", "a", csv(",")],
    // One column has no delimiter, and is a table by its name alone.
    ["text\nHi", "a.csv", csv(",")],
    ["text\nHi", "a.tsv", csv("\t")],
    ["text\nHi", "a.tab", csv("\t")],
    ["text", "a.csv.gz", csv(",")],
    ["text\nHi", "a.txt", jsonl],
    ["text\nHi", "a", jsonl],
    ["a: b, c", "a", jsonl],
    ["a: b, c", "a.csv", csv(",")],
    ["{b}, c", "a.csv", csv(",")],
    ['{b":1}, c', "a.csv", csv(",")],
  ];
  for (const [content, path, expected] of cases) {
    assert.deepEqual(
      recognizeFormat(utf8(content), { path }),
      expected,
      `${JSON.stringify(content)} in ${path}`,
    );
  }
  const path = "a b.jsonl";
  assert.deepEqual(recognizeFormat(utf8("[1]"), { path, compression: "zstd" }), json);
  assert.throws(() => recognizeFormat(utf8("PAR1"), { path, compression: "zstd" }), {
    message:
      "a b.jsonl: expected text in a zstd file, got Parquet, which is packed by itself; unpack it first",
  });
  // What a command is given the file's path in, where a shell takes it for one.
  const other = "expected JSON Lines, a JSON array, CSV, TSV or Parquet, got";
  const command = "JSON over several lines; write one object a line: jq -c .";
  assert.throws(() => recognizeFormat(utf8("\n{ \n"), { path: "x/a-b_1.json" }), {
    message: `x/a-b_1.json: ${other} ${command} x/a-b_1.json > converted.jsonl`,
  });
  assert.throws(() => recognizeFormat(utf8("{\n"), { path }), {
    message: `${path}: ${other} ${command} FILE > converted.jsonl`,
  });
  assert.throws(() => recognizeFormat(utf8("--- a"), { path: "a.yaml" }), {
    message: `a.yaml: ${other} YAML; convert it to JSON Lines`,
  });
  assert.throws(() => recognizeFormat(utf8("BZh9"), { path: "a" }), {
    message: `a: ${other} a bzip2 file; unpack it first`,
  });
});

Deno.test("formats are named, and counted in lines or rows", () => {
  const cases: readonly (readonly [Parameters<typeof unitOf>[0], string, string])[] = [
    [jsonl, "JSON Lines", "line"],
    [json, "a JSON array", "row"],
    [parquet, "Parquet", "row"],
    [csv(","), "CSV with , between cells", "line"],
    [csv("\t"), "CSV with tabs between cells", "line"],
  ];
  for (const [format, name, unit] of cases) {
    assert.deepEqual([describeFormat(format), unitOf(format)], [name, unit]);
  }
});

Deno.test("nameContradiction() tells what a name does not say", () => {
  const says = ", which its name does not say";
  const cases: readonly (readonly [
    string,
    Parameters<typeof nameContradiction>[1]["format"],
    "gzip" | "zstd" | undefined,
    string | undefined,
  ])[] = [
    ["a.jsonl", jsonl, undefined, undefined],
    ["a.ndjson", jsonl, undefined, undefined],
    ["a.json", jsonl, undefined, undefined],
    ["a.json", json, undefined, undefined],
    ["a.csv", csv(";"), undefined, undefined],
    ["a.tsv", csv("\t"), undefined, undefined],
    ["a.tab", csv(","), undefined, undefined],
    ["a.pq", parquet, undefined, undefined],
    ["a.parquet", parquet, undefined, undefined],
    ["a", csv(","), undefined, undefined],
    ["a.txt", json, undefined, undefined],
    ["a.jsonl.gz", jsonl, "gzip", undefined],
    ["a.zst", jsonl, "zstd", undefined],
    ["a.jsonl", json, undefined, `is a JSON array${says}`],
    ["a.csv", jsonl, undefined, `is JSON Lines${says}`],
    ["a.parquet", csv("\t"), undefined, `is CSV with tabs between cells${says}`],
    ["a.jsonl", jsonl, "gzip", `is packed by gzip${says}`],
    ["a.gz", jsonl, undefined, `is not packed by gzip${says}`],
    ["a.gz", jsonl, "zstd", `is not packed by gzip${says}`],
    ["a.json.zst", parquet, undefined, `is not packed by zstd and is Parquet${says}`],
    ["a.pq", json, "zstd", `is packed by zstd and is a JSON array${says}`],
  ];
  for (const [path, format, compression, expected] of cases) {
    assert.equal(nameContradiction(path, { format, compression }), expected, path);
  }
});
