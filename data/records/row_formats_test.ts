import assert from "node:assert/strict";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { formatPythonJson } from "../../internal/json/python_json.ts";
import { repositoryPath } from "../../tests/support/run_script.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { readDatasetRows } from "./dataset_rows.ts";
import { readRows } from "./read_rows.ts";
import { describeRowFile } from "./row_file.ts";

const FIXTURES = repositoryPath("tests/fixtures/row_files");
const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const row = '{"question":"Hi","answer":"Hello."}';
const parquet = await Deno.readFile(`${FIXTURES}/snappy.parquet`);

/** Rows with their places, as plain JSON. */
async function read(path: string): Promise<unknown[]> {
  const rows = await Array.fromAsync(
    readRows(path, (value, { line, unit = "line" }) => [`${unit} ${line}`, value]),
  );
  return JSON.parse(
    JSON.stringify(rows, (_, value) => typeof value === "bigint" ? `${value}` : value),
  );
}

/** A file's name and content, its rows by their places, and what is noted of it. */
const GOOD: readonly {
  readonly name: string;
  readonly content: string | Uint8Array;
  readonly rows: readonly (readonly [string, unknown])[];
  readonly note?: string;
}[] = [
  {
    name: "array.json",
    content: ` \n[{"a":"]}\\"["},\n{"a":[{"b":[]}]} ,{"a":"患"}\n]\n`,
    rows: [["row 1", { a: ']}"[' }], ["row 2", { a: [{ b: [] }] }], ["row 3", { a: "患" }]],
  },
  { name: "mark.json", content: '\ufeff[{"a":1}]', rows: [["row 1", { a: 1 }]] },
  {
    name: "array.jsonl",
    content: '[{"a":1}]',
    rows: [["row 1", { a: 1 }]],
    note: "read as a JSON array; it is a JSON array, which its name does not say",
  },
  {
    name: "lines.json",
    content: '{"a":1}\n{"a":2}\n',
    rows: [["line 1", { a: 1 }], ["line 2", { a: 2 }]],
  },
  {
    name: "table.csv",
    content: 'a,b\r\n1,"x, ""y""\r\nz"\r\n\r\n,NaN\r\n"",true',
    rows: [
      ["line 2", { a: "1", b: 'x, "y"\r\nz' }],
      ["line 5", { a: null, b: "NaN" }],
      ["line 6", { a: null, b: "true" }],
    ],
    note: "read as CSV with , between cells; every cell is text, an empty one is null",
  },
  {
    name: "table.tsv",
    content: "问题\t答案\n咳嗽, 怎么办\t多喝水\n",
    rows: [["line 2", { "问题": "咳嗽, 怎么办", "答案": "多喝水" }]],
    note: "read as CSV with tabs between cells; every cell is text, an empty one is null",
  },
  {
    name: "table.txt",
    content: "\ufeffa;b\n1;2,5\n",
    rows: [["line 2", { a: "1", b: "2,5" }]],
    note: "read as CSV with ; between cells; every cell is text, an empty one is null",
  },
  {
    name: "pandas.csv",
    content: ',"a: b"\n0,x\n',
    rows: [["line 2", { "Unnamed: 0": "0", "a: b": "x" }]],
    note: "read as CSV with , between cells; every cell is text, an empty one is null",
  },
  {
    name: "one_column.csv",
    content: "text\nHello, world\n".replace(", ", " "),
    rows: [["line 2", { text: "Hello world" }]],
    note: "read as CSV with , between cells; every cell is text, an empty one is null",
  },
  {
    name: "old.csv",
    content: "a,b\r1,2\r3,4\r",
    rows: [["line 2", { a: "1", b: "2" }], ["line 3", { a: "3", b: "4" }]],
    note: "read as CSV with , between cells; every cell is text, an empty one is null",
  },
  {
    name: "table.jsonl",
    content: "a,b\n1,2\n",
    rows: [["line 2", { a: "1", b: "2" }]],
    note:
      "read as CSV with , between cells; every cell is text, an empty one is null; it is CSV with , between " +
      "cells, which its name does not say",
  },
  {
    name: "rows.jsonl.gz",
    content: gzipSync(`${row}\n${row}`),
    rows: [["line 1", JSON.parse(row)], ["line 2", JSON.parse(row)]],
  },
  {
    name: "rows.json.zst",
    content: zstdCompressSync(utf8(`[${row}]`)),
    rows: [["row 1", JSON.parse(row)]],
  },
  {
    name: "joined.jsonl.gz",
    content: Uint8Array.of(...gzipSync('{"a":1}\n'), ...gzipSync('{"a":2}\n')),
    rows: [["line 1", { a: 1 }], ["line 2", { a: 2 }]],
  },
  {
    name: "joined.jsonl.zst",
    content: Uint8Array.of(
      ...zstdCompressSync(utf8('{"a":1}\n')),
      ...zstdCompressSync(utf8('{"a":2}\n')),
    ),
    rows: [["line 1", { a: 1 }], ["line 2", { a: 2 }]],
  },
  {
    name: "packed.jsonl",
    content: gzipSync(row),
    rows: [["line 1", JSON.parse(row)]],
    note: "read as JSON Lines; it is packed by gzip, which its name does not say",
  },
  {
    name: "plain.csv.gz",
    content: row,
    rows: [["line 1", JSON.parse(row)]],
    note:
      "read as JSON Lines; it is not packed by gzip and is JSON Lines, which its name does not say",
  },
];

