/**
 * What runs on a device, run on the host: everything in graphs, or in graphs and own kernels, results
 * read when asked. It comes to what the host's own way comes to, and is as good to resume.
 */

import assert from "node:assert/strict";
import { readExamples } from "../data/examples/read_examples.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { Decoder } from "../infer/generate/decoder.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { FAMILIES } from "../model/families/families.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { readFloat32 } from "../ort/tensor/tensor_source.ts";
import type { StepEvent } from "../train/events.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { train, type TrainOptions } from "../train/loop/loop.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { linearSchedule } from "../train/schedules/schedules.ts";
import type { Trainer } from "../train/trainer.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { loadFixtureModel } from "./support/parity_fixture.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";
import { hostGpu } from "./support/test_gpu.ts";

// Measured worst over ten updates: losses 1.2e-7 of themselves, norms 7.0e-7; weights 3.7e-4 of the
// largest, where AdamW's first updates make a step of the full size of a gradient near zero.
const LOSS_RELATIVE = 1e-5;
const NORM_RELATIVE = 1e-4;
const WEIGHTS_RELATIVE = 1e-3;

const runtime = new Runtime({ threads: THREADS });

interface Kind {
  readonly lora?: typeof DEFAULT_LORA;
  readonly gradientCheckpointing: boolean;
}

const KINDS: Readonly<Record<string, Kind>> = {
  "all weights": { gradientCheckpointing: true },
  "all weights, keeping activations": { gradientCheckpointing: false },
  "an adapter": { lora: { ...DEFAULT_LORA, dropout: 0 }, gradientCheckpointing: true },
  "an adapter with magnitudes": {
    lora: { ...DEFAULT_LORA, dropout: 0, dora: true },
    gradientCheckpointing: true,
  },
};

const gpu = await hostGpu();
if (!gpu) console.warn("training in own kernels not tested: it needs Linux, gcc and g++");

/** Ways of training: the host's own, and two of a device. */
type Way = "host" | "graphs alone" | "graphs and own kernels";
const WAYS: readonly Way[] = ["graphs alone", "graphs and own kernels"];
/** Kernels take seconds on a processor, so of them each method is tried once. */
const waysOf = (what: string): readonly Way[] =>
  ["all weights", "an adapter"].includes(what) ? WAYS : ["graphs alone"];
const ignored = (way: Way): boolean => way === "graphs and own kernels" && !gpu;

function makeTrainer(model: string, { lora, gradientCheckpointing }: Kind, way: Way) {
  const options = {
    runtime,
    gradientCheckpointing,
    graphsOnly: way !== "host",
    gpu: way === "graphs and own kernels" ? gpu!.gpu : undefined,
    optimizer: { weightDecay: 0.01 },
  };
  return lora ? createLoraTrainer(model, { ...options, lora }) : createFullTrainer(model, options);
}

/**
 * Updates of a run. Kernels take seconds of a processor for one, and show themselves in a few; an adapter's B begins at
 * zero, so that after a few its weights are no larger than what rounding of the first ones makes of them.
 */
const updatesOf = (way: Way, { lora }: Kind): number =>
  way === "graphs and own kernels" && !lora ? 5 : 10;

async function options(folder: string, maxSteps: number): Promise<TrainOptions> {
  const tokenizer = await loadTokenizer(`${folder}/models/tiny`);
  const { examples } = await readExamples(`${folder}/data/train.jsonl`, {
    tokenizer,
    maxLength: 256,
  });
  return {
    examples,
    padId: 0,
    schedule: (totalSteps) => linearSchedule({ peak: 1e-3, totalSteps }),
    batchSize: 2,
    accumulationSteps: 2,
    maxSteps,
    loggingSteps: 4,
  };
}

async function steps(trainer: Trainer, how: TrainOptions): Promise<StepEvent[]> {
  const events = await Array.fromAsync(train(trainer, how));
  return events.filter((event): event is StepEvent => event.type === "step");
}

for (const [what, kind] of Object.entries(KINDS)) {
  for (const way of waysOf(what)) {
    Deno.test({
      name: `training ${what} in ${way} is training as on the host`,
      ignore: ignored(way),
      async fn() {
        await using folder = await quickstartFolder();
        const model = `${folder.path}/models/tiny`;
        const how = await options(folder.path, updatesOf(way, kind));
        await using host = await makeTrainer(model, kind, "host");
        await using graphs = await makeTrainer(model, kind, way);
        assert.equal(host.deferred, undefined);
        assert.ok(graphs.deferred);
        const [expected, actual] = [await steps(host, how), await steps(graphs, how)];
        assert.equal(actual.length, how.maxSteps);
        const compare = (key: "loss" | "gradNorm", relative: number) =>
          assertClose(actual.map((each) => each[key]), expected.map((each) => each[key]), {
            relative,
            label: key,
          }).maxRelative;
        const worst = {
          loss: compare("loss", LOSS_RELATIVE),
          norm: compare("gradNorm", NORM_RELATIVE),
          weights: 0,
        };
        for (const name of host.weights.names()) {
          const [a, b] = await Promise.all(
            [graphs, host].map((each) => readFloat32(each.weights, name)),
          );
          const { maxAbsolute } = assertClose(a, b, {
            relativeToMax: WEIGHTS_RELATIVE,
            label: name,
          });
          const largest = b.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
          if (largest > 0) worst.weights = Math.max(worst.weights, maxAbsolute / largest);
        }
        if (Deno.env.get("ORTUNE_REPORT")) console.log(what, way, worst);
      },
    });
  }
}

