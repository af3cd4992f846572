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
