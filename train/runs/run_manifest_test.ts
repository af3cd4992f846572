import assert from "node:assert/strict";
import { Command } from "commander";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { createFileHasher } from "./file_hasher.ts";
import { addLoraFlags, loraArguments } from "../../cli/arguments/lora_arguments.ts";
import { addTrainingFlags } from "../../cli/arguments/training_arguments.ts";
import { parse } from "../../tests/support/parse_training_flags.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import {
  changedFiles,
  changedVersions,
  replayFlags,
} from "../../cli/arguments/replay_arguments.ts";
import { readManifest, RUN_MANIFEST, startManifest } from "./run_manifest.ts";
import { shellCommand } from "../../cli/process/shell_command.ts";

const end = {
  type: "end",
  step: 3,
  epoch: 1,
  reason: "completed",
  tokens: 10,
  seconds: 2,
  trainLoss: NaN,
} as const;

Deno.test("run.json tells of the start, then of the end, and a resumed run of those before", async () => {
  await using folder = await tempFolder();
  const directory = folder.path;
  for (const name of ["config.json", "tokenizer.json", "model.safetensors", "train.jsonl"]) {
    await folder.write(name, name);
  }
  await folder.write("unrelated.bin", "");
  const trainFile = `${directory}/train.jsonl`;
  const args = parse("--model", directory, "--train-file", trainFile, "--seed", "7");
  let clock = 0;
  const options = {
    directory,
    hash: createFileHasher(),
    command: "deno task train",
    config: { model_type: "qwen3" },
    onnxRuntime: "1.30.0",
    threads: 2,
    resumed: false,
    now: () => new Date(1000 * clock++),
  };
  const path = `${directory}/${RUN_MANIFEST}`;
  const started = await startManifest(args, options);
  const before = await readManifest(path);
  assert.deepEqual([before.status, before.ended, before.metrics], ["started", null, null]);
  assert.deepEqual(
    before.files.map((file) => file.path.slice(directory.length + 1)),
    ["train.jsonl", "config.json", "model.safetensors", "tokenizer.json"],
  );
  assert.deepEqual(await changedFiles(before.files), []);
  await started.end({ end, checkpoint: "output/checkpoint-3" });
  const after = await readManifest(path);
  assert.deepEqual([after.status, after.started, after.ended], [
    "completed",
    "1970-01-01T00:00:00.000Z",
    "1970-01-01T00:00:01.000Z",
  ]);
  assert.equal(after.metrics!.trainLoss, "NaN");
  assert.equal(after.checkpoint, "output/checkpoint-3");

  await startManifest(args, { ...options, resumed: true });
  const [earlier, ...none] = (await readManifest(path)).earlier;
  assert.deepEqual([earlier.status, none.length], ["completed", 0]);
  const names = await Array.fromAsync(Deno.readDir(directory), ({ name }) => name);
  assert.ok(!names.some((name) => name.startsWith(".staging")));
});

Deno.test("changedFiles() names every file that is not what it was", async () => {
  await using folder = await tempFolder();
  const [a, b, c] = await Promise.all(["a", "b", "c"].map((name) => folder.write(name, name)));
  const files = [a, b, c].map((path) => ({ path, bytes: 1, sha256: "00" }));
  await Deno.remove(a);
  await folder.write("b", "bb");
  assert.deepEqual(await changedFiles(files), [
    `${a} is missing`,
    `${b} has 2 bytes, not 1`,
    `${c} has another sha256`,
  ]);
  assert.deepEqual(changedVersions({ deno: "1", cpus: 2 }, { deno: "2", cpus: 2 }), [
    "deno: 1 then, 2 now",
  ]);
});

Deno.test("replayFlags() parse to the arguments they came from, but for how the run began", () => {
  const flags = ["--model", "m", "--train-file", "-t.jsonl", "--system", "", "--packing"];
  const more = ["--no-gradient-checkpointing", "--learning-rate", "1e-7", "--drop-unlabelled"];
  const args = parse(...flags, ...more);
  const begun = { ...args, overwriteOutputDir: true, resumeFromCheckpoint: true };
  assert.deepEqual(parse(...replayFlags({ arguments: begun })), args);
  const elsewhere = parse(...replayFlags({ arguments: { ...args } }, "there"));
  assert.deepEqual(elsewhere, { ...args, outputDir: "there" });
  const lora = { ...DEFAULT_LORA, rslora: true, dropout: 0, initAdapter: "output/first" };
  const command = new Command().exitOverride();
  addTrainingFlags(command);
  addLoraFlags(command);
  const adapted = replayFlags({ arguments: { ...args, lora } });
  assert.deepEqual(loraArguments(command.parse(adapted, { from: "user" }).opts()), lora);
  for (const reportTo of ["none", "swanlab", "tensorboard,swanlab"]) {
    const reported = parse(...flags, "--report-to", reportTo);
    assert.deepEqual(parse(...replayFlags({ arguments: { ...reported } })), reported);
  }
  assert.throws(() => replayFlags({ arguments: { model: {} } }), /model is neither text, number/);
});

Deno.test("--tokens-per-step packs, replays, and excludes accumulation", () => {
  const args = parse("--train-file", "t.jsonl", "--tokens-per-step", "8192");
  assert.deepEqual([args.tokensPerStep, args.packing], [8192, true]);
  assert.deepEqual(parse(...replayFlags({ arguments: { ...args } })), args);
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  addTrainingFlags(command);
  for (const other of ["--gradient-accumulation-steps=4", "--compat=seed"]) {
    const flags = ["--tokens-per-step=8192", other];
    assert.throws(() => command.parse(flags, { from: "user" }), /cannot be used with option/);
  }
});

function manifestWith(fields: Record<string, unknown>): string {
  const bare = { format: 1, arguments: {}, versions: {}, files: [], earlier: [] };
  return JSON.stringify({ ...bare, ...fields });
}

Deno.test("readManifest() refuses what is not a manifest", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/run.json`;
  const cases = {
    "it is missing": undefined,
    "it is not valid JSON": "{",
    "it is not a manifest of format 1": "[]",
    "it has no arguments": '{"format":1}',
    "it has no versions": '{"format":1,"arguments":{}}',
    "it has no hashes of files": '{"format":1,"arguments":{},"versions":{},"files":[1]}',
    "it has no list of earlier runs": '{"format":1,"arguments":{},"versions":{},"files":[]}',
    "its checkpoint is number 3": manifestWith({ checkpoint: 3 }),
    'its checkpoint is string "a\\u0000b"': manifestWith({ checkpoint: "a\0b" }),
    "its status is null": manifestWith({ status: null }),
    "its config is array of 0": manifestWith({ config: [] }),
    "its versions is object": manifestWith({ versions: { deno: [] } }),
    "its metrics is array of 1": manifestWith({ metrics: [1] }),
    "its earlier is array of 1": manifestWith({ earlier: [null] }),
    "its best is null": manifestWith({ best: null }),
    "it has 1048577 bytes, more than 1048576": " ".repeat(2 ** 20 + 1),
  };
  for (const [state, text] of Object.entries(cases)) {
    if (text !== undefined) await folder.write("run.json", text);
    await assert.rejects(readManifest(path), {
      message: `Cannot read ${path}: ${state}; give the run.json of an output folder`,
    });
  }
});

Deno.test("shellCommand() quotes what a shell would take apart", () => {
  assert.equal(
    shellCommand("deno task train", ["--system", "it's", "--model", "models/a-b", "$x", ""]),
    "deno task train --system 'it'\\''s' --model models/a-b '$x' ''",
  );
});
