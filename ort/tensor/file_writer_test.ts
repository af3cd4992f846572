import assert from "node:assert/strict";
import { createHash } from "node:crypto";
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
