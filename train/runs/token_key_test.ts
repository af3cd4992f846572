import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { tokenKey, type TokenKeyArguments } from "./token_key.ts";

Deno.test("tokenKey() changes with each thing that decides tokens, and with nothing else", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("train.jsonl", "{}\n");
  await folder.write("tokenizer.json", "{}");
  await folder.write("tokenizer_config.json", "{}");
  const args: TokenKeyArguments = { model: folder.path, maxLength: 512, system: "s" };
  const template = { chatTemplate: "{{ messages }}" };
  const key = (change: Partial<TokenKeyArguments> = {}, chat = template): Promise<string> =>
    tokenKey(path, { ...args, ...change }, chat);
  const base = await key();
  assert.match(base, /^[\da-f]{64}$/);

  await Deno.copyFile(path, `${folder.path}/copy.jsonl`);
  const defaults = { columns: {}, teach: "all", truncation: "right" } as const;
  const flags = { ...args, ...defaults, seed: 7, dropUnlabelled: true, packing: true };
  assert.equal(await tokenKey(`${folder.path}/copy.jsonl`, flags, template), base);

  const keys = [
    base,
    await key({ maxLength: 511 }),
    await key({ system: "" }),
    await key({ compat: "seed" }),
    await key({ columns: { question: "q" } }),
    await key({ teach: "last" }),
    await key({ truncation: "left" }),
    await key({}, { chatTemplate: "{{ messages | tojson }}" }),
    await key({}, { chatTemplate: "{{ strftime_now('%d') }}" }),
  ];
  for (const name of ["train.jsonl", "tokenizer.json", "tokenizer_config.json"]) {
    const content = await Deno.readTextFile(`${folder.path}/${name}`);
    await folder.write(name, `${content} `);
    keys.push(await key());
    await folder.write(name, content);
  }
  assert.equal(await key(), base);
  assert.equal(new Set(keys).size, keys.length);
});
