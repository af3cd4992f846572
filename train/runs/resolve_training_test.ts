import assert from "node:assert/strict";
import { UsageError } from "../../internal/usage_error.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { withLayerNames } from "../../lora/lora_targets.ts";
import { parseConfig } from "../../model/config.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { quickstartFolder } from "../../tests/support/quickstart_folder.ts";
import { parse } from "../../tests/support/parse_training_flags.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { deriveTraining, resolveTraining } from "./resolve_training.ts";
import { formatSplit, isSeedData, SEED_DATASET, SPLIT_FILE } from "./seed_data.ts";
import { DEFAULT_SYSTEM, DEFAULT_TRAINING, type TrainingOptions } from "./training_arguments.ts";

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
    // The model's max_position_embeddings.
    maxLength: 512,
    chatTemplate: undefined,
    resumeFromCheckpoint: undefined,
    lora: undefined,
  });
  assert.deepEqual([device, precision, adapter], [{ kind: "cpu" }, "fp32", undefined]);
  assert.deepEqual([found, notes], [[], []]);
  const { emptyThink: _, teach: __, truncation: ___, ...flags } = parse();
  assert.deepEqual(flags, DEFAULT_TRAINING);
});

Deno.test("resolveTraining() cuts at 2048 tokens, or at as many as the model takes", async () => {
  await using folder = await quickstartFolder();
  const path = `${folder.path}/models/tiny/config.json`;
  const config = JSON.parse(await Deno.readTextFile(path));
  const length = async (positions: number, maxLength?: number) => {
    const json = { ...config, max_position_embeddings: positions };
    await Deno.writeTextFile(path, JSON.stringify(json));
    const [model, trainFile] = [`${folder.path}/models/tiny`, `${folder.path}/data/train.jsonl`];
    return (await resolveTraining({ model, trainFile, maxLength })).args.maxLength;
  };
  assert.deepEqual([await length(512), await length(2048), await length(40_960)], [
    512,
    2048,
    2048,
  ]);
  assert.deepEqual([await length(40_960, 4096), await length(512, 100)], [4096, 100]);
});

Deno.test("resolveTraining() lays an adapter's settings over the usual ones", async () => {
  await using folder = await quickstartFolder();
  const model = `${folder.path}/models/tiny`;
  const { args, adapter, config } = await resolveTraining({
    model,
    trainFile: `${folder.path}/data/train.jsonl`,
    lora: { rank: 4, dropout: undefined },
  });
  assert.deepEqual(args.lora, { ...withLayerNames(config, DEFAULT_LORA), rank: 4 });
  assert.equal(args.outputDir, "output/tiny-lora");
  assert.equal(adapter?.dropout, DEFAULT_LORA.dropout);
});

Deno.test("resolveTraining() gives the seed's prompt to its own data and to --compat seed alone", async () => {
  await using folder = await quickstartFolder();
  const options = {
    model: `${folder.path}/models/tiny`,
    trainFile: `${folder.path}/data/train.jsonl`,
  };
  const system = async (more: object) =>
    (await resolveTraining({ ...options, ...more })).args.system;
  assert.equal(await system({}), "");
  assert.equal(await system({ compat: "seed" }), DEFAULT_SYSTEM);
  assert.equal(await system({ compat: "seed", system: "" }), "");
});

Deno.test("isSeedData() is told by deno task data, and takes rows of which nothing is told for the seed's", async () => {
  await using folder = await tempFolder();
  assert.equal(await isSeedData(folder.path), true);
  const more = { seed: 42, trainRatio: 0.9 };
  await folder.write(SPLIT_FILE, formatSplit(SEED_DATASET, more));
  assert.equal(await isSeedData(folder.path), true);
  await folder.write(SPLIT_FILE, formatSplit("data/my.jsonl", more));
  assert.equal(await isSeedData(folder.path), false);
  await folder.write(SPLIT_FILE, "{");
  await assert.rejects(
    isSeedData(folder.path),
    /split\.json: it is not valid JSON.*deno task data/,
  );
});

