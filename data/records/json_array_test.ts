import assert from "node:assert/strict";
import { readJsonArray } from "./json_array.ts";
import { readJsonLines } from "./json_lines.ts";
import type { RawRow } from "./raw_row.ts";

const LIMIT = 4_194_304;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A file's bytes in pieces of some size, each in a buffer that is used again. */
async function* inPieces(
  bytes: Uint8Array,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = new Uint8Array(size);
  for (let at = 0; at < bytes.length; at += size) {
    await Promise.resolve();
    const piece = bytes.subarray(at, at + size);
    buffer.set(piece);
    yield buffer.subarray(0, piece.length);
    buffer.fill(0x21);
  }
}

type Reader = (
  chunks: AsyncIterable<Uint8Array>,
  path: string,
) => AsyncGenerator<RawRow, void, undefined>;

/** The text of each row with its place, and the error at the end where there is one. */
async function read(reader: Reader, content: string | Uint8Array, size: number) {
  const rows: unknown[] = [];
  try {
    const bytes = typeof content === "string" ? utf8(content) : content;
    for await (const row of reader(inPieces(bytes, size), "rows")) {
      assert.ok("json" in row);
      const { file, line, unit } = row.where;
      assert.deepEqual([file, unit], ["rows", reader === readJsonArray ? "row" : undefined]);
      rows.push([line, new TextDecoder("utf-8", { ignoreBOM: true }).decode(row.json)]);
    }
  } catch (error) {
    rows.push((error as Error).message);
  }
  return rows;
}

const CUT = "expected ] at the end of the array, got the end of the file";
const AGAIN = "; it was cut: write or fetch it again";
const MORE =
  "rows: expected the end of the file after the array, got more; write all rows into one array, or one object a line";
const COMMA = "expected a JSON object, got nothing; remove one comma";
const INVALID = "expected a JSON object, got invalid JSON at character";

/** An array, and what is read of it. */
const ARRAYS: readonly (readonly [string, readonly unknown[]])[] = [
  ["[]", []],
  [" \t\r\n[ \t\r\n] \t\r\n", []],
  ["[1]", [[1, "1"]]],
  ['["","\\\\",1]', [[1, '""'], [2, '"\\\\"'], [3, "1"]]],
  ["\ufeff[1,2]", [[1, "1"], [2, "2"]]],
  ['[{"a":1} , {"b":[2,3]},[4,{"c":5}],"x"]', [
    [1, '{"a":1} '],
    [2, ' {"b":[2,3]}'],
    [3, '[4,{"c":5}]'],
    [4, '"x"'],
  ]],
  // Brackets, commas and quotes inside strings are text.
  ['["a]","b,","c\\\\","d\\"]","{[",{"]":"}"}]', [
    ...[[1, '"a]"'], [2, '"b,"'], [3, '"c\\\\"'], [4, '"d\\"]"'], [5, '"{["'], [6, '{"]":"}"}']],
  ]],
  // Faults of an array, after the rows before them.
  ["", [`rows:row 1: ${CUT}${AGAIN}`]],
  [" ", [`rows:row 1: ${CUT}${AGAIN}`]],
  ["[", [`rows:row 1: ${CUT}${AGAIN}`]],
  ["[1", [`rows:row 1: ${CUT}${AGAIN}`]],
  ["[1,", [[1, "1"], `rows:row 2: ${CUT}${AGAIN}`]],
  ['[1,"a', [[1, "1"], `rows:row 2: ${CUT} inside a string${AGAIN}`]],
  ['[1,"a\\"', [[1, "1"], `rows:row 2: ${CUT} inside a string${AGAIN}`]],
  ["[1,]", [[1, "1"], `rows:row 2: ${COMMA}`]],
  ["[1, \t\r\n]", [[1, "1"], `rows:row 2: ${COMMA}`]],
  ["[,1]", [`rows:row 1: ${COMMA}`]],
  ["[ ,]", [`rows:row 1: ${COMMA}`]],
  ["[1,,2]", [[1, "1"], `rows:row 2: ${COMMA}`]],
  ["[1]]", [[1, "1"], MORE]],
  ["[1]}", [[1, "1"], MORE]],
  ["[1][", [[1, "1"], MORE]],
  ["[1]{", [[1, "1"], MORE]],
  ["[1],", [[1, "1"], MORE]],
  ["[1]x", [[1, "1"], MORE]],
  ['[1] "', [[1, "1"], MORE]],
  ["[]\ufeff", [MORE]],
  ["]", [`rows:row 1: ${INVALID} 1: expected a value, found "]"`]],
  [" }", [`rows:row 1: ${INVALID} 1: expected a value, found "}"`]],
  ["[1,2}", [[1, "1"], `rows:row 2: ${INVALID} 2 after "2": expected the end, found "}"`]],
  ['[{"a":1}}]', [`rows:row 1: ${INVALID} 8 after "{\\"a\\":1}": expected the end, found "}"`]],
];

