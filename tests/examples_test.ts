/** The example programs do what they say, on the quickstart's model and records. */

import assert from "node:assert/strict";
import { verifyCheckpoint } from "../train/checkpoints/checkpoint.ts";
import { IDLE_THREADS } from "./support/process.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath, runDeno } from "./support/run_script.ts";

const MOST_LINES = 60;

/** Runs an example in a folder; answers what it wrote. */
async function run(cwd: string, name: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runDeno(
    [
      ...["run", "--quiet", "--no-prompt", `--config=${repositoryPath("deno.json")}`],
      ...[IDLE_THREADS, "--cached-only", "--allow-ffi"],
      ...[`--allow-read=${cwd}`, `--allow-write=${cwd}`],
      "--allow-sys=systemMemoryInfo",
      repositoryPath(`examples/${name}.ts`),
      ...args,
    ],
    cwd,
  );
  assert.equal(code, 0, stderr);
  return stdout + stderr;
}

Deno.test("examples prepare data, train a model and an adapter, and ask both", async () => {
  await using folder = await quickstartFolder();
  const at = (path: string) => `${folder.path}/${path}`;
  const rows = (await Deno.readTextFile(at("data/train.jsonl"))).trim().split("\n").slice(0, 10);
  await Deno.writeTextFile(at("rows.jsonl"), rows.join("\n"));

  // The examples' rows are longer than this model's positions.
  const config = JSON.parse(await Deno.readTextFile(at("models/tiny/config.json")));
  const longer = JSON.stringify({ ...config, max_position_embeddings: 2048 });
  await Deno.writeTextFile(at("models/tiny/config.json"), longer);

  const split = await run(folder.path, "data", ["rows.jsonl", "split"]);
  assert.match(split, /split\/train\.jsonl: 9 rows\nsplit\/val\.jsonl: 1 rows/);
  const own = await Deno.readTextFile(at("split/train.jsonl"));
  assert.equal(own.trim().split("\n").length, 9);

  const files = ["models/tiny", "split/train.jsonl", "split/val.jsonl"];
  await run(folder.path, "train", [...files, "full"]);
  await verifyCheckpoint(at("full/checkpoint-6"));
  const said = await run(folder.path, "inference", ["full/checkpoint-6", "你好"]);
  assert.match(said, /\d+ tokens in [\d.]+ s/);

  const trained = await run(folder.path, "train_lora", [...files, "lora"]);
  assert.match(trained, /the adapter is in lora\/checkpoint-6/);
  await verifyCheckpoint(at("lora/checkpoint-6"));
  const asked = ["models/tiny", "lora/checkpoint-6", "你好"];
  assert.ok((await run(folder.path, "inference_lora", asked)).trim().length > 0);
});

Deno.test("examples are short, and stand on the public entries alone", async () => {
  for await (const { name, isFile } of Deno.readDir(repositoryPath("examples"))) {
    if (!isFile || !name.endsWith(".ts")) continue;
    const text = await Deno.readTextFile(repositoryPath(`examples/${name}`));
    assert.ok(text.trimEnd().split("\n").length <= MOST_LINES, name);
    const imported = [...text.matchAll(/from "([^"]+)"/g)].map(([, path]) => path);
    assert.ok(imported.every((path) => path.startsWith("@ortune/ortune")), name);
  }
});