Deno.test("resolveTraining() refuses options that contradict each other, before it reads anything", async () => {
  const nowhere = { model: "/nowhere", trainFile: "rows.jsonl" };
  await assert.rejects(
    resolveTraining({ ...nowhere, loadBestModelAtEnd: true }),
    (error: Error) => error instanceof UsageError && /--validation-file/.test(error.message),
  );
  await assert.rejects(
    resolveTraining({
      ...nowhere,
      validationFile: "val.jsonl",
      earlyStoppingPatience: 2,
      evalStrategy: "no",
    }),
    (error: Error) => error instanceof UsageError && /--eval-strategy no/.test(error.message),
  );
  await assert.rejects(
    resolveTraining({
      ...nowhere,
      validationFile: "val.jsonl",
      loadBestModelAtEnd: true,
      saveStrategy: "no",
    }),
    (error: Error) => error instanceof UsageError && /--save-strategy no/.test(error.message),
  );
  await assert.rejects(
    resolveTraining({ ...nowhere, resumeFromCheckpoint: true, overwriteOutputDir: true }),
    (error: Error) => error instanceof UsageError && /^Cannot both resume/.test(error.message),
  );
  const rows: readonly (readonly [object, RegExp])[] = [
    [{ validationFile: "v.jsonl", validationSplitPercentage: 5 }, /^Cannot both hold rows back/],
    [{ mixSeed: 7 }, /^Cannot mix without shares/],
    [{ loss: "dft", labelSmoothingFactor: 0.1 }, /^Cannot smooth labels of the loss dft: /],
    [{ trainLayers: 1, lora: {} }, /^Cannot train an adapter and layers in full: /],
    [{ mix: [0.5, 0.4] }, /^Cannot mix by 0.5, 0.4: the shares must add up to 1$/],
  ];
  for (const [options, message] of rows) {
    await assert.rejects(
      resolveTraining({ ...nowhere, ...options }),
      (error: Error) => error instanceof UsageError && message.test(error.message),
    );
  }
  await assert.rejects(resolveTraining(nowhere), /^Error: Cannot open model \/nowhere/);
});

Deno.test("resolveTraining() refuses what no flag could have said, by its name", async () => {
  const bad: Readonly<Record<string, readonly [value: unknown, message: string]>> = {
    perDeviceTrainBatchSize: [0, "number 0: it must be a whole number from 1 up"],
    numTrainEpochs: ["2", 'string "2": it must be a number above 0'],
    learningRate: [NaN, "number NaN: it must be a number above 0"],
    seed: [2 ** 32, "number 4294967296: it must be a whole number from 0 to 4294967295"],
    optim: ["sgdd", 'string "sgdd": it must be adamw or adamw_torch or'],
    lrSchedulerType: ["liner", 'string "liner": it must be linear or cosine or'],
    reportTo: [["wandb"], "array of 1: it must be a list of tensorboard and swanlab"],
    adamBeta2: [1, "number 1: it must be a number from 0 to below 1"],
    loggingSteps: [0, "number 0: it must be a whole number from 1 up, or a share of the run"],
    evalSteps: [1.5, "number 1.5: it must be a whole number from 0 up, or a share of the run"],
    evalStrategy: ["best", 'string "best": it must be steps or epoch or no'],
    loss: ["mse", 'string "mse": it must be cross_entropy or dft'],
    labelSmoothingFactor: [2, "number 2: it must be a number from 0 to 1"],
    trainLayers: [0, "number 0: it must be a whole number from 1 up"],
    precision: ["fp16", 'string "fp16": it must be fp32 or bf16 or bf16-pure'],
  };
  for (const [name, [value, message]] of Object.entries(bad)) {
    const options = { model: "/nowhere", trainFile: "rows.jsonl", [name]: value };
    await assert.rejects(resolveTraining(options as TrainingOptions), (error: Error) => {
      assert.ok(error instanceof UsageError);
      assert.ok(error.message.startsWith(`Cannot train with ${name} ${message}`), error.message);
      return true;
    });
  }
});