Deno.test(`readJsonArray() reads ${ARRAYS.length} arrays the same in pieces of any size`, async () => {
  for (const [text, expected] of ARRAYS) {
    for (const size of [1, 2, 3, 5, 1000]) {
      // What stands before a bracket that nothing opens is told of one piece alone.
      if (/^\s+[\]}]/.test(text) && size < 1000) continue;
      assert.deepEqual(
        await read(readJsonArray, text, size),
        expected,
        `${JSON.stringify(text)} by ${size}`,
      );
    }
  }
});

Deno.test("readJsonLines() reads lines the same in pieces of any size", async () => {
  const cases: readonly (readonly [string, readonly unknown[]])[] = [
    ["", []],
    ["\n", [[1, ""]]],
    ["a", [[1, "a"]]],
    ["a\n", [[1, "a"]]],
    ["a\nbc", [[1, "a"], [2, "bc"]]],
    ["a\r\n\r\nb\r", [[1, "a"], [2, ""], [3, "b"]]],
    ["a\rb\n\n c \n", [[1, "a\rb"], [2, ""], [3, " c "]]],
    ["\ufeffa\n\ufeffb\n", [[1, "a"], [2, "\ufeffb"]]],
    ["\ufeff\r\nb", [[1, ""], [2, "b"]]],
    ["a\r\r\n", [[1, "a\r"]]],
    ["x\u2028y\u0085z\n", [[1, "x\u2028y\u0085z"]]],
  ];
  for (const [text, expected] of cases) {
    for (const size of [1, 2, 3, 7, 1000]) {
      assert.deepEqual(
        await read(readJsonLines, text, size),
        expected,
        `${JSON.stringify(text)} by ${size}`,
      );
    }
  }
  // Each of its three bytes is looked at.
  for (const mark of [[0xee, 0xbb, 0xbf], [0xef, 0xbc, 0xbf], [0xef, 0xbb, 0xbe]]) {
    const chunks = inPieces(Uint8Array.of(...mark, 0x61), 9);
    const [row] = await Array.fromAsync(readJsonLines(chunks, "rows"));
    assert.deepEqual("json" in row && [...row.json], [...mark, 0x61]);
  }
});

Deno.test("rows of 4 MiB are read, and longer ones refused before all of them is held", async () => {
  const lengths = async (reader: Reader, content: string, size: number) => {
    const rows = await read(reader, content, size);
    return rows.map((row) => typeof row === "string" ? row : (row as [number, string])[1].length);
  };
  const fits = "x".repeat(LIMIT);
  const size = 1 << 18;
  assert.deepEqual(await lengths(readJsonArray, `[0,${fits},1]`, size), [1, LIMIT, 1]);
  assert.deepEqual(await lengths(readJsonArray, `[${fits},1]`, 8 << 20), [LIMIT, 1]);
  assert.deepEqual(await lengths(readJsonArray, `[0,${fits}x,1]`, 8 << 20), [
    1,
    `rows:row 2: expected a row of at most ${LIMIT} bytes, got a longer one; shorten it or leave it out`,
  ]);
  for (const piece of [size, 8 << 20]) {
    assert.deepEqual(await lengths(readJsonLines, `0\n${fits}\n1`, piece), [1, LIMIT, 1]);
    assert.deepEqual(await lengths(readJsonLines, `0\n${fits}x\n1`, piece), [
      1,
      `rows:2: expected a line of at most ${LIMIT} bytes, got a longer one; write one JSON object a line`,
    ]);
  }
  // What one row held does not count for the next.
  const most = "x".repeat(3 << 20);
  assert.deepEqual(await lengths(readJsonArray, `[${most},${most}]`, size), [3 << 20, 3 << 20]);
  assert.deepEqual(await lengths(readJsonLines, `${most}\n${most}`, size), [3 << 20, 3 << 20]);
  // Bytes that never end.
  let pieces = 0;
  async function* endless(begin: string): AsyncGenerator<Uint8Array, void, undefined> {
    yield utf8(begin);
    for (pieces = 1;; pieces++) {
      yield await Promise.resolve(new Uint8Array(size).fill(0x20));
    }
  }
  for (const [reader, begin] of [[readJsonArray, "["], [readJsonLines, ""]] as const) {
    await assert.rejects(Array.fromAsync(reader(endless(begin), "rows")), /got a longer one/);
    assert.equal(pieces, LIMIT / size + 1);
  }
});
