import assert from "node:assert/strict";
import { formatPythonJson } from "../../internal/json/python_json.ts";
import { repositoryPath } from "../../tests/support/run_script.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { readDatasetRows } from "./dataset_rows.ts";

const FIXTURES = repositoryPath("tests/fixtures/row_files");

/** Files of some names and contents, read: rows as JSON with their places, and all columns. */
async function read(
  files: readonly (readonly [string, string | Uint8Array])[],
  options?: { readonly maxRows?: number },
): Promise<{ rows: string[]; places: unknown[]; columns: readonly string[] }> {
  await using folder = await tempFolder();
  const paths: string[] = [];
  for (const [name, content] of files) paths.push(await folder.write(name, content));
  const rows = await readDatasetRows(paths, options);
  const indices = Array.from({ length: rows.length }, (_, index) => index);
  return {
    rows: indices.map((index) => formatPythonJson(rows.row(index).value)),
    places: indices.map((index) => {
      const { file, ...place } = rows.row(index).where;
      return [file.slice(folder.path.length + 1), place];
    }),
    columns: rows.columns,
  };
}

Deno.test("readDatasetRows() keeps rows of all formats with their places, each with every column", async () => {
  const files = [
    ["a.jsonl", '{"a":4.0}\n\n \t\n{"b":1e5,"a":12345678901234567890}\n'],
    ["b.csv", "c,b\nx,\n"],
    ["c.json", '[{"a":null},{"d":true}]'],
  ] as const;
  const all = {
    rows: [
      '{"a": 4.0, "b": null, "c": null, "d": null}',
      '{"a": 12345678901234567890, "b": 100000.0, "c": null, "d": null}',
      '{"a": null, "b": null, "c": "x", "d": null}',
      '{"a": null, "b": null, "c": null, "d": null}',
      '{"a": null, "b": null, "c": null, "d": true}',
    ],
    places: [
      ["a.jsonl", { line: 1 }],
      ["a.jsonl", { line: 4 }],
      ["b.csv", { line: 2 }],
      ["c.json", { line: 1, unit: "row" }],
      ["c.json", { line: 2, unit: "row" }],
    ],
    columns: ["a", "b", "c", "d"],
  };
  assert.deepEqual(await read(files), all);
  for (const maxRows of [5, 6, Infinity, undefined]) {
    assert.deepEqual(await read(files, { maxRows }), all);
  }
  // Columns are those of the rows that are read.
  assert.deepEqual(await read(files, { maxRows: 3 }), {
    rows: [
      '{"a": 4.0, "b": null, "c": null}',
      '{"a": 12345678901234567890, "b": 100000.0, "c": null}',
      '{"a": null, "b": null, "c": "x"}',
    ],
    places: all.places.slice(0, 3),
    columns: ["a", "b", "c"],
  });
  // Files after the last row are not opened.
  const few = await read([...files.slice(0, 1), ["none.pdf", "%PDF-1.4"]], { maxRows: 2 });
  assert.deepEqual(few.columns, ["a", "b"]);
});

Deno.test("readDatasetRows() joins the fields of objects within, but of tools and arguments", async () => {
  const { rows, columns } = await read([[
    "a.jsonl",
    [
      { m: [{ x: 1 }, 2], o: { p: { q: 1 } }, tools: [{ a: 1 }], n: [[{ z: 1 }]] },
      { m: [{ y: [] }], o: { r: 2 }, tools: [{ b: 1 }], functions: { c: 1 } },
      { o: null, m: null, functions: { d: 1 }, n: [[{ w: 1 }], []], k: { arguments: { e: 1 } } },
      { k: { arguments: { f: 1 }, g: 1 }, m: "text" },
    ].map((row) => JSON.stringify(row)).join("\n"),
  ]]);
  assert.deepEqual(columns, ["m", "o", "tools", "n", "functions", "k"]);
  assert.deepEqual(rows.map((row) => JSON.parse(row)), [
    {
      m: [{ x: 1, y: null }, 2],
      o: { p: { q: 1 }, r: null },
      tools: [{ a: 1 }],
      n: [[{ z: 1, w: null }]],
      functions: null,
      k: null,
    },
    {
      m: [{ x: null, y: [] }],
      o: { p: null, r: 2 },
      tools: [{ b: 1 }],
      n: null,
      functions: { c: 1 },
      k: null,
    },
    {
      m: null,
      o: null,
      tools: null,
      n: [[{ z: null, w: 1 }], []],
      functions: { d: 1 },
      k: { arguments: { e: 1 }, g: null },
    },
    { m: "text", o: null, tools: null, n: null, functions: null, k: { arguments: { f: 1 }, g: 1 } },
  ]);
});

