/** A run that was cut and resumed ends in the same bytes as one that was not. */

import assert from "node:assert/strict";
import type { Example } from "../data/examples/example.ts";
import { readExamples } from "../data/examples/read_examples.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { listCheckpoints, MANIFEST } from "../train/checkpoints/checkpoint.ts";
import { OLD_OPTIMIZER_STATE, OPTIMIZER_STATE } from "../train/checkpoints/optimizer_state.ts";
import type { EndEvent, StartEvent, TrainEvent } from "../train/events.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import type { InitLoraWeights } from "../lora/init_lora_weights.ts";
import { DEFAULT_LORA, type LoraOptions } from "../lora/lora_options.ts";
import { type BestOptions, train, type TrainOptions } from "../train/loop/loop.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import type { RunFacts } from "../train/checkpoints/run_facts.ts";
import { cosineSchedule } from "../train/schedules/cosine_schedules.ts";
import type { Trainer } from "../train/trainer.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";
import { type TempFolder, tempFolder } from "./support/temp_folder.ts";
import { stubExample, trainerStub } from "./support/trainer_stub.ts";

/** Batches of an update, or packed rows. */
interface Shape {
  readonly accumulationSteps: number;
  readonly batchSize?: number;
  readonly tokensPerStep?: number;
  readonly packing?: { readonly maxLength: number };
  readonly epochs: number;
  /** Trains an adapter in place of all weights. */
  readonly lora?: LoraOptions;
  readonly best?: BestOptions;
  /** @default AdamW */
  readonly optim?: string;
  readonly loraPlusRatio?: number;
  /** @default A at random, B zero */
  readonly init?: InitLoraWeights;
  /** @default all weights */
  readonly lastLayers?: number;
  /** Noise on embeddings. @default none */
  readonly noise?: number;
}

/**
 * Shapes of runs, each with the cuts that it is tried with: all of them with plain shapes, since they are the loop's, and else
 * one amid an update, and one where what the shape adds might be lost.
 */
const SHAPES: Readonly<Record<string, Shape & { readonly cuts: readonly Cut[] }>> = {
  "one batch an update": {
    accumulationSteps: 1,
    epochs: 0.75,
    cuts: ["save", "evaluation", "before evaluation", "batch", "last update", "graph"],
  },
  "schedule-free AdamW, four batches an update, with the best kept": {
    optim: "schedule_free_adamw",
    accumulationSteps: 4,
    epochs: 3,
    best: { load: true },
    cuts: ["evaluation", "batch", "graph"],
  },
  "PiSSA, one batch an update": {
    lora: { ...DEFAULT_LORA, rank: 2, targetModules: ["v_proj", "down_proj"], dropout: 0 },
    init: "pissa",
    accumulationSteps: 1,
    epochs: 0.75,
    cuts: ["graph"],
  },
  "LoRA+ with dropout and NEFTune by Adafactor, four batches an update": {
    noise: 5,
    loraPlusRatio: 4,
    lora: { ...DEFAULT_LORA, rankPattern: { q_proj: 3 } },
    optim: "adafactor",
    accumulationSteps: 4,
    epochs: 3,
    cuts: ["evaluation", "batch"],
  },
  "DoRA with dropout, four batches an update": {
    lora: { ...DEFAULT_LORA, dora: true },
    accumulationSteps: 4,
    epochs: 3,
    cuts: ["save", "graph"],
  },
  "one packed row an update, the last layer by Muon": {
    lastLayers: 1,
    optim: "muon",
    accumulationSteps: 1,
    packing: { maxLength: 384 },
    epochs: 2,
    cuts: ["batch"],
  },
  "packed rows up to 600 tokens an update, two in one run": {
    accumulationSteps: 1,
    batchSize: 2,
    tokensPerStep: 600,
    packing: { maxLength: 384 },
    epochs: 4,
    cuts: ["save", "batch", "last update"],
  },
};

interface Data {
  readonly model: string;
  readonly examples: readonly Example[];
  readonly evalExamples: readonly Example[];
  readonly padId: number;
}

