import assert from "node:assert/strict";
import { readCsv } from "./csv.ts";

Deno.test("readCsv() ends what it reads from when its caller stops early", async () => {
  const ended = Promise.withResolvers<void>();
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield new TextEncoder().encode("question,answer\n");
      for (;;) yield new TextEncoder().encode("Hi,Hello.\n".repeat(10_000));
    } finally {
      ended.resolve();
    }
  }
  let rows = 0;
  for await (const row of readCsv(chunks(), { path: "a.csv", delimiter: "," })) {
    assert.deepEqual(row, {
      where: { file: "a.csv", line: rows + 2 },
      values: { question: "Hi", answer: "Hello." },
    });
    if (++rows === 3) break;
  }
  await ended.promise;
});

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A first piece of some bytes, and the rest in pieces of some size, each in a buffer that is used again. */
async function* inPieces(
  bytes: Uint8Array,
  { first, size }: { readonly first: number; readonly size: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let [at, end] = [0, first]; at < bytes.length; [at, end] = [end, end + size]) {
    await Promise.resolve();
    const piece = bytes.slice(at, end);
    yield piece;
    piece.fill(0x22);
  }
}

/** The values and lines of a table's rows, and errors as their messages. */
async function read(
  content: string | Uint8Array,
  { first = 1000, size = 1000, delimiter = "," },
): Promise<unknown[]> {
  const bytes = typeof content === "string" ? utf8(content) : content;
  const rows: unknown[] = [];
  try {
    for await (const row of readCsv(inPieces(bytes, { first, size }), { path: "f", delimiter })) {
      assert.equal(row.where.file, "f");
      rows.push(
        "fault" in row ? row.fault.message : "values" in row ? [row.where.line, row.values] : row,
      );
    }
  } catch (error) {
    rows.push((error as Error).message);
  }
  return rows;
}

const QUOTED = 'write a cell with quotes inside as "a ""word"" here"';
const CELLS =
  "expected 2 cells as the first line names (a, b), got N; put a cell in quotes that holds the delimiter or a line break";
const cells = (line: number, got: number): string => `f:${line}: ${CELLS.replace("N", `${got}`)}`;
const MANY = "a,b,c,d,e,f,g,h";
const OTHER = "expected UTF-8 text, got other bytes; save the file as UTF-8";

/** A table, and what is read of it. */
const TABLES: readonly (readonly [string, readonly unknown[]])[] = [
  ["", []],
  ["a,b\n", []],
  ["a,b\n1,2", [[2, { a: "1", b: "2" }]]],
  ['\ufeff"a","b"\n1,2', [[2, { a: "1", b: "2" }]]],
  ["\ufeff a ,\t\n1, 2 \n", [[2, { a: "1", "Unnamed: 1": " 2 " }]]],
  ["a,b\r\n\r\n1,\r\n\n\n,2\r\n", [[3, { a: "1", b: null }], [6, { a: null, b: "2" }]]],
  ['a,b\n"1\n\n2","x, ""y"""\n"",3\n4,5\n', [
    [2, { a: "1\n\n2", b: 'x, "y"' }],
    [5, { a: null, b: "3" }],
    [6, { a: "4", b: "5" }],
  ]],
  ['a,b\r\n"1\r\n2",3\r\n\r\n4,5', [[2, { a: "1\r\n2", b: "3" }], [5, { a: "4", b: "5" }]]],
  ["\n\na,b\n\n1,2\n", [[5, { a: "1", b: "2" }]]],
  // Of the names eight are told.
  [`${MANY}\n1\n`, [
    `f:2: ${
      CELLS.replace("2 cells", "8 cells").replace("a, b", MANY.replaceAll(",", ", ")).replace(
        "N",
        "1",
      )
    }`,
  ]],
  [`${MANY},i\n1\n`, [
    `f:2: ${
      CELLS.replace("2 cells", "9 cells").replace(
        "a, b",
        `${MANY.replaceAll(",", ", ")} and 1 more`,
      ).replace("N", "1")
    }`,
  ]],
  // Rows of another length are faults of their own.
  ["a,b\n1\n1,2\n1,2,3\n\n,\n", [
    ...[cells(2, 1), [3, { a: "1", b: "2" }], cells(4, 3), [6, { a: null, b: null }]],
  ]],
];

/** A table that is not read on, and why: rows before the fault may be handed on or not. */
const FAULTS: readonly (readonly [string, string])[] = [
  [
    'a,b\n1,2\n3,"4\n5,6\n',
    `f:3: expected a closing quote of cell 2, got the end of the file; close it, or ${QUOTED}`,
  ],
  [
    'a,b\n1,2\n3"4,5\n6,7\n',
    `f:3: expected no quote inside cell 1, which does not begin with one; ${QUOTED}`,
  ],
  [
    'a,b\n1,"2"3\n4,5\n',
    `f:2: expected the end of cell 2 after its closing quote, got more; ${QUOTED}`,
  ],
  [
    "a,b,a,b\n1,2,3,4\n",
    'f:1: expected a name for each column in the first line, got "a" twice; rename or remove one of the two columns',
  ],
  [
    "a,__proto__\n1,2\n",
    "f:1: expected other names of columns than __proto__; rename the column",
  ],
];

