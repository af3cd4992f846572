import assert from "node:assert/strict";
import { recordFiles } from "../tests/support/record_files.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { writeWhole } from "./write_whole.ts";

Deno.test("writeWhole() syncs the text before it has the file's name", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("run.json", "old");
  using record = await recordFiles();
  await writeWhole(path, "new");
  assert.deepEqual(record.calls, [
    "sync .staging-run.json",
    "rename .staging-run.json to run.json",
  ]);
  assert.equal(await Deno.readTextFile(path), "new");
});

Deno.test("writeWhole() that fails leaves the file as it was and nothing beside it", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/run.json/full`, { recursive: true });
  await assert.rejects(writeWhole(`${folder.path}/run.json`, "new"));
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["run.json"]);
});

Deno.test("writeWhole() writes over what a killed process left, and takes texts of any length", async () => {
  await using folder = await tempFolder();
  await folder.write(".staging-a.txt", "x".repeat(100));
  const path = `${folder.path}/a.txt`;
  for (const text of ["é\n", "", "y".repeat(3_000_000)]) {
    await writeWhole(path, text);
    assert.equal(await Deno.readTextFile(path), text);
  }
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["a.txt"]);
});

Deno.test("writeWhole() that may not write removes nothing", async () => {
  const { open, remove } = Deno;
  const denied = new Deno.errors.NotCapable("write");
  const removed: unknown[] = [];
  Object.assign(Deno, {
    open: () => Promise.reject(denied),
    remove: (path: string) => Promise.resolve(void removed.push(path)),
  });
  try {
    await assert.rejects(writeWhole("a/b.txt", "x"), denied);
    assert.deepEqual(removed, []);
    Object.assign(Deno, { open: () => Promise.reject(new Error("full")) });
    await assert.rejects(writeWhole("a/b.txt", "x"), /full/);
    assert.deepEqual(removed, ["a/.staging-b.txt"]);
  } finally {
    Object.assign(Deno, { open, remove });
  }
});