for (const { name, content, rows, note } of GOOD) {
  Deno.test(`readRows() reads ${name} by its content`, async () => {
    await using folder = await tempFolder();
    const path = await folder.write(name, content);
    assert.deepEqual(await read(path), rows);
    const facts = await describeRowFile(path);
    assert.equal(facts.note, note === undefined ? undefined : `${path}: ${note}`);
  });
}

Deno.test("readRows() reads Parquet of every packing and encoding as pyarrow does", async () => {
  const text = await Deno.readTextFile(`${FIXTURES}/rows.jsonl`);
  // Integers beyond 2^53 as text.
  const expected = text.trim().split("\n").map((line) =>
    JSON.parse(
      line.replace(/"id": (\d+)/, '"id": "$1"').replace(/\[(\d+)?(?:, (\d+))?\]/g, (list) =>
        list.replace(/\d+/g, '"$&"')),
    )
  );
  for (const name of ["none", "snappy", "gzip", "zstd", "brotli", "lz4", "pages", "delta"]) {
    assert.deepEqual(
      await read(`${FIXTURES}/${name}.parquet`),
      expected.map((value, i) => [`row ${i + 1}`, value]),
      name,
    );
  }
});

Deno.test("readDatasetRows() writes tables as JSON Lines, whole numbers whole", async () => {
  const rows = await readDatasetRows([`${FIXTURES}/zstd.parquet`, `${FIXTURES}/rows.jsonl`]);
  assert.equal(rows.length, 80);
  const texts = Array.from({ length: 80 }, (_, i) => formatPythonJson(rows.row(i).value));
  // A float that is whole has no type of its own in the rows.
  const plain = (text: string): string => text.replace(/"score": (\d+)\.0/, '"score": $1');
  assert.deepEqual(texts.slice(0, 40), texts.slice(40).map(plain));
  assert.deepEqual(rows.row(3).where, { file: `${FIXTURES}/zstd.parquet`, line: 4, unit: "row" });
  assert.deepEqual(rows.row(43).where, { file: `${FIXTURES}/rows.jsonl`, line: 4 });
  const few = await readDatasetRows([`${FIXTURES}/zstd.parquet`, "none.csv"], { maxRows: 7 });
  assert.equal(few.length, 7);
});

Deno.test("readRows() closes files of every format when its caller stops early", async () => {
  await using folder = await tempFolder();
  const files = {
    "a.json": `[${`${row},`.repeat(50_000)}${row}]`,
    "a.csv": `question,answer\n${"Hi,Hello.\n".repeat(50_000)}`,
    "a.jsonl.gz": gzipSync(`${row}\n`.repeat(50_000)),
    "a.jsonl.zst": zstdCompressSync(utf8(`${row}\n`.repeat(50_000))),
    "a.parquet": parquet,
  };
  for (const [name, content] of Object.entries(files)) {
    const path = await folder.write(name, content);
    let rows = 0;
    // Deno's resource sanitizer fails this test if a file stays open.
    for await (const _row of readRows(path, (value) => value)) if (++rows === 3) break;
    assert.equal(rows, 3, name);
  }
});
