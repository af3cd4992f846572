import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { FileWriter, writeError } from "./file_writer.ts";
import { recordFiles } from "../../tests/support/record_files.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";

Deno.test("a committed file has its bytes, length and SHA-256", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await using file = await FileWriter.create(`${dir}/a`);
  await file.write(Uint8Array.of(1, 2));
  await file.write(Uint8Array.of(3));
  const sha256 = createHash("sha256").update(Uint8Array.of(1, 2, 3)).digest("hex");
  assert.deepEqual(await file.commit(), { bytes: 3, sha256 });
  assert.deepEqual(await Deno.readFile(`${dir}/a`), Uint8Array.of(1, 2, 3));
});

Deno.test("a commit syncs the bytes before they have the file's name", async () => {
  await using folder = await tempFolder();
  await using file = await FileWriter.create(`${folder.path}/a`);
  await file.write(Uint8Array.of(1));
  using record = await recordFiles();
  await file.commit();
  assert.deepEqual(record.calls, ["sync a handle", "rename a.RANDOM.tmp to a"]);
});

Deno.test({
  name: "a committed file is closed",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using folder = await tempFolder();
    const opened = async (): Promise<number> =>
      (await Array.fromAsync(Deno.readDir("/proc/self/fd"), ({ name }) => name)).length;
    const before = await opened();
    for (let i = 0; i < 4; i++) {
      const file = await FileWriter.create(`${folder.path}/${i}`);
      await file.write(Uint8Array.of(1));
      await file.commit();
    }
    assert.ok(await opened() < before + 4);
  },
});

Deno.test("a file that was not committed leaves nothing", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  {
    await using file = await FileWriter.create(`${dir}/a`);
    await file.write(Uint8Array.of(1));
  }
  assert.deepEqual([...Deno.readDirSync(dir)], []);
});

Deno.test("a commit that cannot rename leaves nothing and names the path", async () => {
  await using folder = await tempFolder();
  const dir = folder.path;
  await Deno.mkdir(`${dir}/a/b`, { recursive: true });
  await using file = await FileWriter.create(`${dir}/a`);
  await assert.rejects(file.commit(), /^Error: Cannot write ".*\/a": /);
  assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name), ["a"]);
});

Deno.test({
  name: "a full disk is told with the path, the bytes and a way out",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using full = await Deno.open("/dev/full", { write: true });
    const cause = await full.write(Uint8Array.of(1)).then(() => undefined, (error) => error);
    const error = writeError("out/model.safetensors", 42, cause);
    assert.equal(
      error.message,
      'Cannot write "out/model.safetensors": the disk is full after 42 bytes. Free space or choose ' +
        "another disk, then write again",
    );
    assert.equal(error.cause, cause);
  },
});

Deno.test("whole() writes what is filled in, or nothing", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a`;
  const bytes = new Uint8Array(3_000_000).fill(5);
  const written = await FileWriter.whole(path, async (file) => {
    await file.write(bytes);
    await file.write(new Uint8Array(0));
  });
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  assert.deepEqual(written, { bytes: 3_000_000, sha256 });
  assert.deepEqual(await Deno.readFile(path), bytes);
  const failed = FileWriter.whole(`${folder.path}/b`, async (file) => {
    await file.write(bytes);
    throw new Error("no more");
  });
  await assert.rejects(failed, /^Error: no more$/);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["a"]);
});

Deno.test("a file is staged beside its own place, which must exist", async () => {
  await using folder = await tempFolder();
  const file = await FileWriter.create(`${folder.path}/a`);
  const [{ name }] = [...Deno.readDirSync(folder.path)];
  assert.match(name, /^a\.[0-9a-f-]{36}\.tmp$/);
  await file[Symbol.asyncDispose]();
  await file[Symbol.asyncDispose]();
  assert.deepEqual([...Deno.readDirSync(folder.path)], []);
  await assert.rejects(
    FileWriter.create(`${folder.path}/none/a`),
    /^Error: Cannot write ".*none\/a": .*\. Check that its folder exists and may be written$/,
  );
});

Deno.test("a write that fails says after how many bytes", async () => {
  await using folder = await tempFolder();
  await using file = await FileWriter.create(`${folder.path}/a`);
  await file.write(new Uint8Array(7));
  const probe = await open("/dev/null");
  const handle = Object.getPrototypeOf(probe);
  await probe.close();
  const { write } = handle;
  let calls = 0;
  // Some bytes at first, as systems may, then none.
  handle.write = async function (bytes: Uint8Array, from: number) {
    if (++calls === 3) throw Object.assign(new Error("full"), { code: "ENOSPC" });
    return await write.call(this, bytes, from, Math.min(2, bytes.length - from));
  };
  try {
    await file.write(Uint8Array.of(1, 2, 3));
    assert.equal(calls, 2);
    await assert.rejects(
      file.write(Uint8Array.of(4)),
      /^Error: Cannot write ".*\/a": the disk is full after 10 bytes\. /,
    );
  } finally {
    handle.write = write;
  }
});

Deno.test("writeError() knows a full disk by its code or its words", () => {
  const full =
    'Cannot write "a": the disk is full after 9 bytes. Free space or choose another disk, then write again';
  const coded = (code: string, message = "x") => Object.assign(new Error(message), { code });
  const told = (cause: unknown) => writeError("a", 9, cause).message;
  for (
    const cause of [
      coded("ENOSPC"),
      coded("EDQUOT"),
      new Error("no space left on device"),
      new Error("Disk QUOTA exceeded"),
      "No space left",
    ]
  ) assert.equal(told(cause), full);
  for (const [cause, words] of [[coded("EACCES", "denied"), "denied"], ["text", "text"]] as const) {
    assert.equal(
      told(cause),
      `Cannot write "a": ${words}. Check that its folder exists and may be written`,
    );
  }
});
