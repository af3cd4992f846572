import assert from "node:assert/strict";
import { readRows } from "./read_rows.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";
import { parseRecord } from "./record.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const keep = (
  value: Record<string, unknown>,
  { line }: RowLocation,
): [number, unknown] => [line, value];

async function read(content: string | Uint8Array): Promise<[number, unknown][]> {
  await using folder = await tempFolder();
  return await Array.fromAsync(readRows(await folder.write("rows.jsonl", content), keep));
}

const good: { name: string; content: string | Uint8Array; rows: [number, unknown][] }[] = [
  {
    name: "reads one row a line",
    content: '{"a":1}\n{"a":2}\n',
    rows: [[1, { a: 1 }], [2, { a: 2 }]],
  },
  {
    name: "needs no line break at the end",
    content: '{"a":1}\n{"a":2}',
    rows: [[1, { a: 1 }], [2, { a: 2 }]],
  },
  {
    name: "accepts CRLF",
    content: '{"a":1}\r\n\r\n{"a":2}\r\n',
    rows: [[1, { a: 1 }], [3, { a: 2 }]],
  },
  {
    name: "counts the blank lines it skips",
    content: '\n  \t\n{"a":1}\n\n',
    rows: [[3, { a: 1 }]],
  },
  {
    name: "drops a byte order mark from line 1",
    content: Uint8Array.of(0xef, 0xbb, 0xbf, ...encode('{"a":"\ufeff"}')),
    rows: [[1, { a: "\ufeff" }]],
  },
  {
    name: "does not split a line at U+2028, U+2029, U+0085 or a lone \\r inside a string",
    content: '{"a":"x\u2028y\u2029z\u0085"}\n{"a":\r2}\n',
    rows: [[1, { a: "x\u2028y\u2029z\u0085" }], [2, { a: 2 }]],
  },
  {
    name: "keeps __proto__ a plain column",
    content: '{"__proto__":{"x":1}}\n',
    rows: [[1, JSON.parse('{"__proto__":{"x":1}}')]],
  },
];

for (const { name, content, rows } of good) {
  Deno.test(`readRows() ${name}`, async () => {
    assert.deepEqual(await read(content), rows);
  });
}

Deno.test("readRows() joins lines and characters that span chunks", async () => {
  // 3-byte characters and a prime length: every chunk boundary falls inside a line, most in a character.
  const rows = Array.from({ length: 40 }, (_, index) => ({ text: "患".repeat(7919 + index) }));
  const content = rows.map((row) => JSON.stringify(row)).join("\n");
  assert.deepEqual(await read(content), rows.map((row, index) => [index + 1, row]));
});

Deno.test("readRows() accepts a line of 4 MiB and refuses one byte more", async () => {
  const line = (bytes: number): string => `{"a":"${"x".repeat(bytes - 8)}"}`;
  const limit = 4 * 1024 * 1024;
  assert.equal((await read(`${line(limit)}\n`)).length, 1);
  for (
    const content of [
      `{}\n${line(limit + 1)}\n`,
      `{}\n${line(limit + 1)}`,
      `{}\n${line(limit + 100_000)}`,
    ]
  ) {
    await assert.rejects(read(content), (error: unknown) => {
      assert.ok(error instanceof JsonlError);
      assert.match(
        error.message,
        /:2: expected a line of at most 4194304 bytes, got a longer one; write one JSON object a line$/,
      );
      return true;
    });
  }
});

Deno.test("readRows() refuses a missing file, a directory and a file without rows", async () => {
  await using folder = await tempFolder();
  const cases: [string, string][] = [
    [`${folder.path}/none.jsonl`, "expected a file of rows, got no such file"],
    [folder.path, "expected a file of rows, got a directory; name a file in it"],
    [
      await folder.write("empty.jsonl", ""),
      "expected at least one row, got none; write one JSON object a line",
    ],
    [
      await folder.write("blank.jsonl", "\ufeff\r\n \n"),
      "expected at least one row, got none; write one JSON object a line",
    ],
  ];
  for (const [path, problem] of cases) {
    await assert.rejects(Array.fromAsync(readRows(path, keep)), {
      name: "JsonlError",
      message: `${path}: ${problem}`,
    });
  }
});

Deno.test("readRows() closes the file when its caller stops early", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("rows.jsonl", '{"a":1}\n'.repeat(50_000));
  // Deno's resource sanitizer fails this test if the file stays open.
  for await (const [line] of readRows(path, keep)) if (line === 3) break;
});

Deno.test("readRows() meets 2,000 mutated files with rows or a JsonlError, never another error", async () => {
  await using folder = await tempFolder();
  const base = encode('{"question":"患者?","think":null,"answer":"a\\n"}\r\n\n{"messages":[]}\n');
  let state = 7;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  for (let round = 0; round < 2000; round++) {
    const bytes = base.slice();
    for (let edits = random(4); edits >= 0; edits--) bytes[random(bytes.length)] = random(256);
    const path = await folder.write("rows.jsonl", bytes);
    try {
      await Array.fromAsync(readRows(path, parseRecord));
    } catch (error) {
      assert.ok(error instanceof JsonlError, `round ${round}: ${error}`);
    }
  }
});

Deno.test("readRows() follows a link that the user named, and opens no pipe", async () => {
  await using folder = await tempFolder();
  await using other = await tempFolder();
  const rows = (name: string) => Array.fromAsync(readRows(`${folder.path}/${name}`, keep));
  await Deno.symlink(await other.write("rows.jsonl", '{"a":1}\n'), `${folder.path}/link.jsonl`);
  assert.deepEqual(await rows("link.jsonl"), [[1, { a: 1 }]]);
  await new Deno.Command("mkfifo", { args: [`${folder.path}/pipe`] }).output();
  await assert.rejects(rows("pipe"), {
    message:
      `${folder.path}/pipe: cannot open the file: it is not a regular file; copy it to a file of its own`,
  });
});
