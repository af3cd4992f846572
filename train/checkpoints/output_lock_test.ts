import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { lockOutput } from "./output_lock.ts";

Deno.test("lockOutput() makes the folder, refuses a second holder, and lets go", async () => {
  await using folder = await tempFolder();
  const directory = `${folder.path}/a/b`;
  {
    using lock = await lockOutput(directory);
    assert.equal(lock.directory, directory);
    await assert.rejects(lockOutput(directory), {
      message: `Cannot train into ${directory}: another trainer is writing there; wait for it or ` +
        "give another --output-dir",
    });
  }
  using again = await lockOutput(directory);
  assert.equal(again.directory, directory);
});

Deno.test("lockOutput() says where a file is in the way", async () => {
  await using folder = await tempFolder();
  const file = await folder.write("file", "");
  await assert.rejects(lockOutput(file), {
    message: `Cannot write into ${file}: it is a file; give another --output-dir`,
  });
  await assert.rejects(lockOutput(`${file}/output`), {
    message: `Cannot write into ${file}/output: a part of its path is a file; ` +
      "give another --output-dir",
  });
});
