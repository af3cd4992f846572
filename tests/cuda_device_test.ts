/**
 * A real GPU against the host: losses, gradient norms, evaluations, checkpoints and replies. Needs CUDA, its
 * provider, and ORTUNE_GPU to name the device, such as cuda:0. One library serves both sides: the one of
 * ORTUNE_ORT_LIB, or npm's. ORTUNE_KERNELS_SYNC=1 waits for each of our kernels, so that a fault names it.
 *
 * ORTUNE_GPU=cpu tries the tests themselves, without a GPU: what a device runs, run on the host in float32,
 * kernels compiled for the processor.
 */

import assert from "node:assert/strict";
import { readExamples } from "../data/examples/read_examples.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { createGenerator } from "../infer/generate/generator.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { type Gpu, openGpu } from "../ort/kernels/gpu.ts";
import { cpu, type Device, parseDevice } from "../ort/runtime/device.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { Tensor } from "../ort/runtime/tensor.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import type { StepEvent } from "../train/events.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { train } from "../train/loop/loop.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { linearSchedule } from "../train/schedules/schedules.ts";
import type { Trainer } from "../train/trainer.ts";
import type { TrainingPrecision } from "../train/training_precision.ts";
import { joinExample } from "../data/examples/join_example.ts";
import { Decoder } from "../infer/generate/decoder.ts";
import { loadModel } from "../model/engine/load_model.ts";
import { writeSafetensors } from "../ort/tensor/safetensors_writer.ts";
import type { EvaluateEvent } from "../train/events.ts";
import type { TrainOptions } from "../train/loop/loop.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";
import { type TempFolder, tempFolder } from "./support/temp_folder.ts";
import { hostGpu } from "./support/test_gpu.ts";
import { randomExamples, randomWeights, tinyConfig } from "./support/tiny_model.ts";

const name = Deno.env.get("ORTUNE_GPU");
const rehearsal = name === "cpu";
const libraryPath = Deno.env.get("ORTUNE_ORT_LIB") || undefined;
if (!name) {
  console.warn(
    "GPU test skipped: no GPU was named. On a machine with one: ORTUNE_GPU=cuda:0 deno test " +
      "--allow-all tests/cuda_device_test.ts",
  );
}

// Float32 sums in another order; bfloat16 has 8 bits. Not yet measured on a GPU: bounds to start from.
const LOSS_RELATIVE: Readonly<Record<TrainingPrecision, number>> = {
  fp32: 1e-4,
  bf16: 2e-2,
  "bf16-pure": 3e-2,
};

/** Evaluations are means over fewer tokens than a loss of two batches. */
const EVAL_RELATIVE: Readonly<Record<TrainingPrecision, number>> = LOSS_RELATIVE;
/** Logits of the largest, of a model that two sides run; the host's are of the device's own checkpoint. */
const LOGITS_RELATIVE: Readonly<Record<TrainingPrecision, number>> = {
  fp32: 1e-4,
  bf16: 3e-2,
  "bf16-pure": 3e-2,
};

interface How {
  readonly runtime: Runtime;
  readonly precision: TrainingPrecision;
  readonly gpu?: Gpu;
  readonly graphsOnly?: boolean;
  readonly skipPadding?: boolean;
}

const host = rehearsal ? await hostGpu() : undefined;

/** The device's kernels, opened for a test; of a rehearsal those of the processor. */
function openKernels(device: Device): { readonly gpu?: Gpu } & Disposable {
  if (device.kind !== "cuda") return { gpu: host?.gpu, [Symbol.dispose]: () => {} };
  const gpu = openGpu({
    device: device.index,
    nvrtcLibrary: Deno.env.get("ORTUNE_NVRTC_LIB"),
    synchronous: Deno.env.get("ORTUNE_KERNELS_SYNC") === "1",
  });
  return { gpu, [Symbol.dispose]: () => gpu[Symbol.dispose]() };
}

type Make = (model: string, how: How) => Promise<Trainer>;

