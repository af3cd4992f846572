import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { mergedOrigin, modelIdOfPath, ORIGIN_FILE, readModelOrigin } from "./model_origin.ts";

Deno.test("modelIdOfPath() is the id that a fetched model's or a hub's cache's folder is named by", () => {
  for (
    const [path, id] of [
      ["models/acme/Smol", "acme/Smol"],
      ["/home/me/models/acme/Smol-2.5/", "acme/Smol-2.5"],
      ["C:\\models\\acme\\Smol", "acme/Smol"],
      ["/root/.cache/huggingface/hub/models--acme--Smol/snapshots/c1899d", "acme/Smol"],
      ["models/tiny", undefined],
      ["models/acme/Smol/checkpoint-4", undefined],
      ["models/../output/b", undefined],
      ["output/b/checkpoint-4", undefined],
      ["mymodels/acme/Smol", undefined],
      ["", undefined],
    ] as const
  ) assert.equal(modelIdOfPath(path), id, path);
});

Deno.test("readModelOrigin() trusts the file before the path, and no damaged file", async () => {
  await using folder = await tempFolder();
  const model = `${folder.path}/models/acme/Smol`;
  await Deno.mkdir(model, { recursive: true });
  assert.deepEqual(await readModelOrigin(model), { id: "acme/Smol" });
  for (
    const [text, origin] of [
      ['{"version": 1, "id": "acme/Big", "files": {}}', { id: "acme/Big" }],
      ['{"version": 1, "baseModel": "acme/Base"}', { baseModel: "acme/Base" }],
      ['{"version": 1, "id": "../../etc"}', { id: "acme/Smol" }],
      ['{"version": 1, "id": 7}', { id: "acme/Smol" }],
      ["[]", { id: "acme/Smol" }],
      ['{"version": 1', { id: "acme/Smol" }],
    ] as const
  ) {
    await Deno.writeTextFile(`${model}/${ORIGIN_FILE}`, text);
    assert.deepEqual(await readModelOrigin(model), origin, text);
  }
});

Deno.test("mergedOrigin() names the base of a merged model, and of one that is merged anew the first", async () => {
  await using folder = await tempFolder();
  assert.deepEqual(await mergedOrigin(folder.path), {});
  await folder.write(ORIGIN_FILE, '{"version": 1, "id": "acme/Smol"}');
  const once = await mergedOrigin(folder.path);
  assert.deepEqual(JSON.parse(once[ORIGIN_FILE]), { version: 1, baseModel: "acme/Smol" });
  await folder.write(ORIGIN_FILE, once[ORIGIN_FILE]);
  assert.deepEqual(await mergedOrigin(folder.path), once);
});
