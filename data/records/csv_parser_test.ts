import assert from "node:assert/strict";
import { CsvParser, type CsvRecord } from "./csv_parser.ts";

const LONG = 4 * 1024 * 1024;

function parse(pieces: readonly string[], lineBreak: "\n" | "\r" = "\n"): CsvRecord[] {
  const parser = new CsvParser({ path: "t.csv", delimiter: ",", lineBreak });
  return [...pieces.flatMap((piece) => [...parser.push(piece)]), ...parser.push("", true)];
}

Deno.test("CsvParser gives the same rows wherever a table is cut", () => {
  const table = '\ufeffq,a\r\n\n"x ""y""\r\nz",\r\n"",""""\r\n头\r,"b"\r\n,';
  const expected = [
    { cells: ["q", "a"], line: 1 },
    { cells: ['x "y"\r\nz', ""], line: 3 },
    { cells: ["", '"'], line: 5 },
    { cells: ["头\r", "b"], line: 6 },
    { cells: ["", ""], line: 7 },
  ];
  assert.deepEqual(parse([table]), expected);
  assert.deepEqual(parse([...table]), expected);
  for (let at = 1; at < table.length; at++) {
    assert.deepEqual(parse([table.slice(0, at), "", table.slice(at)]), expected, `cut at ${at}`);
  }
  assert.deepEqual(parse(["q,a\r\r1,", "2"], "\r"), [
    { cells: ["q", "a"], line: 1 },
    { cells: ["1", "2"], line: 3 },
  ]);
  assert.deepEqual(parse([""]), []);
});

Deno.test("CsvParser names the line that a faulty row begins at", () => {
  const faults: readonly (readonly [string, RegExp])[] = [
    ['q,a\n\n"1\n2",x"', /^t\.csv:3: expected no quote inside cell 2/],
    ['q,a\n\n\n1,"2" ', /^t\.csv:4: expected the end of cell 2 after its closing quote, got more/],
    ['q,a\n1,"2\n\n', /^t\.csv:2: expected a closing quote of cell 2, got the end of the file/],
    ['q,a\n1,"2"\r', /^t\.csv:2: expected the end of cell 2 after its closing quote, got more/],
  ];
  for (const [table, message] of faults) {
    assert.throws(() => parse([table]), { name: "JsonlError", message });
    assert.throws(() => parse([...table]), { name: "JsonlError", message });
  }
});

Deno.test("CsvParser refuses a row of over 4 MiB before it is whole, by bytes", () => {
  const message = /^t\.csv:2: expected a line of at most 4194304 bytes, got a longer one/;
  const third = "头".repeat(LONG / 3 / 2);
  for (const pieces of [["q\n", `"${"a".repeat(LONG)}`, "a"], ["q\n", third, third, "头头"]]) {
    assert.throws(() => parse(pieces), { name: "JsonlError", message });
  }
  assert.equal(parse(["q\n", third, third]).length, 2);
});
