/** What needs no native library does in Node what it does in Deno. */

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
import { type TempFolder, tempFolder } from "./support/temp_folder.ts";
import { withoutNative } from "./support/without_native.ts";

/** The first that runs TypeScript as it is and lets imports be resolved by hooks. */
const OLDEST = [22, 18] as const;
const node = Deno.env.get("ORTUNE_NODE") ?? "node";

async function output(args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(node, { args, env }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

async function isThere(): Promise<boolean> {
  try {
    const [, major, minor] = /^v(\d+)\.(\d+)/.exec((await output(["--version"])).stdout) ?? [];
    return Number(major) > OLDEST[0] || Number(major) === OLDEST[0] && Number(minor) >= OLDEST[1];
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw cause;
  }
}

/** A folder whose node_modules has the packages of deno.json that these entries import. */
async function packages(): Promise<TempFolder> {
  const info = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(info.stdout));
  const { imports } = JSON.parse(await Deno.readTextFile(repositoryPath("deno.json")));
  const folder = await tempFolder();
  for (const name of ["@huggingface/tokenizers", "@bufbuild/protobuf"]) {
    const version = imports[name].slice(`npm:${name}@`.length);
    const link = `${folder.path}/node_modules/${name}`;
    await Deno.mkdir(link.slice(0, link.lastIndexOf("/")), { recursive: true });
    await Deno.symlink(`${npmCache}/registry.npmjs.org/${name}/${version}`, link);
  }
  return folder;
}

/** What the program reads. */
async function given(): Promise<TempFolder> {
  await using made = await quickstartFolder();
  const folder = await tempFolder();
  await Deno.rename(`${made.path}/models/tiny`, `${folder.path}/model`);
  await Deno.rename(`${made.path}/data/train.jsonl`, `${folder.path}/train.jsonl`);
  const adapter = repositoryPath("tests/fixtures/adapters/patterns/adapter/adapter_config.json");
  await Deno.copyFile(adapter, `${folder.path}/adapter_config.json`);
  await Deno.mkdir(`${folder.path}/out`);
  return folder;
}

Deno.test({
  name: "tokenizer, examples, weights, graphs and adapter settings are the same in Node",
  ignore: !await isThere(),
  fn: async () => {
    await using modules = await packages();
    await using own = await given();
    await using other = await given();
    const { code, stdout, stderr } = await output([
      ...[
        "--no-warnings",
        "--import",
        pathToFileURL(repositoryPath("tests/support/deno_imports.mjs")).href,
      ],
      ...[repositoryPath("tests/support/without_native.ts"), other.path],
    ], { ORTUNE_TEST_PACKAGES: `${pathToFileURL(modules.path).href}/` });
    assert.equal(code, 0, stderr);
    const facts = await withoutNative(own.path);
    assert.deepEqual(JSON.parse(stdout), JSON.parse(JSON.stringify(facts)));
    assert.match(String(facts.missing), /there is no such folder/);
    assert.ok((facts.files as unknown[]).length > 1);
  },
});
