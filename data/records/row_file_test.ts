import assert from "node:assert/strict";
import { symlink, truncate } from "node:fs/promises";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { describeRowFile, openRowFile } from "./row_file.ts";
import { readRows } from "./read_rows.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

Deno.test("openRowFile() gives a file's bytes as often as they are asked for, and any part of them", async () => {
  await using folder = await tempFolder();
  // Not twice the same within a piece of 64 KiB.
  const text = Array.from({ length: 20_000 }, (_, i) => `${i},`).join("") + "\n";
  const bytes = utf8(text);
  assert.ok(bytes.length > 65_536 && bytes.length < 131_072);
  const packed = { gzip: gzipSync(bytes), zstd: zstdCompressSync(bytes), none: bytes };
  for (const [compression, content] of Object.entries(packed)) {
    const path = await folder.write(`a.${compression}`, content);
    await using file = await openRowFile(path);
    assert.equal(file.path, path);
    assert.equal(file.size, content.length);
    assert.equal(file.compression, compression === "none" ? undefined : compression);
    assert.deepEqual(file.format, { kind: "csv", delimiter: "," });
    for (let round = 0; round < 2; round++) {
      const told: number[] = [];
      let read = "";
      const sizes: number[] = [];
      for await (const chunk of file.chunks((at) => void told.push(at))) {
        read += new TextDecoder("latin1").decode(chunk);
        sizes.push(chunk.length);
      }
      assert.ok(read === text, `${compression} ${round}`);
      if (compression === "none") {
        assert.deepEqual(told, [65_536, content.length]);
        assert.deepEqual(sizes, [65_536, content.length - 65_536]);
      } else {
        assert.equal(told.at(-1), content.length);
      }
    }
    for (const [start, end] of [[0, 4], [7, 8], [3, 3], [content.length - 2, content.length + 9]]) {
      const part = new Uint8Array(await file.slice(start, end));
      assert.deepEqual([...part], [...content.subarray(start, end)], `${start} ${end}`);
    }
    assert.equal((await file.slice(content.length + 2, content.length + 5)).byteLength, 0);
  }
});

Deno.test("openRowFile() says so where a file is cut while it is read", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("a.jsonl", "x".repeat(100));
  await using file = await openRowFile(path);
  await truncate(path, 10);
  assert.equal((await file.slice(2, 10)).byteLength, 8);
  await assert.rejects(file.slice(2, 11), {
    name: "JsonlError",
    message: `${path}: the file was cut while it was read`,
  });
});

Deno.test("openRowFile() reads frames of zstd one after another, and names a later one that is damaged", async () => {
  await using folder = await tempFolder();
  const frames = ["a,b\n", "1,2\n", "3,4\n"].map((text) => zstdCompressSync(utf8(text)));
  const path = await folder.write(
    "a.csv.zst",
    Uint8Array.of(...frames.flatMap((each) => [...each])),
  );
  const rows = await Array.fromAsync(readRows(path, (values, { line }) => [line, values]));
  assert.deepEqual(rows, [[2, { a: "1", b: "2" }], [3, { a: "3", b: "4" }]]);
  // Of a block that is of no kind.
  const bad = Uint8Array.of(...frames[1].subarray(0, 5), ...frames[1].subarray(5).fill(0xff));
  const damaged = await folder.write("b.csv.zst", Uint8Array.of(...frames[0], ...bad));
  await assert.rejects(
    Array.fromAsync(readRows(damaged, (values) => values)),
    (error: Error) => {
      const start = `${damaged}: cannot unpack the zstd file: `;
      const end = "; it is cut or damaged, fetch it again";
      assert.ok(error.message.startsWith(start) && error.message.endsWith(end), error.message);
      return true;
    },
  );
});

Deno.test("openRowFile() opens no folder, no link to nothing and no path through a file", async () => {
  await using folder = await tempFolder();
  const file = await folder.write("a.jsonl", "{}");
  await symlink(`${folder.path}/none`, `${folder.path}/link`);
  const refused: readonly (readonly [string, string])[] = [
    [folder.path, "expected a file of rows, got a directory; name a file in it"],
    [`${folder.path}/link`, "expected a file of rows, got no such file"],
    [`${folder.path}/none`, "expected a file of rows, got no such file"],
  ];
  for (const [path, problem] of refused) {
    await assert.rejects(openRowFile(path), {
      name: "JsonlError",
      message: `${path}: ${problem}`,
    });
  }
  const long = `${folder.path}/${"x".repeat(300)}`;
  await assert.rejects(openRowFile(long), (error: Error) => {
    assert.ok(error.message.startsWith(`${long}: cannot open the file: `), error.message);
    assert.ok(error.cause instanceof Error);
    return true;
  });
  assert.deepEqual(await describeRowFile(file), { format: { kind: "jsonl" }, note: undefined });
});

Deno.test("readRows() hands on rows, refused ones and how far it is, in order", async () => {
  await using folder = await tempFolder();
  const row = (i: number): string => JSON.stringify({ i, text: "x".repeat(999) });
  const lines = Array.from({ length: 100 }, (_, i) => i === 70 ? "{" : row(i));
  const path = await folder.write("a.jsonl", `\n${lines.join("\n")}\n\n`);
  const { size } = await Deno.stat(path);
  const events: unknown[] = [];
  const rows = readRows(path, ({ i }, { line }) => {
    if (i === 5) throw new Error("not the row's");
    return [line, i];
  }, {
    onRead: (bytes) => void events.push(`read ${bytes}`),
    onRefused: ({ message }) => void events.push(message),
  });
  await assert.rejects(Array.fromAsync(rows), { message: "not the row's" });
  assert.equal(events.length, 0);
  const all = await Array.fromAsync(
    readRows(path, ({ i }, { line }) => {
      events.push(line);
      return i;
    }, {
      onRead: (bytes) => void events.push(`read ${bytes}`),
      onRefused: ({ line }) => void events.push(`refused ${line}`),
    }),
  );
  assert.deepEqual(all, [...Array(100).keys()].filter((i) => i !== 70));
  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => from + i);
  const read = Math.floor((65_536 - 1) / (row(50).length + 1));
  const at = events.indexOf("read 65536");
  assert.ok(Math.abs(at - read) <= 1, `${at}`);
  assert.deepEqual(events.toSpliced(at, 1), [
    ...numbers(2, 72),
    "refused 72",
    ...numbers(73, 102),
    `read ${size}`,
  ]);
  // What is wrong with the file itself is no row's fault.
  const blank = await folder.write("b.jsonl", `${"\n".repeat(70_000)}{\n${row(1)}\n`);
  await assert.rejects(Array.fromAsync(readRows(blank, (each) => each, { onRefused: () => {} })), {
    message:
      `${blank}: expected JSON Lines, a JSON array, CSV, TSV or Parquet, got JSON over several lines; ` +
      `write one object a line: jq -c . ${blank} > converted.jsonl`,
  });
});
