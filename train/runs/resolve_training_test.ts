import assert from "node:assert/strict";
import { UsageError } from "../../internal/usage_error.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { quickstartFolder } from "../../tests/support/quickstart_folder.ts";
import { parse } from "../../tests/support/parse_training_flags.ts";
import { resolveTraining } from "./resolve_training.ts";
import { DEFAULT_SYSTEM, DEFAULT_TRAINING } from "./training_arguments.ts";

Deno.test("resolveTraining() fills in the defaults of the command line", async () => {
  await using folder = await quickstartFolder();
  const [model, trainFile] = [`${folder.path}/models/tiny`, `${folder.path}/data/train.jsonl`];
  const { args, device, precision, adapter, found, notes } = await resolveTraining({
    model,
    trainFile,
    learningRate: 1e-5,
    warmupSteps: undefined,
  });
  assert.deepEqual(args, {
    ...DEFAULT_TRAINING,
    model,
    trainFile,
    validationFile: undefined,
    outputDir: "output/tiny",
    system: "",
    learningRate: 1e-5,
    lora: undefined,
  });
  assert.deepEqual([device, precision, adapter], [{ kind: "cpu" }, "fp32", undefined]);
  assert.deepEqual([found, notes], [[], []]);
  const { emptyThink: _, ...flags } = parse();
  assert.deepEqual(flags, DEFAULT_TRAINING);
});

Deno.test("resolveTraining() lays an adapter's settings over the usual ones", async () => {
  await using folder = await quickstartFolder();
  const model = `${folder.path}/models/tiny`;
  const { args, adapter } = await resolveTraining({
    model,
    trainFile: "rows.jsonl",
    lora: { rank: 4, dropout: undefined },
  });
  assert.deepEqual(args.lora, { ...DEFAULT_LORA, rank: 4 });
  assert.equal(args.outputDir, "output/tiny-lora");
  assert.equal(adapter?.dropout, DEFAULT_LORA.dropout);
});

Deno.test("resolveTraining() gives the seed's prompt to its own data and to --compat seed alone", async () => {
  await using folder = await quickstartFolder();
  const options = { model: `${folder.path}/models/tiny`, trainFile: "rows.jsonl" };
  const system = async (more: object) =>
    (await resolveTraining({ ...options, ...more })).args.system;
  assert.equal(await system({}), "");
  assert.equal(await system({ compat: "seed" }), DEFAULT_SYSTEM);
  assert.equal(await system({ compat: "seed", system: "" }), "");
});

Deno.test("resolveTraining() refuses options that contradict each other, before it reads anything", async () => {
  const nowhere = { model: "/nowhere", trainFile: "rows.jsonl" };
  await assert.rejects(
    resolveTraining({ ...nowhere, loadBestModelAtEnd: true }),
    (error: Error) => error instanceof UsageError && /--validation-file/.test(error.message),
  );
  await assert.rejects(
    resolveTraining({ ...nowhere, resumeFromCheckpoint: true, overwriteOutputDir: true }),
    (error: Error) => error instanceof UsageError && /^Cannot both resume/.test(error.message),
  );
  await assert.rejects(resolveTraining(nowhere), /^Error: Cannot open model \/nowhere/);
});
