/**
 * Runs without padding beside runs of padded grids: whole runs over host memory, from the base model and from
 * each other's checkpoints.
 */

import assert from "node:assert/strict";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { readFloat32 } from "../ort/tensor/tensor_source.ts";
import type { EvaluateEvent, StepEvent } from "../train/events.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { train, type TrainOptions } from "../train/loop/loop.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { linearSchedule } from "../train/schedules/schedules.ts";
import type { Trainer } from "../train/trainer.ts";
import { bfloat16Trainer } from "./support/bfloat16_trainer.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { hostGpu } from "./support/test_gpu.ts";
import { tinyConfig, tinyModelFolder, trainingExamples } from "./support/tiny_model.ts";

const runtime = new Runtime({ threads: 1 });
const gpu = await hostGpu();
if (!gpu) console.warn("runs in own kernels not tested: they need Linux, gcc and g++");

// Heads of 64, so that attention runs in a kernel.
const config = tinyConfig({ head_dim: 64, hidden_size: 64, intermediate_size: 128 });
// Far apart, so that a padded batch of them is mostly padding.
const lengths = [70, 6, 20, 9, 130, 12, 5, 40, 8, 33, 90, 7];
const examples = trainingExamples(lengths, config.vocabSize, 256);

/** Updates of a run, and after how many one is cut, within an epoch. */
const [UPDATES, CUT] = [5, 3];

interface How {
  readonly kernels: boolean;
  readonly skipPadding: boolean;
  readonly sortUpdates?: boolean;
  readonly lora?: typeof DEFAULT_LORA;
}

function makeTrainer(model: string, { kernels, skipPadding, lora }: How): Promise<Trainer> {
  if (kernels) return bfloat16Trainer(runtime, config, { gpu: gpu!.gpu, lora, skipPadding });
  const options = { runtime, skipPadding };
  return lora ? createLoraTrainer(model, { ...options, lora }) : createFullTrainer(model, options);
}

interface Result {
  readonly steps: readonly StepEvent[];
  readonly evaluations: readonly EvaluateEvent[];
  readonly weights: ReadonlyMap<string, Float32Array>;
}

async function run(model: string, how: How, options: Partial<TrainOptions> = {}): Promise<Result> {
  await using trainer = await makeTrainer(model, how);
  const events = await Array.fromAsync(train(trainer, {
    examples,
    evalExamples: examples.slice(0, 5),
    padId: 0,
    schedule: (totalSteps) => linearSchedule({ peak: 1e-3, totalSteps }),
    batchSize: 3,
    accumulationSteps: 2,
    maxSteps: UPDATES,
    evalSteps: CUT,
    sortUpdates: how.sortUpdates,
    ...options,
  }));
  const weights = new Map<string, Float32Array>();
  for (const name of trainer.weights.names()) {
    weights.set(name, await readFloat32(trainer.weights, name));
  }
  return {
    steps: events.filter((event): event is StepEvent => event.type === "step"),
    evaluations: events.filter((event): event is EvaluateEvent => event.type === "evaluate"),
    weights,
  };
}

/** Worst differences, losses and norms of themselves, weights of a tensor's largest. */
function compare(
  what: string,
  actual: Result,
  expected: Result,
  most: { readonly loss: number; readonly norm: number; readonly weights: number },
): void {
  assert.equal(actual.steps.length, expected.steps.length);
  assert.deepEqual(
    actual.steps.map(({ tokens, supervisedTokens }) => [tokens, supervisedTokens]),
    expected.steps.map(({ tokens, supervisedTokens }) => [tokens, supervisedTokens]),
  );
  const of = (label: string, relative: number, pick: (result: Result) => readonly number[]) =>
    assertClose(pick(actual), pick(expected), { relative, label: `${what}: ${label}` }).maxRelative;
  let weights = 0;
  for (const [name, wanted] of expected.weights) {
    const largest = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const got = actual.weights.get(name)!;
    const { maxAbsolute } = assertClose(got, wanted, {
      absolute: Math.max(most.weights * largest, 1e-12),
      label: `${what}: ${name}`,
    });
    if (largest > 0) weights = Math.max(weights, maxAbsolute / largest);
  }
  const worst = {
    loss: of("loss", most.loss, ({ steps }) => steps.map(({ loss }) => loss)),
    norm: of("norm", most.norm, ({ steps }) => steps.map(({ gradNorm }) => gradNorm)),
    evalLoss: of("eval", most.loss, ({ evaluations }) => evaluations.map((each) => each.evalLoss)),
    weights,
  };
  if (Deno.env.get("ORTUNE_REPORT")) console.log(what, worst);
}