async function readData({ path }: TempFolder): Promise<Data> {
  const model = `${path}/models/tiny`;
  const tokenizer = await loadTokenizer(model);
  const read = (name: string, limit: number) =>
    readExamples(`${path}/data/${name}.jsonl`, { tokenizer, maxLength: 512, limit });
  const [{ examples }, { examples: evalExamples }] = [
    await read("train", 8),
    await read("val", 2),
  ];
  return { model, examples, evalExamples, padId: tokenizer.padTokenId! };
}

interface RunOptions extends Shape {
  readonly output: string;
  readonly facts?: RunFacts;
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TrainEvent) => void;
}

/** Trains to the end or to the signal; every call opens ONNX Runtime and loads the model anew. */
async function run(data: Data, options: RunOptions): Promise<EndEvent> {
  const { output, facts = { seed: 7 }, resume = false, signal, onEvent, ...shape } = options;
  const { model, ...examples } = data;
  using runtime = new Runtime({ threads: THREADS });
  await using trainer = await (options.lora
    ? createLoraTrainer(model, {
      ...{ runtime, seed: 7, lora: options.lora, loraPlusRatio: options.loraPlusRatio },
      optim: options.optim,
      initLoraWeights: options.init,
      optimizer: { weightDecay: 0.1 },
      neftuneNoiseAlpha: options.noise,
    })
    : createFullTrainer(model, {
      runtime,
      optimizer: { weightDecay: 0.1 },
      optim: options.optim,
      lastLayers: options.lastLayers,
      signal,
    }));
  let end: EndEvent | undefined;
  for await (
    const event of train(trainer, {
      ...examples,
      ...shape,
      schedule: (totalSteps) => cosineSchedule({ peak: 1e-3, totalSteps, warmupSteps: 2 }),
      evalBatchSize: 2,
      seed: 7,
      loggingSteps: 4,
      evalSteps: 2,
      saveSteps: 3,
      output: { directory: output, facts },
      resumeFrom: resume ? await newest(output) : undefined,
      signal,
    })
  ) {
    onEvent?.(event);
    if (event.type === "end") end = event;
  }
  return end!;
}

async function newest(output: string): Promise<string> {
  return (await listCheckpoints(output)).at(-1)!.directory;
}

/** A signal that aborts itself the n-th time that work asks it, between two graphs. */
function abortsAt(n: number): { readonly signal: AbortSignal; readonly asked: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  let asked = 0;
  signal.throwIfAborted = () => {
    if (++asked === n) controller.abort();
    if (signal.aborted) throw signal.reason;
  };
  return { signal, asked: () => asked };
}

/** Where a run is cut: right after one of these, or, at a graph, between two of an update. */
type Cut = "save" | "evaluation" | "before evaluation" | "batch" | "last update" | "graph";

function isHere(cut: Cut, { type, step }: Exclude<TrainEvent, StartEvent>, total: number): boolean {
  switch (cut) {
    case "save":
      return type === "save" && step === 3;
    case "evaluation":
      return type === "evaluate" && step === 4;
    case "before evaluation":
      return type === "step" && step === 4;
    case "batch":
      return type === "micro-step" && step === 5;
    case "last update":
      return type === "step" && step === total;
    case "graph":
      return false;
  }
}

for (const [what, { cuts, ...shape }] of Object.entries(SHAPES)) {
  Deno.test(`a run of ${what} that was cut ends in the same bytes when it is resumed`, async (t) => {
    await using folder = await quickstartFolder();
    const data = await readData(folder);
    const whole = `${folder.path}/whole`;
    const { signal, asked } = abortsAt(Infinity);
    const { step: total, reason } = await run(data, { ...shape, output: whole, signal });
    assert.equal(reason, "completed");
    assert.ok(total > 5, `only ${total} updates`);
    const expected = await folderHashes(await newest(whole));
    assert.ok("optimizer.state" in expected && "manifest.json" in expected);

    for (const cut of cuts) {
      await t.step(`cut at: ${cut}`, async () => {
        const output = `${folder.path}/${cut}`;
        const controller = new AbortController();
        const first = await run(data, {
          ...shape,
          output,
          signal: cut === "graph" ? abortsAt(Math.floor(0.8 * asked())).signal : controller.signal,
          onEvent: (event) => {
            if (event.type !== "start" && isHere(cut, event, total)) controller.abort();
          },
        });
        assert.equal(first.reason, "aborted");
        assert.ok(cut === "last update" ? first.step === total : first.step < total);
        // Of an update that was cut after one of its batches, nothing stays.
        if (cut === "batch" && shape.accumulationSteps > 1) assert.equal(first.step, 4);
        const end = await run(data, { ...shape, output, resume: true });
        assert.deepEqual([end.step, end.reason], [total, "completed"]);
        assert.deepEqual(await folderHashes(await newest(output)), expected);
      });
    }
  });
}

