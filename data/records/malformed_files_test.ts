/** Files of rows that are damaged, cut or wrong, each with the exact error of readRows(). */

import assert from "node:assert/strict";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { repositoryPath } from "../../tests/support/run_script.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { JsonlError } from "./jsonl_error.ts";
import { readRows } from "./read_rows.ts";

const FIXTURES = repositoryPath("tests/fixtures/row_files");
const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const latin1 = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(text, (each) => each.charCodeAt(0));
const row = '{"question":"Hi","answer":"Hello."}';
const parquet = await Deno.readFile(`${FIXTURES}/snappy.parquet`);

/** Bytes of a file with some changed. */
function spoiled(bytes: Uint8Array, at: number, ...to: readonly number[]): Uint8Array {
  const changed = bytes.slice();
  changed.set(to, at < 0 ? bytes.length + at : at);
  return changed;
}

const CSV_QUOTE = 'write a cell with quotes inside as "a ""word"" here"';
/** A file's name and content, and its error after the path; of good rows before it there are some. */
const MALFORMED: readonly (readonly [string, string | Uint8Array, string])[] = [
  // JSON arrays.
  ["a.json", "[]", ": expected at least one row, got none"],
  ["a.json", "[1]", ":row 1: expected a JSON object, got number 1"],
  ["a.json", `[${row},null]`, ":row 2: expected a JSON object, got null"],
  ["a.json", `[${row},[1,2]]`, ":row 2: expected a JSON object, got array of 2"],
  ["a.json", `[${row},"a"]`, ':row 2: expected a JSON object, got string "a"'],
  ["a.json", `[${row},]`, ":row 2: expected a JSON object, got nothing; remove one comma"],
  ["a.json", `[,${row}]`, ":row 1: expected a JSON object, got nothing; remove one comma"],
  ["a.json", `[${row},,${row}]`, ":row 2: expected a JSON object, got nothing; remove one comma"],
  [
    "a.json",
    `[${row}`,
    ":row 1: expected ] at the end of the array, got the end of the file; it was cut: write or fetch it again",
  ],
  [
    "a.json",
    `[${row},{"a":"b`,
    ":row 2: expected ] at the end of the array, got the end of the file inside a string; it was cut: write or fetch it again",
  ],
  [
    "a.json",
    `[${row}]\n[${row}]`,
    ": expected the end of the file after the array, got more; write all rows into one array, or one object a line",
  ],
  [
    "a.json",
    `[${row}] x`,
    ": expected the end of the file after the array, got more; write all rows into one array, or one object a line",
  ],
  [
    "a.json",
    `[${row}}`,
    ':row 1: expected a JSON object, got invalid JSON at character 36 after "nswer\\":\\"Hello.\\"}": expected the end, found "}"',
  ],
  [
    "a.json",
    `[${row},{"a":1]}]`,
    ':row 2: expected a JSON object, got invalid JSON at character 7 after "{\\"a\\":1": expected "," or "}", found "]"',
  ],
  [
    "a.json",
    `[${row} ${row}]`,
    `:row 1: expected a JSON object, got invalid JSON at character 37 after "swer\\":\\"Hello.\\"} ": got "{\\"question\\":"; a second value: write one a line`,
  ],
  [
    "a.json",
    "[{'a': 1}]",
    `:row 1: expected a JSON object, got invalid JSON at character 2 after "{": got "'a': 1}"; this is how Python prints, not JSON: write rows with json.dumps`,
  ],
  [
    "a.json",
    `[{"a": NaN}]`,
    `:row 1: expected a JSON object, got invalid JSON at character 7 after "{\\"a\\": ": got "NaN}"; JSON has no such number: write null`,
  ],
  [
    "a.json",
    latin1('[{"a":"\xe9"}]'),
    ":row 1: expected UTF-8 text, got other bytes; save the file as UTF-8",
  ],
  [
    "a.json",
    `[${row},{"a":"${"x".repeat(4 << 20)}"}]`,
    ":row 2: expected a row of at most 4194304 bytes, got a longer one; shorten it or leave it out",
  ],
  // CSV and TSV.
  ["a.csv", "", ": expected at least one row, got none; write one JSON object a line"],
  ["a.csv", "question,answer\n", ": expected at least one row, got none"],
  [
    "a.csv",
    "question,answer\nHi,Hello.\n\nHi\n",
    ":4: expected 2 cells as the first line names (question, answer), got 1; put a cell in quotes that holds the delimiter or a line break",
  ],
  [
    "a.csv",
    "question,answer\nHi,Hello, you\n",
    ":2: expected 2 cells as the first line names (question, answer), got 3; put a cell in quotes that holds the delimiter or a line break",
  ],
  [
    "a.csv",
    'question,answer\nHi,"a\nb"\nHi,"Hello.\nHi,b\n',
    `:4: expected a closing quote of cell 2, got the end of the file; close it, or ${CSV_QUOTE}`,
  ],
  [
    "a.csv",
    'question,answer\n5" pipe,b\n',
    `:2: expected no quote inside cell 1, which does not begin with one; ${CSV_QUOTE}`,
  ],
  [
    "a.csv",
    'question,answer\na,"b"c\n',
    `:2: expected the end of cell 2 after its closing quote, got more; ${CSV_QUOTE}`,
  ],
  [
    "a.csv",
    'question,answer\na,"say "Hi" now"\n',
    `:2: expected the end of cell 2 after its closing quote, got more; ${CSV_QUOTE}`,
  ],
  [
    "a.csv",
    "question,answer,question\na,b,c\n",
    ':1: expected a name for each column in the first line, got "question" twice; rename or remove one of the two columns',
  ],
  [
    "a.csv",
    latin1("question,answer\na,b\nc,\xe9\n"),
    ":3: expected UTF-8 text, got other bytes; save the file as UTF-8",
  ],
  [
    "a.csv",
    Uint8Array.of(...utf8("question,answer\na,b\nc,"), 0xe4, 0xbd),
    ":3: expected UTF-8 text, got other bytes; save the file as UTF-8",
  ],
  [
    "a.csv",
    Uint8Array.of(0xff, 0xfe, 0x61, 0, 0x2c, 0),
    ":1: expected UTF-8 text, got what looks like UTF-16; save the file as UTF-8",
  ],
  [
    "a.tsv",
    "question\tanswer\na\tb\tc\n",
    ":2: expected 2 cells as the first line names (question, answer), got 3; put a cell in quotes that holds the delimiter or a line break",
  ],
  [
    "a.csv",
    `question,answer\na,"${"x".repeat(5 << 20)}"\n`,
    ":2: expected a line of at most 4194304 bytes, got a longer one; write one JSON object a line",
  ],
  // Packed files.
  [
    "a.jsonl.gz",
    gzipSync(row.repeat(9)).subarray(0, 40),
    ": cannot unpack the gzip file: unexpected end of file; it is cut or damaged, fetch it again",
  ],
  [
    "a.jsonl.gz",
    Uint8Array.of(0x1f, 0x8b, 8, 0, 1, 2, 3),
    ": cannot unpack the gzip file: unexpected end of file; it is cut or damaged, fetch it again",
  ],
  [
    "a.jsonl.gz",
    spoiled(gzipSync(row), -6, 0xff),
    ": cannot unpack the gzip file: incorrect data check; it is cut or damaged, fetch it again",
  ],
  [
    "a.jsonl.zst",
    zstdCompressSync(utf8(row)).subarray(0, 20),
    ": cannot unpack the zstd file: unexpected end of file; it is cut or damaged, fetch it again",
  ],
  [
    "a.parquet.gz",
    gzipSync(parquet),
    ": expected text in a gzip file, got Parquet, which is packed by itself; unpack it first",
  ],
  [
    "a.jsonl.gz",
    gzipSync(gzipSync(row)),
    ":1: expected UTF-8 text, got other bytes; save the file as UTF-8",
  ],
  // Parquet.
  [
    "a.parquet",
    parquet.subarray(0, 900),
    ": expected the end of a Parquet file, got other bytes; it was cut, fetch it again",
  ],
  [
    "a.parquet",
    "PAR1",
    ": expected the end of a Parquet file, got other bytes; it was cut, fetch it again",
  ],
  [
    "a.parquet",
    spoiled(parquet, -8, 0xff, 0xff, 0xff, 0x7f),
    ": its footer says that it has 2147483647 bytes; the file is damaged, fetch it again",
  ],
  [
    "a.parquet",
    spoiled(parquet, -8, 9, 0, 0, 0),
    ": cannot read its footer: it is damaged, fetch it again",
  ],
  [
    "a.parquet",
    spoiled(parquet, 40, ...new Uint8Array(60).fill(0xff)),
    ": cannot read column id: its pages are not what the file says; it is damaged, fetch it again",
  ],
  [
    "a.parquet",
    await Deno.readFile(`${FIXTURES}/empty.parquet`),
    ": expected at least one row, got none",
  ],
  [
    "a.parquet",
    await Deno.readFile(`${FIXTURES}/not_utf8.parquet`),
    ": cannot read column question of rows 1 to 1: a column of text holds bytes that are no UTF-8",
  ],
];