Deno.test("resolveTraining() tells which of two options to leave out, and takes each alone", async () => {
  const refusal = async (options: TrainingOptions): Promise<string> => {
    const given = { model: "/nowhere", trainFile: "rows.jsonl", ...options };
    try {
      await resolveTraining(given);
    } catch (cause) {
      const { message } = cause as Error;
      assert.equal(cause instanceof UsageError, !message.startsWith("Cannot open model"), message);
      return message.replace(/^Cannot open model.*/s, "taken");
    }
    return assert.fail("there is no such model");
  };
  const best = "Cannot choose the best checkpoint without evaluations: ";
  const without = ", or leave out --load-best-model-at-end and --early-stopping-patience";
  const evaluated = { validationFile: "v.jsonl" };
  const split = { validationSplitPercentage: 5 };
  const cases: readonly (readonly [TrainingOptions, string])[] = [
    [
      { ...evaluated, ...split },
      "Cannot both hold rows back and evaluate on others: leave out --validation-split-percentage or " +
      "--validation-file",
    ],
    [evaluated, "taken"],
    [split, "taken"],
    ...[{ mixSeed: 0 }, { mixStrategy: "all_exhausted" as const }].map((mix) =>
      [
        mix,
        "Cannot mix without shares: give --mix, or leave out --mix-seed and --mix-strategy",
      ] as const
    ),
    [{ mix: [0.5, 0.5], mixSeed: 0 }, "taken"],
    [{ mix: [0.5, 0.5000009] }, "taken"],
    [{ mix: [0.5, 0.4999991] }, "taken"],
    [{ mix: [0.5, 0.500002] }, "Cannot mix by 0.5, 0.500002: the shares must add up to 1"],
    [{ mix: [0.5, 0.499998] }, "Cannot mix by 0.5, 0.499998: the shares must add up to 1"],
    ...[{ loadBestModelAtEnd: true }, { earlyStoppingPatience: 1 }].flatMap((
      chooses,
    ): (readonly [TrainingOptions, string])[] => [
      [chooses, `${best}give --validation-file${without}`],
      [{ ...chooses, ...evaluated }, "taken"],
      [{ ...chooses, ...split }, "taken"],
      [
        { ...chooses, ...evaluated, evalStrategy: "no" },
        `${best}leave out --eval-strategy no${without}`,
      ],
    ]),
    [{ loadBestModelAtEnd: false }, "taken"],
    [{ ...evaluated, evalStrategy: "no" }, "taken"],
    [
      { ...evaluated, metricForBestModel: "eval_bleu" },
      "Cannot choose the best checkpoint by eval_bleu without replies: give --eval-generate",
    ],
    [{ ...evaluated, metricForBestModel: "eval_bleu", evalGenerate: 1 }, "taken"],
    [{ ...evaluated, metricForBestModel: "eval_token_loss" }, "taken"],
    [
      { ...evaluated, loadBestModelAtEnd: true, saveStrategy: "no" },
      "Cannot load the best model at the end when none is saved: leave out --save-strategy no or " +
      "--load-best-model-at-end",
    ],
    [{ ...evaluated, saveStrategy: "no" }, "taken"],
    [
      { trainLayers: 1, lora: {} },
      "Cannot train an adapter and layers in full: leave out --train-layers, or use deno task train",
    ],
    [{ trainLayers: 1 }, "taken"],
    [{ lora: {} }, "taken"],
    [
      { labelSmoothingFactor: 0.1, loss: "dft" },
      "Cannot smooth labels of the loss dft: leave out --label-smoothing-factor or --loss",
    ],
    [{ labelSmoothingFactor: 0, loss: "dft" }, "taken"],
    [{ labelSmoothingFactor: 0.1, loss: "cross_entropy" }, "taken"],
    [{ labelSmoothingFactor: 0.1 }, "taken"],
    [
      { resumeFromCheckpoint: true, overwriteOutputDir: true },
      "Cannot both resume and overwrite: leave out --resume-from-checkpoint or --overwrite-output-dir",
    ],
    [{ resumeFromCheckpoint: true }, "taken"],
    [{ overwriteOutputDir: true }, "taken"],
    [
      { columns: { question: 5 } as never },
      "Cannot train with columns object: it must be names of columns by what they mean",
    ],
    [
      { columns: [] as never },
      "Cannot train with columns array of 0: it must be names of columns by what they mean",
    ],
    [{ columns: { question: "q", answer: "a" } }, "taken"],
    [
      { lrSchedulerKwargs: 5 as never },
      "Cannot train with lrSchedulerKwargs number 5: it must be an object of settings",
    ],
    [{ lrSchedulerKwargs: {} }, "taken"],
    [{ reportTo: "swanlab" as never }, "taken"],
    [{ reportTo: ["swanlab", "tensorboard"] }, "taken"],
    [{ compat: "seed", kernels: "sync", precision: "bf16", teach: "last" }, "taken"],
  ];
  for (const [options, message] of cases) {
    assert.equal(await refusal(options), message, JSON.stringify(options));
  }
  const unknown = await refusal({ columns: { nothing: "x" } as never });
  assert.match(unknown, / \(--columns\)$/);
  const schedule = await refusal({ lrSchedulerKwargs: { nothing: 1 } });
  assert.match(schedule, /^Cannot train with the schedule linear: .*; see --lr-scheduler-kwargs$/);
});

