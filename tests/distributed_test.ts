/** Runs of several processes beside runs of one: the same updates of the same rows. */

import assert from "node:assert/strict";
import type { Comm } from "../comm/comm.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { readFloat32 } from "../ort/tensor/tensor_source.ts";
import type { EvaluateEvent, StepEvent, TrainEvent } from "../train/events.ts";
import { listCheckpoints } from "../train/checkpoints/checkpoint.ts";
import { train, type TrainOptions } from "../train/loop/loop.ts";
import { findOptimizer } from "../train/optimizers/optimizers.ts";
import { linearSchedule } from "../train/schedules/schedules.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { localComms } from "./support/local_comm.ts";
import { relativeNorm } from "./support/numbers.ts";
import { tinyConfig, tinyModelFolder, trainingExamples } from "./support/tiny_model.ts";

// Relative to the value, and for weights, as one norm, to theirs. Measured: losses 2.1e-7, weights 2.4e-7.
const SAME = 1e-6;

const runtime = new Runtime({ threads: 2 });
const config = tinyConfig();
const lengths = [31, 6, 20, 9, 60, 12, 5, 40, 8, 33, 50, 7, 3];
const examples = trainingExamples(lengths, config.vocabSize, 64);

interface How extends Partial<TrainOptions> {
  readonly lora?: boolean;
  readonly shardOptimizer?: boolean;
  readonly graphsOnly?: boolean;
}

interface Result {
  readonly events: readonly TrainEvent[];
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** One process's part of a run. */
async function part(model: string, how: How, comm?: Comm): Promise<Result> {
  const { lora, shardOptimizer, graphsOnly, output, ...options } = how;
  const made = { runtime, comm, shardOptimizer, graphsOnly };
  await using trainer = lora
    ? await createLoraTrainer(model, { ...made, lora: { ...DEFAULT_LORA, dropout: 0.2 } })
    : await createFullTrainer(model, made);
  const events = await Array.fromAsync(train(trainer, {
    examples,
    evalExamples: examples.slice(0, 5),
    padId: 0,
    schedule: (totalSteps) => linearSchedule({ peak: 1e-3, totalSteps }),
    batchSize: 3,
    accumulationSteps: 2,
    maxSteps: 7,
    evalSteps: 3,
    ...options,
    output: comm === undefined || comm.rank === 0 ? output : undefined,
    comm,
  }));
  const weights = new Map<string, Float32Array>();
  for (const name of trainer.weights.names()) {
    weights.set(name, await readFloat32(trainer.weights, name));
  }
  return { events, weights };
}

/** A run of several processes; what each of them saw. */
function together(model: string, how: How, size: number): Promise<readonly Result[]> {
  return Promise.all(localComms(size).map((comm) => part(model, how, comm)));
}

const steps = ({ events }: Result) =>
  events.filter((each): each is StepEvent => each.type === "step");

const evaluations = ({ events }: Result) =>
  events.filter((each): each is EvaluateEvent => each.type === "evaluate");

/** Asserts that two runs are one but for rounding. */
function assertSameRun(label: string, actual: Result, expected: Result): void {
  const series = [
    (run: Result) => steps(run).map(({ loss }) => loss),
    (run: Result) => steps(run).map(({ gradNorm }) => gradNorm),
    (run: Result) => evaluations(run).flatMap((each) => [each.evalLoss, each.evalTokenLoss]),
  ];
  const worst = series.map((of) =>
    assertClose(of(actual), of(expected), { relative: SAME, label }).maxRelative
  );
  const off = relativeNorm(actual.weights, expected.weights);
  assert.ok(off <= SAME, `${label}: weights are off by ${off}`);
  worst.push(off);
  if (Deno.env.get("ORTUNE_REPORT")) console.log(label, Math.max(...worst));
}

const KINDS: readonly (readonly [string, How])[] = [
  ["all weights", {}],
  ["an adapter with dropout", { lora: true }],
  ["packed rows", { packing: { maxLength: 64 }, batchSize: 2 }],
  ["one batch an update, of fewer rows than processes", { batchSize: 2, accumulationSteps: 1 }],
];

/** As on devices: everything is left to graphs, and numbers are read when somebody asks. */
Deno.test("several processes make the updates of one, their losses and sums left to graphs", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  const sharded = new Set(["all weights", "an adapter with dropout"]);
  for (const [title, how] of KINDS) {
    const options = { ...how, graphsOnly: true, loggingSteps: 3 };
    const alone = await part(folder.path, options);
    // Saved from a copy, while the others go on.
    const output = { directory: `${folder.path}/${title}`, facts: {} };
    const ranks = await together(folder.path, { ...options, saveSteps: 2, output }, 3);
    const saved = (await listCheckpoints(output.directory)).map(({ step }) => step);
    assert.deepEqual(saved.toSorted((a, b) => a - b), [2, 4, 6, 7]);
    assertSameRun(`${title}, left to graphs`, ranks[0], alone);
    // Each process keeps a part of the optimizer's state.
    if (!sharded.has(title)) continue;
    const apart = { directory: `${folder.path}/${title}, sharded`, facts: {} };
    const sharding = { ...options, shardOptimizer: true, saveSteps: 2, output: apart };
    const shards = await together(folder.path, sharding, 3);
    for (const other of [...ranks, ...shards].slice(1)) {
      assert.deepEqual(other.weights, ranks[0].weights);
    }
    const hashes = (of: string) => folderHashes(`${of}/checkpoint-7`);
    assert.deepEqual(await hashes(apart.directory), await hashes(output.directory));
  }
});

