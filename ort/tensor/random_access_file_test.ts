import assert from "node:assert/strict";
import { open } from "node:fs/promises";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { RandomAccessFile } from "./random_access_file.ts";

const BYTES = Uint8Array.from({ length: 100 }, (_, i) => i);

Deno.test("a file is read from any byte on, to its end", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("a", BYTES);
  await using file = await RandomAccessFile.open(path, "weights");
  assert.deepEqual([file.path, file.size], [path, 100]);
  for (
    const [position, length, got] of [[0, 100, 100], [7, 5, 5], [95, 20, 5], [100, 3, 0], [3, 0, 0]]
  ) {
    const into = new Uint8Array(length);
    assert.equal(await file.read(into, position), got);
    assert.deepEqual(into.slice(0, got), BYTES.slice(position, position + got));
    assert.ok(into.slice(got).every((byte) => byte === 0));
  }
  const into = new Uint8Array(6);
  await file.readTensor("t", into, 94);
  assert.deepEqual(into, BYTES.slice(94));
  await assert.rejects(file.readTensor("t", into, 96), {
    name: "RangeError",
    message:
      `Cannot read tensor "t": ${
        JSON.stringify(path)
      } ended 2 bytes early, so it was cut since it was opened. ` +
      "Restore it and open it again",
  });
});

Deno.test("a read goes on where the system gave only a part", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("a", BYTES);
  const probe = await open(path);
  const handle = Object.getPrototypeOf(probe);
  await probe.close();
  const { read } = handle;
  handle.read = function (into: Uint8Array, at: number, length: number, position: number) {
    return read.call(this, into, at, Math.min(7, length), position);
  };
  try {
    await using file = await RandomAccessFile.open(path, "weights");
    const into = new Uint8Array(30);
    assert.equal(await file.read(into, 50), 30);
    assert.deepEqual(into, BYTES.slice(50, 80));
    assert.equal(await file.read(into, 80), 20);
    assert.deepEqual(into.slice(0, 20), BYTES.slice(80));
  } finally {
    handle.read = read;
  }
});

Deno.test("a closed file reads nothing more, and ends what was asked for before", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("a", BYTES);
  const file = await RandomAccessFile.open(path, "weights");
  const reads = Promise.all([0, 1, 2].map(async (i) => {
    const into = new Uint8Array(1);
    await file.read(into, i);
    return into[0];
  }));
  await file[Symbol.asyncDispose]();
  await file[Symbol.asyncDispose]();
  assert.deepEqual(await reads, [0, 1, 2]);
  const closed = `${JSON.stringify(path)} is closed`;
  await assert.rejects(file.read(new Uint8Array(1), 0), { name: "TypeError", message: closed });
  await assert.rejects(file.readTensor("t", new Uint8Array(1), 0), (error: Error) => {
    assert.deepEqual([error.name, error.message], [
      "TypeError",
      `Cannot read tensor "t": ${closed}. Read before it is disposed`,
    ]);
    assert.equal((error.cause as Error).message, closed);
    return true;
  });
  const other = await RandomAccessFile.open(path, "weights");
  other[Symbol.dispose]();
  other[Symbol.dispose]();
  await assert.rejects(other.read(new Uint8Array(1), 0), TypeError);
});

Deno.test("what is no file is refused by its kind", async () => {
  await using folder = await tempFolder();
  const quoted = (name: string) => JSON.stringify(`${folder.path}/${name}`);
  await assert.rejects(RandomAccessFile.open(folder.path, "weights"), {
    name: "RangeError",
    message: `Cannot read weights ${
      JSON.stringify(folder.path)
    }: it is not a regular file. Give a file`,
  });
  await assert.rejects(RandomAccessFile.open(`${folder.path}/none`, "weights"), (error: Error) => {
    assert.ok(error instanceof Deno.errors.NotFound && error.cause instanceof Error);
    assert.equal(
      error.message,
      `Cannot read weights ${quoted("none")}: there is no such file. Check the path`,
    );
    return true;
  });
  // A link leads where this process may read.
  await Deno.symlink(await folder.write("a", BYTES), `${folder.path}/link`);
  await using file = await RandomAccessFile.open(`${folder.path}/link`, "weights");
  assert.equal(file.size, 100);
});