Deno.test(`readRows() names the fault of ${MALFORMED.length} malformed files exactly`, async () => {
  await using folder = await tempFolder();
  for (const [index, [name, content, message]] of MALFORMED.entries()) {
    const path = await folder.write(name, content);
    const shown = `${index}: ${name}`;
    await assert.rejects(Array.fromAsync(readRows(path, (value) => value)), (error: Error) => {
      assert.ok(error instanceof JsonlError, `${shown}: ${error.stack}`);
      assert.equal(error.message, `${path}${message}`, shown);
      return true;
    });
  }
});

Deno.test("readRows() goes on after rows that only themselves are at fault", async () => {
  await using folder = await tempFolder();
  const files = {
    "a.json": `[${row},1,${row}]`,
    "a.csv": "question,answer\nHi,Hello.\nHi\nHi,Hello.\n",
    "a.jsonl": `${row}\n{\n${row}\n`,
  };
  for (const [name, content] of Object.entries(files)) {
    const path = await folder.write(name, content);
    const refused: string[] = [];
    const onRefused = ({ message }: Error): void => void refused.push(message);
    const rows = await Array.fromAsync(readRows(path, (value) => ({ ...value }), { onRefused }));
    assert.deepEqual(rows, [JSON.parse(row), JSON.parse(row)], name);
    assert.equal(refused.length, 1);
  }
});

Deno.test("readRows() meets 300 mutated Parquet files with rows or a JsonlError, never another error", async () => {
  await using folder = await tempFolder();
  let state = 11;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  const bases = await Promise.all(
    ["snappy", "gzip", "delta"].map((name) => Deno.readFile(`${FIXTURES}/${name}.parquet`)),
  );
  for (let round = 0; round < 300; round++) {
    const bytes = bases[round % bases.length].slice();
    for (let edits = random(3); edits >= 0; edits--) bytes[random(bytes.length)] = random(256);
    const path = await folder.write("rows.parquet", bytes);
    try {
      await Array.fromAsync(readRows(path, (value) => value));
    } catch (error) {
      assert.ok(error instanceof JsonlError, `round ${round}: ${error}`);
    }
  }
});
