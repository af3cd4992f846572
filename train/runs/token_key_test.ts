import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { VERSION } from "../../internal/version.ts";
import { sha256 } from "../checkpoints/checkpoint.ts";
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

Deno.test("tokenKey() is a hash of what decides tokens, with what is only there where it is asked for", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("train.jsonl", "data");
  await folder.write("tokenizer.json", "tokenizer");
  await folder.write("tokenizer_config.json", "config");
  const whole = {
    ortune: VERSION,
    data: sha256("data"),
    tokenizer: sha256("tokenizer"),
    config: sha256("config"),
    template: null,
    day: null,
    maxLength: 512,
    system: "s",
    compat: null,
    emptyThink: null,
    dropRefusedRows: false,
    columns: [],
    teach: "all",
    truncation: "right",
  };
  const same = async (
    change: Partial<TokenKeyArguments>,
    chatTemplate: string | undefined,
    hashed: Record<string, unknown>,
  ) => {
    const args = { model: folder.path, maxLength: 512, system: "s", ...change };
    assert.equal(
      await tokenKey(path, args, { chatTemplate }),
      sha256(JSON.stringify(hashed)),
      JSON.stringify(change),
    );
  };
  await same({}, undefined, whole);
  await same({ limit: 0 }, "{{ messages }}", { ...whole, template: "{{ messages }}", limit: 0 });
  const dated = "{{ strftime_now('%d') }}";
  await same({}, dated, { ...whole, template: dated, day: new Date().toDateString() });
  // By their names, whatever order they come in.
  const columns = { response: "r", history: "h", question: "q" };
  const inOrder = [["history", "h"], ["question", "q"], ["response", "r"]];
  await same({ columns }, undefined, { ...whole, columns: inOrder });
  const chosen = { compat: "seed", emptyThink: "learn", dropRefusedRows: true } as const;
  await same(
    { ...chosen, teach: "last", truncation: "left" } as unknown as Partial<TokenKeyArguments>,
    undefined,
    { ...whole, ...chosen, teach: "last", truncation: "left" },
  );
  // Files of older models come right after the others, each where it is there.
  await folder.write("added_tokens.json", "added");
  const { ortune, data, tokenizer, config, ...rest } = whole;
  const first = { ortune, data, tokenizer, config };
  const added = { "added_tokens.json": sha256("added") };
  await same({}, undefined, { ...first, ...added, ...rest });
  await folder.write("special_tokens_map.json", "special");
  const special = { "special_tokens_map.json": sha256("special") };
  await same({}, undefined, { ...first, ...special, ...added, ...rest });
});
