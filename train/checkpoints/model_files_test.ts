import assert from "node:assert/strict";
import { CHAT_SETTINGS } from "../../data/text/chat_settings.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
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

Deno.test("companionFiles() takes what a link of the folder names, and refuses links that lead out", async () => {
  await using folder = await tempFolder();
  await using other = await tempFolder();
  await folder.write("real.json", "{}");
  await Deno.symlink("real.json", `${folder.path}/tokenizer.json`);
  assert.deepEqual(await companionFiles(folder.path), [`${folder.path}/tokenizer.json`]);
  await Deno.symlink(await other.write("merges", ""), `${folder.path}/merges.txt`);
  await assert.rejects(companionFiles(folder.path), {
    message:
      `Cannot use ${folder.path}/merges.txt: it is a link to a file outside of its folder; put ` +
      "the file itself into the folder",
  });
});

Deno.test("companionFiles() knows every file of a tokenizer, in a fixed order", async () => {
  await using folder = await tempFolder();
  const all = [
    ...["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"],
    ...["vocab.json", "merges.txt", "chat_template.jinja", "generation_config.json"],
    CHAT_SETTINGS,
  ];
  for (const name of all.toReversed()) await folder.write(name, "");
  assert.deepEqual(await companionFiles(folder.path), all.map((name) => `${folder.path}/${name}`));
});
