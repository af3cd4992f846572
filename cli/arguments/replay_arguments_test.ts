import assert from "node:assert/strict";
import { Command } from "commander";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { parse } from "../../tests/support/parse_training_flags.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { addLoraFlags, loraArguments } from "./lora_flags.ts";
import { changedFiles, changedVersions, replayFlags } from "./replay_arguments.ts";
import { addTrainingFlags } from "./training_flags.ts";

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
  const adapter = { ...DEFAULT_LORA, rslora: true, dropout: 0, initAdapter: "output/first" };
  const lora = { ...adapter, baseDtype: "fp16" };
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
