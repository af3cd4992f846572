/** A trained model or adapter reaches a hub whole, in one commit, and its token nobody else. */

import assert from "node:assert/strict";
import { resolveModel } from "../hub/resolve_model.ts";
import { startHub } from "./support/hub_stub.ts";
import { trainedRounding } from "../lora/trained_base.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { push } from "./support/push_task.ts";
import { runTask } from "./support/run_task.ts";
import { startUploadHub, type UploadStub } from "./support/upload_stub.ts";

const TRAIN = "--model models/tiny --max-length 512 --max-steps 2 --prediction-max-new-tokens 4";

/** What `deno task fetch` brings of what was pushed. */
async function fetched({ committed }: UploadStub, cacheDir: string): Promise<string[]> {
  await using hub = startHub(Object.fromEntries(committed));
  const { endpoint } = hub;
  const folder = await resolveModel("me/x", { source: "huggingface", cacheDir, endpoint });
  const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  return names.filter((name) => !name.startsWith(".")).sort();
}

/** All files of a commit but those that are for people. */
const forPrograms = ({ committed }: UploadStub): string[] =>
  [...committed.keys()].filter((name) => name !== "README.md" && name !== "loss.svg").sort();

Deno.test("deno task push sends a run's checkpoint with its card, and no optimizer state", async () => {
  await using folder = await quickstartFolder();
  assert.equal((await runTask("train", folder.path, `${TRAIN} --output-dir output/a`)).code, 0);
  await using hub = startUploadHub();
  const said = await push(folder.path, "--model output/a --repo me/medical", {
    hub,
    token: "hf_secret",
  });
  assert.deepEqual([said.code, said.stdout.trim()], [0, `${hub.endpoint}/me/medical`], said.stderr);
  assert.deepEqual([...hub.committed.keys()].sort(), [
    "README.md",
    "chat_settings.json",
    "config.json",
    "generation_config.json",
    "loss.svg",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
  ]);
  assert.deepEqual(await fetched(hub, `${folder.path}/fetched`), forPrograms(hub));
  const own = (name: string) => Deno.readFile(`${folder.path}/output/a/checkpoint-2/${name}`);
  assert.deepEqual(hub.committed.get("model.safetensors"), await own("model.safetensors"));
  for (const { host, authorization } of hub.requests) {
    assert.equal(authorization, host === "hub" ? "Bearer hf_secret" : null);
  }

  const card = new TextDecoder().decode(hub.committed.get("README.md"));
  const { files } = JSON.parse(await Deno.readTextFile(`${folder.path}/output/a/run.json`));
  assert.match(card, /^---\nlibrary_name: transformers\n/);
  assert.match(card, /!\[Loss\]\(loss\.svg\)/);
  assert.ok(card.includes(files[0].sha256), "the hash of the data");
  assert.match(card, /\| learning_rate \| 0\.0001 \|/);
  // Rounded, and told by the names that console, dashboard and report have.
  assert.match(card, /\| status \| finished \|\n\| started \| \d{4}-\d\d-\d\d \d\d:\d\d UTC \|/);
  const [, loss] = /\| eval loss \| (\d\.\d{4}) \|\n\| per token \| \d\.\d{4} \|/.exec(card)!;
  assert.ok(
    card.includes(
      `\n    metrics:\n    - type: loss\n      name: Loss\n      value: ${Number(loss)}\n`,
    ),
  );
  assert.match(card, /\| Train loss \| Epoch \| Step \| Eval loss \| Per token \|/);
  assert.match(card, /\| training \| train\.jsonl \| 28 \| [\d.]+ KiB \| [0-9a-f]{64} \|/);
  assert.match(card, /\| validation \| val\.jsonl \| 4 \| [\d.]+ KiB \| [0-9a-f]{64} \|/);
  assert.match(card, /deno task train --model models\/tiny/);
  const questions = await Deno.readTextFile(`${folder.path}/data/val.jsonl`);
  assert.ok(card.includes(JSON.parse(questions.split("\n")[0]).question));
});

Deno.test("deno task push sends an adapter as one of PEFT's, or only shows what it would send", async () => {
  await using folder = await quickstartFolder();
  assert.equal(
    (await runTask("train:lora", folder.path, `${TRAIN} --output-dir output/b`)).code,
    0,
  );
  await using hub = startUploadHub();
  const args = "--model output/b/checkpoint-2 --repo me/adapter --private";
  const dry = await push(folder.path, `${args} --dry-run`, { hub });
  assert.equal(dry.code, 0, dry.stderr);
  assert.match(dry.stdout, /library_name: peft[\s\S]*adapter_model\.safetensors +\d+ bytes/);
  // A base that is on no hub has a name, and no address to load it from.
  assert.match(dry.stdout, /^A LoRA adapter for tiny, made with /m);
  assert.match(dry.stdout, /^base = AutoModelForCausalLM\.from_pretrained\("BASE"\)$/m);
  assert.doesNotMatch(dry.stdout, /^base_model:/m);
  assert.match(
    dry.stderr,
    /^note: adapter_config\.json names "models\/tiny", which is on no hub: /,
  );
  assert.equal(hub.requests.length, 0);
  const sent = await push(folder.path, args, { hub, token: "hf_secret" });
  assert.equal(sent.code, 0, sent.stderr);
  assert.ok(
    hub.committed.has("adapter_config.json") && hub.committed.has("adapter_model.safetensors"),
  );
  assert.ok(![...hub.committed.keys()].some((name) => name.includes("optimizer")));
  const created = new TextDecoder().decode(hub.requests[0].body);
  assert.equal(JSON.parse(created).visibility, "private");
  assert.ok(!hub.committed.has("training_args.json"), "which nobody needs here");
  assert.deepEqual(await fetched(hub, `${folder.path}/fetched`), forPrograms(hub));

  // Of a base in 8 bits: whoever uses the adapter must round it so too.
  const facts = `${folder.path}/output/b/checkpoint-2/training_args.json`;
  const base = { base_dtype: "int8", base_block_size: 128, base_compute: "int8" };
  const rounded = { ...JSON.parse(await Deno.readTextFile(facts)), ...base };
  await Deno.writeTextFile(facts, JSON.stringify(rounded));
  const again = await push(folder.path, args, { hub, token: "hf_secret" });
  assert.equal(again.code, 0, again.stderr);
  const card = new TextDecoder().decode(hub.committed.get("README.md"));
  assert.match(card, /rounded \(`--base-dtype int8`\)[\s\S]*deno task merge --adapter models\/me/);
  assert.doesNotMatch(card, /PeftModel/);
  await fetched(hub, `${folder.path}/rounded`);
  assert.equal((await trainedRounding(`${folder.path}/rounded/me/x`))?.bits, 8);
});