// Measured: losses 4.2e-8, norms 8.4e-8, weights 6.0e-6, where AdamW's first updates make a step of the full
// size of a gradient near zero.
const ROUNDING = { loss: 1e-6, norm: 1e-5, weights: 1e-3 };
// In bfloat16 sums of another order are rounded otherwise now and then: those of updates that are sorted, and of
// attention's gradients, whose two halves of a turn of keys go by where a segment begins. The first losses are
// the same to the bit. Measured: losses 9.8e-4, norms 1.6e-3, weights
// 4.8e-3, which is a step of one of eight bits.
const BFLOAT16_ROUNDING = { loss: 2e-3, norm: 5e-3, weights: 2e-2 };

// Dropout draws by the place of a token in its batch, so that it is the same without padding. (The host's own
// masks are drawn a grid at a time.)
const LORA = { ...DEFAULT_LORA, dropout: 0.2 };

Deno.test({
  name: "examples end to end train an adapter with dropout in own kernels as a padded grid does",
  ignore: !gpu,
  async fn() {
    await using model = await tinyModelFolder(runtime, config);
    const how = { kernels: true, lora: LORA };
    const padded = await run(model.path, { ...how, skipPadding: false });
    const endToEnd = await run(model.path, { ...how, skipPadding: true });
    assert.equal(endToEnd.steps[0].loss, padded.steps[0].loss);
    compare("an adapter, own kernels", endToEnd, padded, BFLOAT16_ROUNDING);
  },
});

Deno.test("rows of unlike length apart train as a padded grid does, in float32 on the host", async () => {
  await using model = await tinyModelFolder(runtime, config);
  const padded = await run(model.path, { kernels: false, skipPadding: false, sortUpdates: false });
  for (const sortUpdates of [false, true]) {
    const result = await run(model.path, { kernels: false, skipPadding: true, sortUpdates });
    compare(`the host, ${sortUpdates ? "sorted" : "in order"}`, result, padded, ROUNDING);
  }
});

Deno.test("a batch of one row is not touched: the same bytes with padding skipped, and updates sorted", async () => {
  await using model = await tinyModelFolder(runtime, config);
  const one = { batchSize: 1, accumulationSteps: 4 };
  const hashes: unknown[] = [];
  for (const skipPadding of [false, true]) {
    await using folder = await tempFolder();
    const output = { directory: folder.path, facts: {} };
    const how = { kernels: false, skipPadding, sortUpdates: skipPadding };
    await run(model.path, how, { ...one, evalExamples: [], output });
    hashes.push(await folderHashes(`${folder.path}/checkpoint-${UPDATES}`));
  }
  assert.deepEqual(hashes[1], hashes[0]);
});

/** Tiles of 64 tokens of attention's backward kernel since they were last asked for; forwards are of 128, which rounds short rows up. */
function tiles(): number {
  const attention = gpu!.records().filter(({ name }) => name === "attentionBackwardQueries");
  return attention.reduce((sum, { grid }) => sum + grid[0], 0);
}

for (const kernels of [false, true]) {
  Deno.test({
    name: `${
      kernels ? "in own kernels" : "on the host"
    }: a run without padding trains as a padded one does, from its checkpoint too, and resumed it ends in the same bytes`,
    ignore: kernels && !gpu,
    async fn() {
      await using model = await tinyModelFolder(runtime, config);
      await using folder = await tempFolder();
      const output = (name: string) => ({ directory: `${folder.path}/${name}`, facts: {} });
      const before = { kernels, skipPadding: false, sortUpdates: kernels };
      const after = { kernels, skipPadding: true };
      const most = kernels ? BFLOAT16_ROUNDING : ROUNDING;
      const saved = { saveSteps: CUT };
      if (kernels) tiles();
      const padded = await run(model.path, before, { ...saved, output: output("padded") });
      const paddedTiles = kernels ? tiles() : 0;
      const whole = await run(model.path, after, { ...saved, output: output("whole") });
      if (kernels) {
        const own = tiles();
        assert.ok(own > 0 && own < 0.7 * paddedTiles, `${own} of ${paddedTiles}`);
        assert.equal(whole.steps[0].loss, padded.steps[0].loss);
      }
      compare("whole", whole, padded, most);
      const resumeFrom = `${folder.path}/padded/checkpoint-${CUT}`;
      const across = await run(model.path, after, { resumeFrom, output: output("across") });
      compare("across", across, { ...padded, ...since(padded, CUT) }, most);
      const own = `${folder.path}/whole/checkpoint-${CUT}`;
      await run(model.path, after, { ...saved, resumeFrom: own, output: output("cut") });
      assert.deepEqual(
        await folderHashes(`${folder.path}/cut/checkpoint-${UPDATES}`),
        await folderHashes(`${folder.path}/whole/checkpoint-${UPDATES}`),
      );
    },
  });
}

/** The part of a run after an update. */
function since(
  { steps, evaluations }: Result,
  step: number,
): Pick<Result, "steps" | "evaluations"> {
  return {
    steps: steps.filter((each) => each.step > step),
    evaluations: evaluations.filter((each) => each.step > step),
  };
}