const METHODS: Readonly<Record<string, Make>> = {
  full: createFullTrainer,
  lora: (model, how) => createLoraTrainer(model, { ...how, lora: { ...DEFAULT_LORA, dropout: 0 } }),
  dora: (model, how) =>
    createLoraTrainer(model, { ...how, lora: { ...DEFAULT_LORA, dropout: 0, dora: true } }),
  // The host's has the same numbers, and their scales in float32.
  ...Object.fromEntries((["int8", "int4"] as const).map((baseDtype): [string, Make] => [
    `lora on a base in ${baseDtype}`,
    (model, how) =>
      createLoraTrainer(model, {
        ...{ ...how, baseDtype, baseCompute: "fp32" },
        lora: { ...DEFAULT_LORA, dropout: 0 },
      }),
  ])),
};

/** Ten updates and a greedy reply. */
async function run(
  device: Device,
  folder: string,
  make: Make,
  precision: TrainingPrecision,
  kernels = false,
): Promise<{ steps: StepEvent[]; reply: number[] }> {
  using runtime = new Runtime({ threads: THREADS, libraryPath, device });
  const model = `${folder}/models/tiny`;
  const tokenizer = await loadTokenizer(model);
  const { examples } = await readExamples(`${folder}/data/train.jsonl`, {
    tokenizer,
    maxLength: 256,
  });
  using opened = kernels ? openKernels(device) : undefined;
  await using trainer = await make(model, { runtime, precision, gpu: opened?.gpu });
  const events = await Array.fromAsync(train(trainer, {
    examples,
    padId: 0,
    schedule: (totalSteps) => linearSchedule({ peak: 1e-3, totalSteps }),
    batchSize: 2,
    accumulationSteps: 2,
    maxSteps: 10,
    loggingSteps: 4,
  }));
  const { config, weights, linear } = trainer;
  using generator = createGenerator({ runtime, config, weights, linear });
  const prompt = [...examples[0].inputIds.subarray(0, examples[0].promptLength)];
  const reply = await Array.fromAsync(
    generator.generate(prompt, { maxNewTokens: 16, greedy: true, eosTokenIds: [0] }),
  );
  return { steps: events.filter((event): event is StepEvent => event.type === "step"), reply };
}

Deno.test({
  name: "device memory gives back what was written, whatever its size",
  ignore: !name,
  fn: () => {
    using runtime = new Runtime({ threads: 1, libraryPath, device: parseDevice(name!) });
    for (const length of [1, 1000, 3_000_000]) {
      const data = Float32Array.from({ length }, (_, i) => i);
      using tensor = Tensor.from(runtime, "float32", [length], data);
      using copy = Tensor.allocate(runtime, "float32", [length]);
      copy.zero();
      copy.copyFrom(tensor, { bytes: 4 });
      assert.deepEqual(tensor.hostFloat32(), data);
      assert.deepEqual(copy.hostFloat32(), new Float32Array(length));
    }
  },
});

for (const [method, make] of Object.entries(METHODS)) {
  for (
    const [precision, kernels] of [
      ["fp32", false],
      ["bf16", false],
      ["bf16-pure", false],
      ["fp32", true],
      ["bf16", true],
      ["bf16-pure", true],
    ] as const
  ) {
    const what = `${method} training in ${precision}${kernels ? " with own kernels" : ""}`;
    Deno.test({
      name: `${what} on a GPU has the host's losses and norms`,
      ignore: !name || rehearsal,
      fn: async () => {
        await using folder = await quickstartFolder();
        const host = await run(cpu, folder.path, make, "fp32");
        const device = await run(parseDevice(name!), folder.path, make, precision, kernels);
        const compare = (key: "loss" | "gradNorm", relative: number) =>
          assertClose(device.steps.map((each) => each[key]), host.steps.map((each) => each[key]), {
            relative,
            label: key,
          }).maxRelative;
        const loss = compare("loss", LOSS_RELATIVE[precision]);
        const norm = compare("gradNorm", 5 * LOSS_RELATIVE[precision]);
        console.log(`${what}: losses within ${loss}, norms within ${norm}`);
        if (precision === "fp32") assert.deepEqual(device.reply, host.reply);
      },
    });
  }
}

/** Sizes that every kernel has: attention, the heads' norms and rotation, LoRA's products, norms, SwiGLU. */
const SIZES = {
  "heads of 64": { head_dim: 64, hidden_size: 128, intermediate_size: 256 },
  "heads of 128": {
    ...{ head_dim: 128, hidden_size: 256, intermediate_size: 512 },
    ...{ num_attention_heads: 2, num_key_value_heads: 1 },
  },
} as const;
type Size = keyof typeof SIZES;

