import assert from "node:assert/strict";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { companionFiles } from "./model_files.ts";

Deno.test("companionFiles() names the tokenizer's and generation's files, and no others", async () => {
  await using folder = await tempFolder();
  const present = ["tokenizer.json", "merges.txt", "chat_template.jinja", "generation_config.json"];
  for (const name of [...present, "config.json", "model.safetensors", "README.md"]) {
    await folder.write(name, "");
  }
  await Deno.mkdir(`${folder.path}/vocab.json`);
  assert.deepEqual(
    (await companionFiles(folder.path)).toSorted(),
    present.map((name) => `${folder.path}/${name}`).toSorted(),
  );
});
