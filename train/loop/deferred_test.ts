/** Updates whose results are read later than they are made. */

import assert from "node:assert/strict";
import { deferredStub } from "../../tests/support/deferred_stub.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { stubExample } from "../../tests/support/trainer_stub.ts";
import type { StepEvent, TrainEvent } from "../events.ts";
import { train, type TrainOptions } from "./loop.ts";

const stubOptions: TrainOptions = {
  examples: Array.from({ length: 40 }, (_, i) => stubExample(i)),
  padId: 0,
  schedule: () => (step) => step,
  epochs: 1,
  maxSteps: 16,
};

Deno.test("results are read at logs, evaluations, saves and the end, and else when they get many", async () => {
  await using folder = await tempFolder();
  const { trainer, reads } = deferredStub();
  const events = await Array.fromAsync(train(trainer, {
    ...stubOptions,
    loggingSteps: 4,
    evalSteps: 7,
    saveSteps: 15,
    evalExamples: [stubExample(1)],
    output: { directory: folder.path, facts: {} },
  }));
  assert.deepEqual(reads, [4, 3, 1, 4, 2, 1, 1]);
  const told = events.filter(({ type }) => type !== "micro-step")
    .map((event) => "step" in event ? `${event.type} ${event.step}` : event.type);
  const until = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => `step ${from + i}`);
  assert.deepEqual(told, [
    ...["start", ...until(1, 4), "log 4", ...until(5, 7), "evaluate 7", "step 8", "log 8"],
    ...[...until(9, 12), "log 12", "step 13", "step 14", "evaluate 14", "step 15", "save 15"],
    ...["step 16", "log 16", "evaluate 16", "save 16", "end 16"],
  ]);
  const rare = deferredStub();
  await Array.fromAsync(train(rare.trainer, { ...stubOptions, loggingSteps: 100 }));
  assert.deepEqual(rare.reads, [6, 6, 4]);
});

Deno.test("an update that turns out to be skipped is made up for", async () => {
  const { trainer, stub } = deferredStub({
    result: (attempt) => attempt === 2 ? { loss: NaN, skipped: true } : { loss: attempt },
  });
  const events = await Array.fromAsync(
    train(trainer, { ...stubOptions, loggingSteps: 4, maxSteps: 6 }),
  );
  const losses = events.filter(({ type }) => type === "step" || type === "skip")
    .map((event) => (event as StepEvent).loss);
  assert.deepEqual(losses, [0, 1, NaN, 3, 4, 5, 6]);
  // The rate after a skip that nobody knew of yet is one update ahead, until it is read.
  assert.deepEqual(stub.learningRates, [0, 1, 2, 3, 3, 4, 5]);
  assert.equal((events.at(-1) as { step: number }).step, 6);
});

Deno.test("three skipped updates in a row end the run when they are read", async () => {
  const { trainer } = deferredStub({
    result: (attempt) => attempt > 0 ? { loss: NaN, skipped: true } : {},
  });
  const seen: TrainEvent[] = [];
  await assert.rejects(async () => {
    for await (const event of train(trainer, { ...stubOptions, loggingSteps: 5 })) seen.push(event);
  }, /^Error: Cannot go on training at update 2: .* not finite 3 times in a row/);
  assert.equal(seen.filter(({ type }) => type === "skip").length, 3);
});

Deno.test("an aborted run reads what was made before, and saves it", async () => {
  await using folder = await tempFolder();
  const abort = new AbortController();
  const { trainer } = deferredStub({
    result: (attempt) => {
      if (attempt === 2) abort.abort();
      return {};
    },
  });
  const events = await Array.fromAsync(train(trainer, {
    ...stubOptions,
    loggingSteps: 10,
    signal: abort.signal,
    output: { directory: folder.path, facts: {} },
  }));
  const told = events.filter(({ type }) => type !== "micro-step").map(({ type }) => type);
  assert.deepEqual(told, ["start", "step", "step", "step", "save", "end"]);
});