Deno.test("resolveTraining() trains pairs without dropout, and says so where it was asked for", async () => {
  await using folder = await quickstartFolder();
  const pairs = {
    model: `${folder.path}/models/tiny`,
    trainFile: `${folder.path}/data/train.jsonl`,
  };
  const of = async (lora: NonNullable<TrainingOptions["lora"]>, loss?: string) => {
    const { args, notes } = await resolveTraining({ ...pairs, loss, lora });
    return [args.lora!.dropout, notes];
  };
  const { dropout } = DEFAULT_LORA;
  const said = (given: number) =>
    `--lora-dropout ${given} has no effect with --loss dpo: replies are compared without dropout, as TRL does`;
  await assert.rejects(resolveTraining({ ...pairs, loss: "dpo", packing: true }), {
    message:
      "Cannot use --packing with --loss dpo: a batch has as many pairs as rows; leave it out",
  });
  assert.deepEqual(await of({}), [dropout, []]);
  assert.deepEqual(await of({ dropout: 0.5 }), [0.5, []]);
  assert.deepEqual(await of({}, "dpo"), [0, []]);
  assert.deepEqual(await of({ dropout }, "dpo"), [0, []]);
  assert.deepEqual(await of({ dropout: 0 }, "dpo"), [0, []]);
  assert.deepEqual(await of({ dropout: 0.5 }, "dpo"), [0, [said(0.5)]]);
});

