/** Runs of a stub that are cut, resumed, refused or skipped. */

import assert from "node:assert/strict";
import { folderHashes } from "../../tests/support/folder_hashes.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { stubExample, trainerStub } from "../../tests/support/trainer_stub.ts";
import { listCheckpoints } from "../checkpoints/checkpoint.ts";
import type { RunFacts } from "../checkpoints/run_facts.ts";
import type { TrainEvent } from "../events.ts";
import type { Trainer } from "../trainer.ts";
import { train, type TrainOptions } from "./loop.ts";

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