const TRAINED: Readonly<Record<string, Make>> = { full: METHODS.full, lora: METHODS.lora };

/** Longer than tiles of 64 and of 128, and far apart. */
const LENGTHS = [70, 6, 200, 9, 130, 12, 5, 40, 300, 33, 90, 64];

const configOf = (size: Size) => tinyConfig({ ...SIZES[size], vocab_size: 512, eos_token_id: 0 });

async function modelOf(size: Size): Promise<TempFolder> {
  const folder = await tempFolder();
  const config = configOf(size);
  using runtime = new Runtime({ threads: THREADS, libraryPath });
  using weights = randomWeights(runtime, config);
  // As wide models begin, so that ten updates change the loss by a share of it, not by all of it.
  for (const name of weights.names()) {
    if (name.endsWith("norm.weight")) continue;
    const values = weights.tensor(name).float32();
    for (let i = 0; i < values.length; i++) values[i] *= 0.2;
  }
  await folder.write("config.json", JSON.stringify(config.raw));
  await writeSafetensors(`${folder.path}/model.safetensors`, weights);
  return folder;
}

function examplesOf(size: Size) {
  return randomExamples(LENGTHS, configOf(size).vocabSize).map(({ ids, prompt }) => {
    const all = Int32Array.from(ids);
    const options = { maxLength: 512, terminated: true };
    return joinExample(all.subarray(0, prompt), all.subarray(prompt), options);
  });
}

interface SideOptions extends Partial<TrainOptions> {
  readonly make: Make;
  readonly precision: TrainingPrecision;
  readonly skipPadding?: boolean;
}

interface Side {
  readonly losses: readonly number[];
  readonly norms: readonly number[];
  readonly evaluations: readonly number[];
  /** Logits after the prompt, of the model as it was trained. */
  readonly logits: Float32Array;
  readonly reply: readonly number[];
}

const PROMPT = [5, 17, 42, 300, 7];

/** Six updates with two evaluations, and a greedy reply, with own kernels where the device has any. */
async function side(
  device: Device,
  size: Size,
  model: string,
  { make, precision, skipPadding, ...options }: SideOptions,
): Promise<Side> {
  const onDevice = device.kind !== "cpu" || rehearsal && options.output !== undefined;
  using runtime = new Runtime({ threads: THREADS, libraryPath, device });
  using opened = onDevice ? openKernels(device) : undefined;
  const graphsOnly = onDevice ? true : undefined;
  await using trainer = await make(model, {
    ...{ runtime, precision, gpu: opened?.gpu, graphsOnly, skipPadding },
  });
  const examples = examplesOf(size);
  const events = await Array.fromAsync(train(trainer, {
    ...{ examples, evalExamples: examples.slice(3, 8), padId: 0, maxSteps: 6, evalSteps: 3 },
    schedule: (totalSteps) => linearSchedule({ peak: 1e-3, totalSteps }),
    batchSize: 2,
    loggingSteps: 4,
    ...options,
  }));
  const steps = events.filter((event): event is StepEvent => event.type === "step");
  const evaluations = events.filter((event): event is EvaluateEvent => event.type === "evaluate");
  const { config, weights, linear } = trainer;
  using decoder = new Decoder(runtime, config, weights, { linear });
  const logits = (await decoder.prefill(PROMPT)).slice();
  using generator = createGenerator({ runtime, config, weights, linear });
  const reply = await Array.fromAsync(
    generator.generate(PROMPT, { maxNewTokens: 16, greedy: true, eosTokenIds: [0] }),
  );
  return {
    losses: steps.map(({ loss }) => loss),
    norms: steps.map(({ gradNorm }) => gradNorm),
    evaluations: evaluations.map(({ evalLoss }) => evalLoss),
    logits,
    reply,
  };
}

const DATA = {
  "one batch an update": { accumulationSteps: 1 },
  "two batches an update, packed": { accumulationSteps: 2, packing: { maxLength: 320 } },
} as const;

const device = name ? parseDevice(name) : cpu;
const PRECISIONS = ["fp32", "bf16"] as const;