const RESUMED: Readonly<Record<string, Kind>> = {
  "all weights": KINDS["all weights"],
  "an adapter with dropout": { lora: DEFAULT_LORA, gradientCheckpointing: true },
};

for (const [what, kind] of Object.entries(RESUMED)) {
  for (const way of waysOf(what)) {
    Deno.test({
      name: `a run of ${what} in ${way} ends in the same bytes when it is resumed`,
      ignore: ignored(way),
      async fn() {
        await using folder = await quickstartFolder();
        const model = `${folder.path}/models/tiny`;
        const last = updatesOf(way, kind);
        const base = { ...await options(folder.path, last), saveSteps: 3 };
        const run = async (directory: string, resumeFrom?: string) => {
          await using trainer = await makeTrainer(model, kind, way);
          await steps(trainer, { ...base, resumeFrom, output: { directory, facts: {} } });
        };
        const [whole, cut] = [`${folder.path}/whole`, `${folder.path}/cut`];
        await run(whole);
        await run(cut, `${whole}/checkpoint-3`);
        const hashes = (directory: string) => folderHashes(`${directory}/checkpoint-${last}`);
        assert.deepEqual(await hashes(cut), await hashes(whole));
      },
    });
  }
}

for (const [what, kind] of Object.entries(RESUMED)) {
  Deno.test(`checkpoints of ${what} that are written while training goes on have the same bytes`, async () => {
    await using folder = await quickstartFolder();
    const base = { ...await options(folder.path, 10), saveSteps: 3 };
    const run = async (directory: string, whileTraining: boolean) => {
      await using trainer = await makeTrainer(`${folder.path}/models/tiny`, kind, "graphs alone");
      const launched = writeLate(trainer);
      await steps(trainer, { ...base, output: { directory, facts: {}, whileTraining } });
      return launched;
    };
    const [waited, beside] = [`${folder.path}/waited`, `${folder.path}/beside`];
    assert.deepEqual(await run(waited, false), []);
    // The last update's is written when all is over.
    assert.deepEqual(await run(beside, true), [4, 7, 10]);
    assert.deepEqual(await folderHashes(beside), await folderHashes(waited));
  });
}

/** Lets each copy be written after one more update; answers, as it grows, how many were made then. */
function writeLate(trainer: Trainer): readonly number[] {
  const deferred = trainer.deferred!;
  const seen: number[] = [];
  let next = Promise.withResolvers<void>();
  Object.assign(trainer, {
    deferred: {
      ...deferred,
      async launch(...args: Parameters<typeof deferred.launch>): Promise<void> {
        await deferred.launch(...args);
        next.resolve();
      },
      async snapshot(): Promise<Pick<Trainer, "save">> {
        const copy = await deferred.snapshot!();
        next = Promise.withResolvers();
        return {
          async save(directory) {
            await next.promise;
            seen.push(trainer.step);
            return await copy.save(directory);
          },
        };
      },
    },
  });
  return seen;
}

// Measured worst: 6.3e-6.
const LOGITS_ABSOLUTE = 1e-4;

for (const name of Object.keys(FAMILIES)) {
  Deno.test(`${name}: decoding with plain attention gives the logits of the fused one`, async () => {
    const { config, weights, expected } = await loadFixtureModel(runtime, name);
    await expected[Symbol.asyncDispose]();
    using _weights = weights;
    using plain = new Decoder(runtime, config, weights, { attention: "plain", chunk: 100 });
    using fused = new Decoder(runtime, config, weights, { chunk: 100 });
    const ids = Array.from({ length: 250 }, (_, i) => (i * 37 + 11) % config.vocabSize);
    let worst = 0;
    const compare = async (next: readonly number[]) => {
      const logits = await plain.prefill(next);
      const { maxAbsolute } = assertClose(logits, await fused.prefill(next), {
        absolute: LOGITS_ABSOLUTE,
        label: `after ${plain.position}`,
      });
      worst = Math.max(worst, maxAbsolute);
    };
    await compare(ids);
    // Beyond the capacity of 256, so that the cache is copied.
    for (let i = 0; i < 10; i++) await compare([(i * 53 + 5) % config.vocabSize]);
    if (Deno.env.get("ORTUNE_REPORT")) console.log(name, worst);
  });
}