Deno.test("a checkpoint with the optimizer's state under its old name is resumed to the same bytes", async () => {
  await using folder = await quickstartFolder();
  const data = await readData(folder);
  const shape: Shape = { accumulationSteps: 1, epochs: 0.75 };
  const whole = `${folder.path}/whole`;
  const { step: total } = await run(data, { ...shape, output: whole });
  const output = `${folder.path}/old`;
  const controller = new AbortController();
  await run(data, {
    ...shape,
    output,
    signal: controller.signal,
    onEvent: (event) => event.type === "save" && controller.abort(),
  });
  const checkpoint = await newest(output);
  await Deno.rename(`${checkpoint}/${OPTIMIZER_STATE}`, `${checkpoint}/${OLD_OPTIMIZER_STATE}`);
  const manifest = await Deno.readTextFile(`${checkpoint}/${MANIFEST}`);
  assert.ok(manifest.includes(OPTIMIZER_STATE));
  await Deno.writeTextFile(
    `${checkpoint}/${MANIFEST}`,
    manifest.replace(OPTIMIZER_STATE, OLD_OPTIMIZER_STATE),
  );
  const end = await run(data, { ...shape, output, resume: true });
  assert.deepEqual([end.step, end.reason], [total, "completed"]);
  assert.deepEqual(
    await folderHashes(await newest(output)),
    await folderHashes(await newest(whole)),
  );
});

Deno.test("resuming with other facts is refused, naming each that differs with both values", async () => {
  await using folder = await tempFolder();
  const facts: RunFacts = { seed: 7, packing: false, max_length: 512, learning_rate: 1e-4 };
  const { directory } = await trainStub(trainerStub(), { output: folder.path, facts });
  const trainer = trainerStub();
  await assert.rejects(
    trainStub(trainer, {
      output: folder.path,
      facts: { seed: 8, packing: true, learning_rate: 1e-4, warmup_steps: 3 },
      resumeFrom: directory,
    }),
    {
      message: `Cannot resume from ${directory}: it is of another run\n` +
        "  seed: 7 there, 8 here\n" +
        "  packing: false there, true here\n" +
        "  max_length: 512 there, not set here\n" +
        "  warmup_steps: not set there, 3 here\n" +
        "Give the same arguments and data, or start a new run from its weights with --model",
    },
  );
  assert.equal(trainer.step, 0);
});

Deno.test("a resumed run may be longer and log otherwise; its schedule is that of the longer run", async () => {
  await using folder = await tempFolder();
  const facts = { seed: 7, max_steps: 6, num_train_epochs: 1, logging_steps: 10 };
  const { directory } = await trainStub(trainerStub(), { output: folder.path, facts });
  const trainer = trainerStub();
  const { events } = await trainStub(trainer, {
    output: folder.path,
    facts: { ...facts, max_steps: 9, num_train_epochs: 2, logging_steps: 1 },
    resumeFrom: directory,
    options: { maxSteps: 9, loggingSteps: 1, evalSteps: 2 },
  });
  const [start] = events;
  assert.ok(start.type === "start");
  assert.deepEqual([start.totalSteps, start.plannedSteps, start.resumedStep], [9, 6, 6]);
  assert.deepEqual(trainer.learningRates, [3, 2, 1]);
  const steps = (type: TrainEvent["type"]) =>
    events.flatMap((event) => event.type === type && "step" in event ? [event.step] : []);
  assert.deepEqual([steps("log"), steps("evaluate"), steps("save")], [[7, 8, 9], [8, 9], [8, 9]]);
});

