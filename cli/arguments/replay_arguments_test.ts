import assert from "node:assert/strict";
import { Command } from "commander";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { parse } from "../../tests/support/parse_training_flags.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { addLoraFlags, loraArguments } from "./lora_flags.ts";
import { changedFiles, changedVersions, replayFlags } from "./replay_arguments.ts";
import { addTrainingFlags } from "./training_flags.ts";

const path = "output/first/run.json";

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
  assert.deepEqual(parse(...replayFlags({ arguments: begun }, { path })), args);
  const elsewhere = parse(
    ...replayFlags({ arguments: { ...args } }, { path, outputDir: "there" }),
  );
  assert.deepEqual(elsewhere, { ...args, outputDir: "there" });
  const adapter = { ...DEFAULT_LORA, rslora: true, dropout: 0, initAdapter: "output/first" };
  const lora = { ...adapter, baseDtype: "int8", baseBlockSize: 32, baseCompute: "fp32" };
  const command = new Command().exitOverride();
  addTrainingFlags(command);
  addLoraFlags(command);
  const adapted = replayFlags({ arguments: { ...args, lora } }, { path });
  assert.deepEqual(loraArguments(command.parse(adapted, { from: "user" }).opts()), lora);
  for (const reportTo of ["none", "swanlab", "tensorboard,swanlab"]) {
    const reported = parse(...flags, "--report-to", reportTo);
    assert.deepEqual(parse(...replayFlags({ arguments: { ...reported } }, { path })), reported);
  }
  const named = parse(...flags, "--columns", "question=Q,answer=A, b", "--columns", "system=");
  assert.deepEqual(named.columns, { question: "Q", answer: "A, b", system: "" });
  assert.deepEqual(parse(...replayFlags({ arguments: { ...named } }, { path })), named);
  const settled = parse(
    ...flags,
    "--lr-scheduler-kwargs",
    '{"decay_type":"1-sqrt","num_decay_steps":3}',
  );
  assert.deepEqual(settled.lrSchedulerKwargs, { decay_type: "1-sqrt", num_decay_steps: 3 });
  assert.deepEqual(parse(...replayFlags({ arguments: { ...settled } }, { path })), settled);
  assert.throws(
    () => replayFlags({ arguments: { model: {} } }, { path }),
    /model is neither text, number/,
  );
});

Deno.test("several files and their mix are flags of a run that is replayed", () => {
  const files = ["--train-file", "a,1.jsonl", "b.csv", "--train-file", "c/*.parquet"];
  const more = [
    "--validation-file",
    "v.json",
    "w.json",
    "--mix",
    "0.5, 0.25,0.25",
    "--mix-seed",
    "7",
  ];
  const args = parse(
    ...files,
    ...more,
    "--mix-strategy",
    "all_exhausted",
    "--max-rows=9",
    "--dedup",
  );
  assert.deepEqual(args.trainFile, ["a,1.jsonl", "b.csv", "c/*.parquet"]);
  assert.deepEqual([args.mix, args.mixSeed, args.maxRows], [[0.5, 0.25, 0.25], 7, 9]);
  assert.deepEqual(parse(...replayFlags({ arguments: { ...args } }, { path })), args);
  for (const mix of ["", "1,x", "0.5,,0.5", "-1,2", "0,1"]) {
    const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
    addTrainingFlags(command);
    assert.throws(
      () => command.parse(["--mix", mix], { from: "user" }),
      /It must be shares above 0/,
    );
  }
});

Deno.test("--tokens-per-step packs, replays, and excludes accumulation", () => {
  const args = parse("--train-file", "t.jsonl", "--tokens-per-step", "8192");
  assert.deepEqual([args.tokensPerStep, args.packing], [8192, true]);
  assert.deepEqual(parse(...replayFlags({ arguments: { ...args } }, { path })), args);
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  addTrainingFlags(command);
  for (const other of ["--gradient-accumulation-steps=4", "--compat=seed"]) {
    const flags = ["--tokens-per-step=8192", other];
    assert.throws(() => command.parse(flags, { from: "user" }), /cannot be used with option/);
  }
});

Deno.test("an adapter's settings are read closed-world, with file, field and value in the error", () => {
  const flags = (lora: unknown): string[] => replayFlags({ arguments: { lora } }, { path });
  const fails = (lora: unknown, ...faults: string[]): void =>
    void assert.throws(() => flags(lora), {
      message: `Cannot use output/first/run.json: ${faults.join("\n  ")}`,
    });
  const unflagged =
    "no flag says that; start the run from the program that did, or from an adapter with it";
  fails(true, "arguments.lora is true: it must be an object");
  fails(
    { ...DEFAULT_LORA, rank: "8", alpha: -1, dropout: 1 },
    'arguments.lora.rank is "8": it must be a whole number from 1 up',
    "arguments.lora.alpha is -1: it must be a number above 0",
    "arguments.lora.dropout is 1: it must be a number from 0 to below 1",
  );
  fails(
    { targetModules: "q.*", baseDtype: "int2", rslora: 1 },
    'arguments.lora.targetModules is "q.*": it must be a list of names or all-linear',
    'arguments.lora.baseDtype is "int2": it must be fp32 or fp16 or int8 or int4',
    "arguments.lora.rslora is 1: it must be true or false",
  );
  fails(
    { ...DEFAULT_LORA, layersToTransform: [0, 1], layerGates: 3, toString: "x" },
    `arguments.lora.layersToTransform is [0,1]: ${unflagged}`,
    "arguments.lora.layerGates is 3: there is no such setting of an adapter",
    'arguments.lora.toString is "x": there is no such setting of an adapter',
  );
  // An adapter's own file says these.
  const own = { initAdapter: "a", targetModules: "q.*", layersToTransform: 1, rank: 2 };
  assert.deepEqual(flags(own), [
    "--lora-rank=2",
    "--target-modules=all-linear",
    "--init-adapter=a",
  ]);
  assert.deepEqual(flags(null), []);
});
