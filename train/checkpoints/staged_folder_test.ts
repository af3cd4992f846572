import assert from "node:assert/strict";
import { basename } from "node:path";
import { recordFiles } from "../../tests/support/record_files.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { stageFolder } from "./staged_folder.ts";

Deno.test("stageFolder() syncs all files and folders before they have their name, and the folder around after", async () => {
  await using folder = await tempFolder();
  await using staged = await stageFolder(`${folder.path}/merged`, "merge");
  await Deno.mkdir(`${staged.path}/onnx`);
  await Deno.writeTextFile(`${staged.path}/config.json`, "{}");
  await Deno.writeTextFile(`${staged.path}/onnx/model.onnx`, "graph");
  using record = await recordFiles();
  await staged.finish();
  const calls = [...record.calls];
  const rename = "rename .unfinished-merged to merged";
  assert.deepEqual(calls.splice(-2), [rename, `sync ${basename(folder.path)}`]);
  // Where a folder stands among the others is the file system's affair; it follows what it holds.
  assert.deepEqual(calls.toSorted(), [
    "sync .unfinished-merged",
    "sync config.json",
    "sync model.onnx",
    "sync onnx",
  ]);
  assert.ok(calls.indexOf("sync model.onnx") < calls.indexOf("sync onnx"));
  assert.equal(calls.at(-1), "sync .unfinished-merged");
});