Deno.test("a resumed run that is to make fewer updates than were made is refused", async () => {
  await using folder = await tempFolder();
  const { directory } = await trainStub(trainerStub(), { output: folder.path });
  const options = { maxSteps: 4 };
  await assert.rejects(
    trainStub(trainerStub(), { output: folder.path, resumeFrom: directory, options }),
    {
      message:
        `Cannot resume from ${directory}: it is of update 6, and the run is to make 4; give ` +
        "more with --max-steps or --num-train-epochs",
    },
  );
});

Deno.test("a checkpoint of the model alone has nothing else, and cannot be resumed", async () => {
  await using folder = await tempFolder();
  const { directory } = await trainStub(trainerStub(), { output: folder.path, modelOnly: true });
  const files = await Array.fromAsync(Deno.readDir(directory), ({ name }) => name);
  assert.deepEqual(files.sort(), [
    "manifest.json",
    "model.safetensors",
    "trainer_state.json",
    "training_args.json",
  ]);
  await assert.rejects(trainStub(trainerStub(), { output: folder.path, resumeFrom: directory }), {
    message:
      `Cannot resume from ${directory}: it was saved without the state of optimizer and data ` +
      "(--save-only-model); start from its weights with --model",
  });
});

Deno.test("a run that ends before its first update saves nothing, and has no mean loss", async () => {
  await using folder = await tempFolder();
  const signal = AbortSignal.abort();
  const trainer = { ...trainerStub(), trainStep: () => Promise.reject(signal.reason) };
  const { events } = await trainStub(trainer, { output: folder.path, options: { signal } });
  assert.deepEqual(events.map(({ type }) => type), ["start", "end"]);
  const end = events.at(-1)!;
  assert.ok(end.type === "end" && end.reason === "aborted" && !("trainLoss" in end));
  assert.deepEqual(await listCheckpoints(folder.path), []);
});

/** What is done to a checkpoint, and how the refusal puts it. */
const DAMAGES: readonly [string, (directory: string) => Promise<void>, string][] = [
  ["a flipped byte in the weights", async (directory) => {
    const bytes = await Deno.readFile(`${directory}/model.safetensors`);
    bytes[0] ^= 1;
    await Deno.writeFile(`${directory}/model.safetensors`, bytes);
  }, "model.safetensors has another sha256 than manifest.json says; resume from an earlier one"],
  [
    "a missing file",
    (directory) => Deno.remove(`${directory}/scheduler.json`),
    "scheduler.json is missing; resume from an earlier one",
  ],
  [
    "a truncated optimizer",
    (directory) => Deno.truncate(`${directory}/optimizer.state`, 9),
    "optimizer.state has 9 bytes, not 15 as manifest.json says; resume from an earlier one",
  ],
  [
    "two damages at once",
    async (directory) => {
      await Deno.remove(`${directory}/scheduler.json`);
      await Deno.truncate(`${directory}/rng_state.json`, 9);
    },
    "rng_state.json has 9 bytes, not 45 as manifest.json says; scheduler.json is missing; resume from an earlier one",
  ],
  ...["", "{}", "null", '{"files": 3', '{"files": null}'].map((
    text,
  ): [string, (directory: string) => Promise<void>, string] => [
    `a manifest ${text || "without a byte"}`,
    (directory) => Deno.writeTextFile(`${directory}/manifest.json`, text),
    "its manifest.json is missing or broken; give a checkpoint-N folder that ortune wrote",
  ]),
  [
    "no manifest",
    (directory) => Deno.remove(`${directory}/manifest.json`),
    "its manifest.json is missing or broken; give a checkpoint-N folder that ortune wrote",
  ],
];

for (const [what, damage, problem] of DAMAGES) {
  Deno.test(`resuming from a checkpoint with ${what} is refused and changes nothing`, async () => {
    await using folder = await tempFolder();
    const { directory } = await trainStub(trainerStub(), { output: folder.path });
    await damage(directory);
    const before = await folderHashes(folder.path);
    const trainer = trainerStub();
    await assert.rejects(trainStub(trainer, { output: folder.path, resumeFrom: directory }), {
      message: `Cannot use checkpoint ${directory}: ${problem}`,
    });
    assert.deepEqual(await folderHashes(folder.path), before);
    assert.equal(trainer.step, 0);
  });
}