/** Processes, and whether each keeps a part of the optimizer's state. */
const SIZES: readonly (readonly [number, boolean])[] = [[2, false], [4, false], [3, true]];

for (const [title, how] of KINDS) {
  Deno.test(`several processes make the updates of one: ${title}`, async () => {
    await using folder = await tinyModelFolder(runtime, config);
    const model = folder.path;
    const alone = await part(model, how);
    assert.ok(steps(alone).length === 7 && evaluations(alone).length === 3);
    for (const [size, shardOptimizer] of SIZES) {
      const ranks = await together(model, { ...how, shardOptimizer }, size);
      assertSameRun(`${title}, ${size} processes`, ranks[0], alone);
      for (const other of ranks.slice(1)) {
        assert.deepEqual(other.weights, ranks[0].weights);
        const numbers = (run: Result) => [
          ...steps(run).map(({ loss, gradNorm }) => [loss, gradNorm]),
          ...evaluations(run).map(({ evalLoss }) => evalLoss),
        ];
        assert.deepEqual(numbers(other), numbers(ranks[0]));
      }
    }
  });
}

Deno.test("a checkpoint is the same, sharded or not, and resumes with other numbers of processes", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  const model = folder.path;
  const how = (name: string, more: How = {}): How => ({
    saveSteps: 3,
    output: { directory: `${model}/${name}`, facts: {} },
    ...more,
  });
  const alone = await part(model, {});
  await together(model, how("whole"), 2);
  await together(model, how("sharded", { shardOptimizer: true }), 2);
  const hashes = (name: string) => folderHashes(`${model}/${name}/checkpoint-6`);
  const whole = await hashes("whole");
  assert.ok("optimizer.state" in whole && "model.safetensors" in whole);
  assert.deepEqual(await hashes("sharded"), whole);

  // Four sharded processes up to update 3, one up to 6, two sharded ones to the end.
  let last: Result | undefined;
  for (
    const [size, maxSteps, shardOptimizer] of [[4, 3, true], [1, 6, false], [2, 7, true]] as const
  ) {
    const resumeFrom = maxSteps > 3
      ? `${model}/moved/checkpoint-${maxSteps === 6 ? 3 : 6}`
      : undefined;
    const options = how("moved", { shardOptimizer, maxSteps, resumeFrom });
    const schedule = () => linearSchedule({ peak: 1e-3, totalSteps: 7 });
    [last] = size === 1
      ? [await part(model, { ...options, schedule })]
      : await together(model, { ...options, schedule }, size);
  }
  assertSameRun("resumed", last!, {
    ...alone,
    events: alone.events.filter((each) => each.type !== "step" || each.step > 6)
      .filter((each) => each.type !== "evaluate" || each.step > 6),
  });
});

Deno.test("who is asked to stop stops all after the same update, with a checkpoint", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  const output = { directory: `${folder.path}/output`, facts: {} };
  const controller = new AbortController();
  const ranks = await Promise.all(
    localComms(3).map(async (comm) => {
      const signal = comm.rank === 2 ? controller.signal : undefined;
      await using trainer = await createFullTrainer(folder.path, { runtime, comm });
      const ends: unknown[] = [];
      const options = { examples, padId: 0, batchSize: 2, maxSteps: 50, comm, signal };
      const schedule = () => linearSchedule({ peak: 1e-3, totalSteps: 50 });
      for await (
        const event of train(trainer, {
          ...options,
          schedule,
          output: comm.rank === 0 ? output : undefined,
        })
      ) {
        if (comm.rank === 2 && event.type === "step" && event.step === 4) controller.abort();
        if (event.type === "end") ends.push(event.reason, event.step);
      }
      return ends;
    }),
  );
  assert.deepEqual(ranks, Array(3).fill(["aborted", 4]));
  const [saved] = await listCheckpoints(output.directory);
  assert.equal(saved.step, 4);
});

Deno.test("an optimizer that knows of one process alone is refused for several", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  const { several: _, ...alone } = findOptimizer();
  const optim = { ...alone, title: "Own" };
  const [comm] = localComms(2);
  await assert.rejects(
    createFullTrainer(folder.path, { runtime, comm, optim }),
    /^RangeError: Cannot train with 2 processes and Own: it knows of one alone/,
  );
  const whole = { ...optim, several: true, sharded: false };
  await assert.rejects(
    createFullTrainer(folder.path, { runtime, comm, optim: whole, shardOptimizer: true }),
    /^RangeError: Cannot shard Own: each process keeps all of its state; leave --shard-optimizer out/,
  );
});