Deno.test(`readCsv() reads ${TABLES.length} tables the same in pieces of any size`, async () => {
  for (const [text, expected] of TABLES) {
    // A table is one of old by its first piece alone.
    const first = utf8(text.slice(0, text.indexOf("\n") + 1)).length || 1;
    for (const pieces of [{}, { first, size: 1 }, { first, size: 2 }, { first, size: 7 }]) {
      const rows = await read(text, pieces);
      assert.deepEqual(rows, expected, `${JSON.stringify(text)} ${pieces.size}`);
    }
  }
  for (const [text, expected] of FAULTS) {
    const first = utf8(text.slice(0, text.indexOf("\n") + 1)).length;
    for (const pieces of [{}, { first, size: 1 }, { first, size: 3 }]) {
      const rows = await read(text, pieces);
      assert.equal(rows.at(-1), expected, `${JSON.stringify(text)} ${pieces.size}`);
    }
  }
});

Deno.test("readCsv() reads lines that end with \\r where the first piece has no \\n", async () => {
  const rows = [[2, { a: "1\r2", b: "3" }], [5, { a: "4", b: "5" }]];
  for (const size of [1, 2, 50]) {
    assert.deepEqual(await read('a,b\r"1\r2",3\r\r4,5\r', { size }), rows);
  }
  assert.deepEqual(await read("a,b\n1\r2,3\r\n", {}), [[2, { a: "1\r2", b: "3" }]]);
});

Deno.test("readCsv() takes any delimiter", async () => {
  for (const delimiter of ["\t", ";", "|"]) {
    assert.deepEqual(await read(`a${delimiter}b,c\n1${delimiter}2\n`, { delimiter }), [
      [2, { a: "1", "b,c": "2" }],
    ]);
  }
});

Deno.test("readCsv() names the line of bytes that are no UTF-8, wherever a piece ends", async () => {
  const table = (...last: number[]): Uint8Array =>
    Uint8Array.of(...utf8("a,b\n1,2\n漢,3\n4,"), ...last, ...utf8("\n5,6\n"));
  // A lone byte, a cut character, one that is written too long.
  for (const bad of [[0xe9], [0xe6, 0xbc], [0xc0, 0x80]]) {
    for (const first of [4, 8, 9, 10, 12, 15, 16, 17, 99]) {
      for (const size of [1, 2, 99]) {
        const rows = await read(table(...bad), { first, size });
        assert.equal(rows.at(-1), `f:4: ${OTHER}`, `${bad} ${first} ${size}`);
      }
    }
  }
  // At the end of a file, and in its first line.
  const cut = Uint8Array.of(...utf8("a,b\n1,2\n3,"), 0xe6, 0xbc);
  for (const size of [1, 99]) {
    assert.equal((await read(cut, { first: 4, size })).at(-1), `f:3: ${OTHER}`);
  }
  assert.deepEqual(await read(Uint8Array.of(0x61, 0xe9, 0x0a), {}), [`f:1: ${OTHER}`]);
  assert.deepEqual(await read(Uint8Array.of(0xff, 0xfe, 0x61, 0), {}), [
    "f:1: expected UTF-8 text, got what looks like UTF-16; save the file as UTF-8",
  ]);
});

Deno.test("readCsv() tells lines of a table of many pieces and rows, in memory that does not grow", async () => {
  const count = 5000;
  const text = (i: number): string => i % 3 === 0 ? `"${i}\n\n${i}"` : `${i}`;
  const content = `a,b\n${Array.from({ length: count }, (_, i) => `${text(i)},x\n`).join("")}`;
  let line = 2;
  const expected = Array.from({ length: count }, (_, i) => {
    const at = line;
    line += i % 3 === 0 ? 3 : 1;
    return at;
  });
  const rows = await read(content, { first: 64, size: 1024 });
  assert.deepEqual(rows.map((row) => (row as [number])[0]), expected);
});

Deno.test("readCsv() names the line of bytes that are no UTF-8 behind many rows", async () => {
  for (const count of [40, 300, 2000]) {
    const rows = "1,2\n".repeat(count);
    const table = Uint8Array.of(...utf8(`a,b\n${rows}3,`), 0xe9, ...utf8("\n4,5\n"));
    for (const size of [64, 250, 1000, 5000]) {
      const found = await read(table, { first: 32, size });
      assert.equal(found.at(-1), `f:${count + 2}: ${OTHER}`, `${count} ${size}`);
    }
  }
});