Deno.test("an update whose loss is not a number is skipped, and the schedule waits for it", async () => {
  const bad = new Set([1, 4, 5]);
  const trainer = trainerStub({
    result: (attempt) => bad.has(attempt) ? { loss: NaN, gradNorm: Infinity, skipped: true } : {},
  });
  const { events } = await trainStub(trainer);
  const skips = events.filter((event) => event.type === "skip");
  assert.deepEqual(skips, [
    { type: "skip", step: 2, loss: NaN, gradNorm: Infinity, consecutive: 1 },
    { type: "skip", step: 4, loss: NaN, gradNorm: Infinity, consecutive: 1 },
    { type: "skip", step: 4, loss: NaN, gradNorm: Infinity, consecutive: 2 },
  ]);
  // The rate of a skipped update is tried again, with the next data.
  assert.deepEqual(trainer.learningRates, [6, 5, 5, 4, 3, 3, 3, 2, 1]);
  assert.equal(new Set(trainer.seen.slice(0, 6).flat()).size, 6);
  assert.equal(trainer.step, 6);
  assert.deepEqual(
    events.filter((event) => event.type === "step").map(({ learningRate }) => learningRate),
    [6, 5, 4, 3, 2, 1],
  );
});

Deno.test("three updates in a row that are not finite end the run, with what was saved kept", async () => {
  await using folder = await tempFolder();
  const trainer = trainerStub({
    result: (attempt) => attempt >= 3 ? { loss: 2, gradNorm: NaN, skipped: true } : {},
  });
  await assert.rejects(trainStub(trainer, { output: folder.path }), {
    message: "Cannot go on training at update 4: loss 2 or gradient norm NaN was not finite 3 " +
      "times in a row; the weights are those of update 3. Lower --learning-rate, or look at the data",
  });
  assert.deepEqual((await listCheckpoints(folder.path)).map(({ step }) => step), [2]);
});

Deno.test("a loss that is not a number is logged as a word", async () => {
  await using folder = await tempFolder();
  const trainer = trainerStub({ tokenLoss: () => NaN });
  const { directory } = await trainStub(trainer, { output: folder.path });
  const state = JSON.parse(await Deno.readTextFile(`${directory}/trainer_state.json`));
  assert.deepEqual(state.log_history.at(-1), {
    epoch: 1,
    eval_loss: "NaN",
    eval_token_loss: "NaN",
    step: 6,
  });
});

Deno.test("who stops listening in the middle of an update waits for its end", async () => {
  const trainer = trainerStub();
  let working = false;
  const slow: Trainer = {
    ...trainer,
    async trainStep(batches, options) {
      working = true;
      options.onBatch?.(1);
      await new Promise((resolve) => setTimeout(resolve, 20));
      working = false;
      return await trainer.trainStep(batches, options);
    },
  };
  for await (const event of train(slow, stubOptions())) if (event.type === "micro-step") break;
  assert.equal(working, false);
});

/** Six examples, six updates; the learning rate counts down. */
function stubOptions(): TrainOptions {
  return {
    examples: Array.from({ length: 6 }, (_, i) => stubExample(10 + i)),
    evalExamples: [stubExample(20)],
    padId: 0,
    schedule: (totalSteps) => (step) => totalSteps - step,
    epochs: 1,
    saveSteps: 2,
  };
}

async function trainStub(
  trainer: Trainer,
  { output, facts = { seed: 7 }, modelOnly, resumeFrom, options }: {
    readonly output?: string;
    readonly facts?: RunFacts;
    readonly modelOnly?: boolean;
    readonly resumeFrom?: string;
    readonly options?: Partial<TrainOptions>;
  } = {},
): Promise<{ events: TrainEvent[]; directory: string }> {
  const events = await Array.fromAsync(train(trainer, {
    ...stubOptions(),
    output: output === undefined ? undefined : { directory: output, facts, modelOnly },
    resumeFrom,
    ...options,
  }));
  return { events, directory: `${output}/checkpoint-6` };
}
