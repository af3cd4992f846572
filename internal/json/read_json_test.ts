import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { readJson } from "./read_json.ts";

Deno.test("readJson() reads a file of 1 MiB, or as large as it is told, and no larger one", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("a.json", "[1]".padEnd(2 ** 20));
  assert.deepEqual(await readJson(path, "mend it"), [1]);
  await folder.write("a.json", "[1]".padEnd(2 ** 20 + 1));
  await assert.rejects(readJson(path, "mend it"), {
    name: "RangeError",
    message: `Cannot read ${path}: it has 1048577 bytes, more than 1048576; mend it`,
  });
  await folder.write("a.json", '"a"');
  assert.equal(await readJson(path, "mend it", { maxBytes: 3 }), "a");
  await assert.rejects(readJson(path, "mend it", { maxBytes: 2 }), RangeError);
});

Deno.test("readJson() answers undefined where there is no file, and names one that is no JSON", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("a.json", "{");
  assert.equal(await readJson(`${folder.path}/none.json`, "mend it"), undefined);
  assert.equal(await readJson(`${path}/none.json`, "mend it"), undefined);
  await assert.rejects(readJson(path, "mend it"), (error: Error) => {
    const { message } = error.cause as Error;
    assert.deepEqual([error.name, error.message], [
      "SyntaxError",
      `Cannot read ${path}: it is not valid JSON (${message}); mend it`,
    ]);
    return true;
  });
});
