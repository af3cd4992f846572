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
import { type BestOptions, train } from "../train/loop/loop.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import type { RunFacts } from "../train/checkpoints/run_facts.ts";
import { cosineSchedule } from "../train/schedules/cosine_schedules.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";
import type { TempFolder } from "./support/temp_folder.ts";

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