Deno.test("what is made of a fetched model names it by its id: adapter, card, push, merge", async () => {
  await using folder = await quickstartFolder();
  const at = (path: string) => `${folder.path}/${path}`;
  const read = async (path: string) => JSON.parse(await Deno.readTextFile(at(path)));
  const run = async (name: string, args: string) => {
    const said = await runTask(name, folder.path, args);
    assert.equal(said.code, 0, said.stderr);
  };
  const steps = "--max-length 512 --max-steps 1 --report-to none";
  // A folder of another name, with what deno task fetch leaves beside the weights.
  await Deno.rename(at("models/tiny"), at("models/small"));
  const fetched = { id: "acme/Smol", source: "modelscope", revision: "master", files: {} };
  await Deno.writeTextFile(
    at("models/small/.ortune.json"),
    JSON.stringify({ version: 1, ...fetched }),
  );
  await run("train:lora", `--model models/small ${steps} --output-dir output/b`);
  const config = "output/b/checkpoint-1/adapter_config.json";
  assert.equal((await read(config)).base_model_name_or_path, "acme/Smol");

  const dry = async (model: string) => {
    const said = await push(folder.path, `--model ${model} --repo me/adapter --dry-run`);
    assert.equal(said.code, 0, said.stderr);
    assert.match(said.stdout, /^base_model: "acme\/Smol"$/m);
    return said;
  };
  assert.equal((await dry("output/b")).stderr, "");
  // There is no folder models/acme/Smol: the run's own is taken.
  await run("merge", "--adapter output/b --output-dir output/merged");
  await run("export", "--adapter output/b --output-dir output/hf --format hf --no-parity");
  for (const name of ["output/merged", "output/hf"]) {
    assert.equal((await read(`${name}/.ortune.json`)).baseModel, "acme/Smol");
    assert.doesNotMatch((await dry(name)).stdout, /ortune\.json/);
  }
  // An adapter on the merged model is not one on its base.
  await run("train:lora", `--model output/merged ${steps} --output-dir output/c`);
  const next = await read("output/c/checkpoint-1/adapter_config.json");
  assert.equal(next.base_model_name_or_path, "output/merged");

  // As adapters were saved before: push puts the id in the folder's place, and leaves all else.
  const before = await read(config);
  const old = { ...before, base_model_name_or_path: "models/acme/Smol" };
  await Deno.writeTextFile(at(config), JSON.stringify(old));
  await Deno.remove(at("output/b/run.json"));
  await using hub = startUploadHub();
  const sent = await push(folder.path, "--model output/b/checkpoint-1 --repo me/adapter", {
    hub,
    token: "hf_secret",
  });
  assert.equal(sent.code, 0, sent.stderr);
  assert.doesNotMatch(sent.stderr, /note/);
  const pushed = new TextDecoder().decode(hub.committed.get("adapter_config.json"));
  assert.deepEqual(JSON.parse(pushed), before);
});

Deno.test("deno task push says what is missing: a token, weights", async () => {
  await using folder = await quickstartFolder();
  await Deno.mkdir(`${folder.path}/output/none`, { recursive: true });
  // A folder that is empty, and one that is not there.
  for (const model of ["output/none", "output/nowhere"]) {
    const none = await push(folder.path, `--model ${model} --repo me/x --dry-run`);
    assert.deepEqual([none.code, none.stderr], [
      1,
      `error: Cannot push ${model}: it holds neither config.json with model.safetensors nor ` +
      "adapter_config.json with adapter_model.safetensors; give a checkpoint or the output folder " +
      "of a run",
    ]);
  }
  const nobody = await push(folder.path, "--model output/none --repo medical --dry-run");
  assert.deepEqual([nobody.code, nobody.stderr], [
    2,
    "error: option '--repo <owner/name>' argument 'medical' is invalid. It must be an owner and a " +
    "name, such as Qwen/Qwen3-0.6B.\n(deno task push --help lists the flags)",
  ]);
  assert.equal((await runTask("train", folder.path, `${TRAIN} --output-dir output/a`)).code, 0);
  const silent = await push(folder.path, "--model output/a --repo me/x");
  assert.match(silent.stderr, /^error: Cannot push: HF_TOKEN is not set; make a token/);
});