Deno.test("readDatasetRows() gives back rows of more bytes than are kept in one piece", async () => {
  const lengths = [2_500_000, 3_000_000, 1_194_000, 1, 4_194_304 - 8, 7];
  const { rows } = await read([[
    "a.jsonl",
    lengths.map((length, i) => JSON.stringify({ a: `${i}`.repeat(length) })).join("\n"),
  ]]);
  for (const [i, length] of lengths.entries()) {
    assert.ok(rows[i] === `{"a": "${`${i}`.repeat(length)}"}`, `${i}`);
  }
});

Deno.test("readDatasetRows() names what is no row, and closes the file", async () => {
  const row = '{"a":1}';
  const json = "expected a JSON object, got";
  const formats = "expected JSON Lines, a JSON array, CSV, TSV or Parquet, got";
  const cases: readonly (readonly [string, string, string])[] = [
    [
      "a.jsonl",
      `${row}\n12345678901234567890123456`,
      `:2: ${json} number 123456789012345678901234`,
    ],
    ["a.jsonl", `${row}\n[1,2]`, `:2: ${json} array of 2`],
    ["a.jsonl", `${row}\n"text"`, `:2: ${json} string "text"`],
    ["a.jsonl", `${row}\nnull`, `:2: ${json} null`],
    ["a.jsonl", `${row}\nfalse`, `:2: ${json} boolean false`],
    ["a.json", `[${row},[]]`, `:row 2: ${json} array of 0`],
    ["a.jsonl", "", ": expected at least one row, got none; write one JSON object a line"],
    ["a.jsonl", "\n \n", ": expected at least one row, got none; write one JSON object a line"],
    ["a.json", "[]", ": expected at least one row, got none"],
    [
      "a.csv",
      "a,b\n1\n",
      ":2: expected 2 cells as the first line names (a, b), got 1; put a cell in quotes that holds the delimiter or a line break",
    ],
  ];
  for (const [name, content, problem] of cases) {
    await assert.rejects(read([[name, content]]), (error: Error) => {
      assert.equal(error.name, "JsonlError");
      assert.ok(error.message.endsWith(`/${name}${problem}`), `${error.message} ${problem}`);
      return true;
    });
  }
  const bad = Uint8Array.of(...new TextEncoder().encode(`${row}\n{"a":"`), 0xe9, 0x22, 0x7d);
  await assert.rejects(
    read([["a.jsonl", bad]]),
    /a\.jsonl:2: expected UTF-8 text, got other bytes; save the file as UTF-8$/,
  );
  // A byte order mark is dropped from the first line alone.
  assert.deepEqual((await read([["a.jsonl", `\ufeff${row}`]])).rows, ['{"a": 1}']);
  await assert.rejects(
    read([["a.jsonl", `${row}\n\ufeff${row}`]]),
    /a\.jsonl:2: expected a JSON object/,
  );
  // Of several files each has to have one.
  await assert.rejects(
    read([["a.jsonl", row], ["b.json", "[]"]]),
    /b\.json: expected at least one row/,
  );
  // What stands first may tell what the file is.
  await assert.rejects(read([["a.jsonl", `\n{\n"a": 1}`]]), (error: Error) => {
    assert.ok(error.message.includes(`a.jsonl: ${formats} JSON over several lines`), error.message);
    return true;
  });
  // Also where it comes after more blank lines than the format is told by.
  await assert.rejects(read([["a.jsonl", `${"\n".repeat(70_000)}{\n`]]), (error: Error) => {
    assert.ok(error.message.includes(`a.jsonl: ${formats} JSON over several lines`), error.message);
    return true;
  });
  await assert.rejects(read([["a.jsonl", `${row}\n{\n`]]), (error: Error) => {
    assert.match(error.message, /a\.jsonl:2: expected a JSON object, got invalid JSON: /);
    return true;
  });
  await assert.rejects(
    read([["a.jsonl", row], ["b.jsonl", "{\n"]]),
    /b\.jsonl: expected JSON Lines/,
  );
});

Deno.test("readDatasetRows() writes what tables hold as JSON, and names what none is", async () => {
  const rows = await readDatasetRows([`${FIXTURES}/none.parquet`], { maxRows: 2 });
  assert.equal(
    formatPythonJson(rows.row(1).value),
    `{"id": ${2n ** 60n + 1n}, "small": -2, "score": 0.125, "flag": false, "source": "web", ` +
      String.raw`"question": "Frage 1\n\"ß\" 🙂", "tags": ["t0"], "messages": [{"role": "user", ` +
      '"content": "问题 1?", "reasoning_content": null}], ' +
      '"meta": {"topic": "x1", "deep": {"values": [[1], [], [1, 1]]}}, ' +
      '"when": "2026-01-01T00:00:01.125Z", "day": "2026-01-02"}',
  );
  const path = `${FIXTURES}/bytes.parquet`;
  await assert.rejects(readDatasetRows([path]), {
    name: "JsonlError",
    message:
      `${path}:row 1:image: expected a value that JSON can hold, got 2 bytes; remove the column`,
  });
});
