import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { optimizerStatePath } from "./optimizer_state.ts";

Deno.test("optimizerStatePath() is the old name where only that is there", async () => {
  await using folder = await tempFolder();
  const [path, old] = ["optimizer.state", "optimizer.safetensors"].map((name) =>
    `${folder.path}/${name}`
  );
  assert.equal(await optimizerStatePath(folder.path), path);
  await folder.write("optimizer.safetensors", "");
  assert.equal(await optimizerStatePath(folder.path), old);
  await folder.write("optimizer.state", "");
  assert.equal(await optimizerStatePath(folder.path), path);
  await Deno.remove(old);
  assert.equal(await optimizerStatePath(folder.path), path);
});
