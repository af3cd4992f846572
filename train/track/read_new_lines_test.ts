import assert from "node:assert/strict";
import { appendFile, rename, stat, symlink, truncate } from "node:fs/promises";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { readNewLines } from "./read_new_lines.ts";

const MIB = 2 ** 20;

/** The part of a cursor that tells files apart. */
async function identityOf(path: string): Promise<string> {
  const { ino, birthtimeMs } = await stat(path);
  return `${ino}.${Math.round(birthtimeMs)}`;
}

Deno.test("readNewLines() gives each whole line once, and a last one when it is whole", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("log", "one\ntwo ä\nthr");
  const identity = await identityOf(path);
  const first = await readNewLines(path, "");
  const none = { reset: false, more: false };
  assert.deepEqual(first, { ...none, cursor: `${identity}-11`, lines: ["one", "two ä"] });
  assert.deepEqual(await readNewLines(path, first.cursor), { ...first, lines: [] });
  await appendFile(path, "ee\n\nfive\n");
  const second = await readNewLines(path, first.cursor);
  assert.deepEqual(second, { ...none, cursor: `${identity}-23`, lines: ["three", "", "five"] });
  // Exactly at the end of the file.
  assert.deepEqual(await readNewLines(path, second.cursor), { ...second, lines: [] });
});

Deno.test("readNewLines() reads a file from its start that was cut or replaced, or under a cursor of none", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("log", "one\ntwo\n");
  const { cursor } = await readNewLines(path, "");
  await truncate(path, 7);
  const cut = await readNewLines(path, cursor);
  const identity = await identityOf(path);
  assert.deepEqual(cut, { cursor: `${identity}-4`, reset: true, more: false, lines: ["one"] });
  for (
    const other of [
      `1${cut.cursor}`,
      `${identity}-`,
      `${identity}-4x`,
      `${identity}-${"4".repeat(16)}`,
    ]
  ) {
    assert.deepEqual(await readNewLines(path, other), cut, other);
  }
  // Of fifteen digits at most.
  const padded = await readNewLines(path, `${identity}-${"4".padStart(15, "0")}`);
  assert.deepEqual(padded, { ...cut, reset: false, lines: [] });
  await rename(await folder.write("other", "new\nnewer\n"), path);
  assert.deepEqual(await readNewLines(path, cut.cursor), {
    cursor: `${await identityOf(path)}-10`,
    reset: true,
    more: false,
    lines: ["new", "newer"],
  });
});

Deno.test("readNewLines() reads a long file a MiB at a time", async () => {
  await using folder = await tempFolder();
  const line = `${"x".repeat(2 ** 19 - 1)}\n`;
  const path = await folder.write("log", line + line);
  const identity = await identityOf(path);
  const lines = [line.trim(), line.trim()];
  const whole = { cursor: `${identity}-${MIB}`, reset: false, more: false, lines };
  assert.deepEqual(await readNewLines(path, ""), whole);
  await appendFile(path, "y");
  assert.deepEqual(await readNewLines(path, ""), { ...whole, more: true });
  assert.deepEqual(await readNewLines(path, whole.cursor), { ...whole, lines: [] });
});

Deno.test("readNewLines() passes over a line of over a MiB in pieces", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("log", `${"x".repeat(MIB + 5)}\nnext\n`);
  const identity = await identityOf(path);
  const first = await readNewLines(path, "");
  assert.deepEqual(first, { cursor: `${identity}-${MIB}`, reset: false, more: true, lines: [] });
  assert.deepEqual(await readNewLines(path, first.cursor), {
    ...first,
    cursor: `${identity}-${MIB + 11}`,
    more: false,
    lines: ["xxxxx", "next"],
  });
  // One of less waits for its end.
  const short = await folder.write("short", "x".repeat(MIB - 1));
  const { cursor, more } = await readNewLines(short, "");
  assert.deepEqual([cursor, more], [`${await identityOf(short)}-0`, false]);
});

Deno.test("readNewLines() finds nothing where no regular file is", async () => {
  await using folder = await tempFolder();
  const nothing = { cursor: "", reset: false, more: false, lines: [] };
  const link = `${folder.path}/link`;
  await symlink("/proc/self/environ", link);
  for (const path of [`${folder.path}/none`, folder.path, link]) {
    assert.deepEqual(await readNewLines(path, ""), nothing, path);
    assert.deepEqual(await readNewLines(path, "5.5-1"), { ...nothing, reset: true }, path);
  }
  const file = await folder.write("file", "");
  await assert.rejects(readNewLines(`${file}/below`, ""), { code: "ENOTDIR" });
});