Deno.test("resolveTraining() finds bare names below data and output, and says where", async () => {
  await using folder = await quickstartFolder();
  const before = Deno.cwd();
  Deno.chdir(folder.path);
  try {
    await Deno.mkdir("output/run/checkpoint-5", { recursive: true });
    await Deno.writeTextFile("data/template.jinja", "x");
    const { args, found } = await resolveTraining({
      ...{ model: "models/tiny", trainFile: ["train.jsonl", "data/val.jsonl"] },
      ...{ validationFile: "val.jsonl", chatTemplate: "template.jinja", outputDir: "output/run" },
      resumeFromCheckpoint: "checkpoint-5",
    });
    assert.deepEqual(found, [
      "train file: data/train.jsonl, data/val.jsonl",
      "validation file: data/val.jsonl",
      "chat template: data/template.jinja",
      "checkpoint: output/run/checkpoint-5",
    ]);
    assert.deepEqual(args.trainFile, ["data/train.jsonl", "data/val.jsonl"]);
    assert.equal(args.validationFile, "data/val.jsonl");
    assert.equal(args.resumeFromCheckpoint, "output/run/checkpoint-5");
    const tiny = await resolveTraining({ model: "tiny", trainFile: "data/train.jsonl" });
    assert.deepEqual([tiny.args.model, tiny.found], ["models/tiny", ["model: models/tiny"]]);
    assert.equal(tiny.args.outputDir, "output/tiny");
    // Where nothing is named, the seed's files are taken, with its prompt.
    const own = await resolveTraining({ model: "models/tiny" });
    assert.deepEqual(
      [own.args.trainFile, own.args.validationFile],
      ["data/train.jsonl", "data/val.jsonl"],
    );
    await Deno.writeTextFile("data/split.json", formatSplit(SEED_DATASET, {}));
    const seed = await resolveTraining({ model: "models/tiny" });
    assert.equal(seed.args.system, DEFAULT_SYSTEM);
    await Deno.writeTextFile("data/split.json", formatSplit("data/mine.jsonl", {}));
    assert.equal((await resolveTraining({ model: "models/tiny" })).args.system, "");
    const split = await resolveTraining({ model: "models/tiny", validationSplitPercentage: 5 });
    assert.equal(split.args.validationFile, undefined);
    await Deno.remove("data/val.jsonl");
    const missing = (path: string) =>
      `Cannot find ${path}: make it with deno task data, or give your own with --train-file and --validation-file`;
    await assert.rejects(resolveTraining({ model: "models/tiny" }), {
      message: missing("data/val.jsonl"),
    });
    assert.equal(
      (await resolveTraining({ model: "models/tiny", validationSplitPercentage: 5 })).args
        .trainFile,
      "data/train.jsonl",
    );
    await Deno.remove("data/train.jsonl");
    await assert.rejects(resolveTraining({ model: "models/tiny" }), {
      message: missing("data/train.jsonl"),
    });
  } finally {
    Deno.chdir(before);
  }
});

/** A run that ended with an adapter of rank 2 on the first layer's q_proj, with a setting that is left out. */
async function writeAdapterRun(path: string, model: string): Promise<void> {
  const config = parseConfig(JSON.parse(await Deno.readTextFile(`${model}/config.json`)));
  const checkpoint = `${path}/checkpoint-3`;
  await Deno.mkdir(checkpoint, { recursive: true });
  await Deno.writeTextFile(
    `${checkpoint}/adapter_config.json`,
    JSON.stringify({
      ...{ peft_type: "LORA", r: 2, lora_alpha: 6, lora_dropout: 0.25, target_modules: ["q_proj"] },
      ...{ layers_to_transform: [0], layer_gates: 3 },
    }),
  );
  const name = "base_model.model.model.layers.0.self_attn.q_proj";
  const tensor = (...shape: number[]) => ({
    ...{ dtype: "float32" as const, shape, data: new Uint8Array(4 * shape[0] * shape[1]) },
  });
  const tensors = new Map([
    [`${name}.lora_A.weight`, tensor(2, config.hiddenSize)],
    [`${name}.lora_B.weight`, tensor(config.heads * config.headDim, 2)],
  ]);
  await writeSafetensors(
    `${checkpoint}/adapter_model.safetensors`,
    tensorSourceFromMap(tensors),
  );
}