for (const size of Object.keys(SIZES) as Size[]) {
  for (const [method, make] of Object.entries(TRAINED)) {
    for (const precision of PRECISIONS) {
      for (const [what, data] of Object.entries(DATA)) {
        const title = `${method}, ${precision}, ${size}, ${what}`;
        Deno.test({
          name: `own kernels on a GPU train, evaluate, save and reply as the host does: ${title}`,
          ignore: !name || rehearsal && (precision !== "fp32" || !host),
          fn: async () => {
            await using model = await modelOf(size);
            await using output = await tempFolder();
            const expected = await side(cpu, size, model.path, {
              make,
              precision: "fp32",
              ...data,
            });
            const actual = await side(device, size, model.path, {
              ...{ make, precision, ...data },
              output: { directory: output.path, facts: {} },
            });
            const compare = (key: "losses" | "norms" | "evaluations", relative: number) =>
              assertClose(actual[key], expected[key], { relative, label: key }).maxRelative;
            const worst = {
              losses: compare("losses", LOSS_RELATIVE[precision]),
              norms: compare("norms", 5 * LOSS_RELATIVE[precision]),
              evaluations: compare("evaluations", EVAL_RELATIVE[precision]),
              logits: 0,
            };
            assert.equal(actual.losses.length, 6);
            assert.ok(actual.losses.at(-1)! < actual.losses[0], actual.losses.join());
            if (precision === "fp32") assert.deepEqual(actual.reply, expected.reply);
            assert.ok(actual.reply.length > 0);
            if (method === "full") {
              // What was saved, loaded on the host, is what replies.
              using runtime = new Runtime({ threads: THREADS, libraryPath });
              const saved = await loadModel(runtime, `${output.path}/checkpoint-6`);
              using weights = saved.weights;
              using decoder = new Decoder(runtime, saved.config, weights);
              const logits = await decoder.prefill(PROMPT);
              const relativeToMax = LOGITS_RELATIVE[precision];
              const { maxAbsolute } = assertClose(actual.logits, logits, {
                relativeToMax,
                label: "logits",
              });
              worst.logits = maxAbsolute /
                logits.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
            }
            console.log(`${title}:`, worst);
          },
        });
      }
    }
  }
}

/** With dropout, whose draws a resumed run must make again. */
const RESUMED: Readonly<Record<string, Make>> = {
  full: METHODS.full,
  "lora with dropout": (model, how) =>
    createLoraTrainer(model, { ...how, lora: { ...DEFAULT_LORA, dropout: 0.1 } }),
};

for (const [method, make] of Object.entries(RESUMED)) {
  const precision = rehearsal ? "fp32" : "bf16";
  Deno.test({
    name: `a resumed run of own kernels on a GPU ends in the same bytes: ${method}`,
    ignore: !name || rehearsal && !host,
    fn: async () => {
      await using model = await modelOf("heads of 64");
      await using folder = await tempFolder();
      const options = { make, precision, accumulationSteps: 2, saveSteps: 3 } as const;
      const output = (name: string) => ({ directory: `${folder.path}/${name}`, facts: {} });
      const run = (extra: Partial<TrainOptions>) =>
        side(device, "heads of 64", model.path, { ...options, ...extra });
      const whole = await run({ output: output("whole") });
      const resumeFrom = `${folder.path}/whole/checkpoint-3`;
      const cut = await run({ output: output("cut"), resumeFrom });
      const hashes = (name: string) => folderHashes(`${folder.path}/${name}/checkpoint-6`);
      assert.deepEqual(await hashes("cut"), await hashes("whole"));
      assert.deepEqual(cut.reply, whole.reply);
      assert.deepEqual(cut.logits, whole.logits);
    },
  });

  Deno.test({
    name: `examples end to end on a GPU train as a padded grid does: ${method}`,
    ignore: !name || rehearsal,
    fn: async () => {
      await using model = await modelOf("heads of 128");
      await using folder = await tempFolder();
      const sides: Side[] = [];
      for (const skipPadding of [false, true]) {
        sides.push(
          await side(device, "heads of 128", model.path, {
            ...{ make, precision, skipPadding, accumulationSteps: 2 },
            output: { directory: `${folder.path}/${skipPadding}`, facts: {} },
          }),
        );
      }
      const [padded, endToEnd] = sides;
      const relative = LOSS_RELATIVE[precision];
      const { maxRelative } = assertClose(endToEnd.losses, padded.losses, {
        relative,
        label: "losses",
      });
      console.log(`${method}, end to end against padded: losses within ${maxRelative}`);
    },
  });
}