Deno.test("resolveTraining() starts from a run's adapter with its settings, and tells where it was found and what of it is left out", async () => {
  await using folder = await quickstartFolder();
  const before = Deno.cwd();
  Deno.chdir(folder.path);
  try {
    const own = { model: "models/tiny", trainFile: "data/train.jsonl" };
    await writeAdapterRun("output/first", own.model);
    const lora = { rank: 7, loraPlusRatio: 4, initAdapter: "first" };
    const { args, found, notes, adapter } = await resolveTraining({ ...own, lora });
    const initAdapter = "output/first/checkpoint-3";
    assert.deepEqual(found, [`adapter: ${initAdapter}`]);
    assert.equal(notes.length, 1);
    assert.match(notes[0], /layer_gates/);
    const { rank, alpha, dropout, targetModules, layersToTransform, loraPlusRatio } = args.lora!;
    assert.deepEqual(
      { rank, alpha, dropout, targetModules, layersToTransform, loraPlusRatio },
      {
        ...{ rank: 2, alpha: 6, dropout: 0.25, loraPlusRatio: 4 },
        ...{ targetModules: ["q_proj"], layersToTransform: [0] },
      },
    );
    assert.equal(args.lora!.initAdapter, initAdapter);
    assert.equal("notes" in args.lora!, false);
    assert.equal(adapter!.dropout, 0.25);
    const named = await resolveTraining({ ...own, lora: { initAdapter } });
    assert.deepEqual(named.found, []);
    // Pairs have no dropout; the adapter file's is none that was asked for.
    const pairs = await resolveTraining({ ...own, loss: "dpo", lora: { initAdapter } });
    assert.deepEqual([pairs.args.lora!.dropout, pairs.notes], [0, notes]);
    const refused = (lora: NonNullable<TrainingOptions["lora"]>, message: string) =>
      assert.rejects(resolveTraining({ ...own, lora }), (cause: Error) => {
        assert.equal(cause.message, message);
        return cause instanceof UsageError;
      });
    await refused(
      { initAdapter, initLoraWeights: "pissa", dropout: 0 },
      "Cannot start both from PiSSA and from an adapter: leave out --init-lora-weights or --init-adapter",
    );
    await assert.rejects(resolveTraining({ ...own, lora: { initAdapter: "none" } }), {
      message:
        "Cannot find adapter none: there is no folder output/none or models/none or none; give " +
        "an adapter's folder, or the output folder of a run, with --init-adapter",
    });
    await assert.rejects(resolveTraining({ ...own, model: "first" }), {
      message:
        `Cannot open model ${initAdapter}: it holds an adapter; to train it on, use deno task ` +
        "train:lora with --init-adapter and the base model; to train all weights, merge it first " +
        "with deno task merge",
    });
    // A checkpoint's own run's name comes before it.
    await Deno.mkdir("output/full/checkpoint-8", { recursive: true });
    await Deno.copyFile("models/tiny/config.json", "output/full/checkpoint-8/config.json");
    const next = await resolveTraining({ ...own, model: "output/full/checkpoint-8" });
    assert.equal(next.args.outputDir, "output/full-checkpoint-8");
  } finally {
    Deno.chdir(before);
  }
});

Deno.test("deriveTraining() takes device, precision, storage and adapter from the arguments", async () => {
  await using folder = await quickstartFolder();
  const text = await Deno.readTextFile(`${folder.path}/models/tiny/config.json`);
  const config = parseConfig(JSON.parse(text));
  const of = (change: TrainingOptions) => {
    const args = { ...DEFAULT_TRAINING, ...change } as Parameters<typeof deriveTraining>[0];
    const derived = deriveTraining(args, config);
    assert.equal(derived.args, args);
    assert.equal(derived.config, config);
    const { device, precision, storage, adapter } = derived;
    return [device, precision, storage.name, storage.quantization?.block, adapter?.dropout];
  };
  assert.deepEqual(of({}), [{ kind: "cpu" }, "fp32", "fp32", undefined, undefined]);
  assert.deepEqual(of({ device: "cuda:1", precision: "bf16-pure" }).slice(0, 2), [
    ...[{ kind: "cuda", index: 1 }, "bf16-pure"],
  ]);
  const lora = { ...DEFAULT_LORA, dropout: 0.5, baseDtype: "int8", baseBlockSize: 64 } as const;
  assert.deepEqual(of({ lora }).slice(2), ["int8", 64, 0.5]);
});
