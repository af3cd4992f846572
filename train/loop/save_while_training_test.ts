/** On a device a checkpoint is written while training goes on; nothing else is different. */

import assert from "node:assert/strict";
import { listCheckpoints, verifyCheckpoint } from "../checkpoints/checkpoint.ts";
import type { SaveEvent, TrainEvent } from "../events.ts";
import { train, type TrainOptions } from "./loop.ts";
import type { CheckpointOptions } from "../checkpoints/run_checkpoints.ts";
import type { Trainer } from "../trainer.ts";
import {
  type DeferredStub,
  deferredStub,
  type DeferredStubOptions,
} from "../../tests/support/deferred_stub.ts";
import { fakeClock } from "../../tests/support/fake_clock.ts";
import { folderHashes } from "../../tests/support/folder_hashes.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { stubExample } from "../../tests/support/trainer_stub.ts";

/** Twelve updates, saved after each fourth, of which the last one has nothing to run beside it. */
function options(
  directory: string,
  output: Partial<CheckpointOptions> = {},
): TrainOptions & { readonly output: CheckpointOptions } {
  return {
    examples: Array.from({ length: 12 }, (_, i) => stubExample(i)),
    padId: 0,
    schedule: () => (step) => step,
    epochs: 1,
    loggingSteps: 3,
    saveSteps: 4,
    output: { directory, facts: { seed: 7 }, ...output },
  };
}

/** A stub whose copies are written when it has made `after` more updates. */
function lateStub(after: number, more: DeferredStubOptions = {}): DeferredStub {
  const made = Array.from({ length: 20 }, () => Promise.withResolvers<void>());
  return deferredStub({
    launched: (step) => made[step].resolve(),
    write: (step) => made[step + after].promise,
    ...more,
  });
}

const wait = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

const fail = (): Promise<void> => Promise.reject(new Error("the disk is full"));

/** What a save that fails comes to. */
function failure(directory: string, step: number): { readonly message: string } {
  return {
    message: `Cannot save checkpoint ${directory}/checkpoint-${step}: the disk is full; earlier ` +
      "checkpoints are untouched. Free space or give another --output-dir, and resume",
  };
}

async function stepsSaved(directory: string): Promise<number[]> {
  const found = await listCheckpoints(directory);
  for (const { directory } of found) await verifyCheckpoint(directory);
  return found.map(({ step }) => step);
}

function saves(events: readonly TrainEvent[]): SaveEvent[] {
  return events.filter((event): event is SaveEvent => event.type === "save");
}

/** What was told, without the batches of updates. */
function told(events: readonly TrainEvent[]): string[] {
  return events.filter(({ type }) => type !== "micro-step")
    .map((event) => "step" in event ? `${event.type} ${event.step}` : event.type);
}

/** Trains to the end, and tells what the run threw, if it did. */
async function collect(trainer: Trainer, how: TrainOptions) {
  const events: TrainEvent[] = [];
  const run = async () => {
    for await (const event of train(trainer, how)) events.push(event);
  };
  return { events, error: await run().then(() => undefined, (cause: Error) => cause) };
}

Deno.test("updates are made while a checkpoint is written, and then it is told of", async () => {
  await using folder = await tempFolder();
  const { trainer } = lateStub(2);
  const { events } = await collect(trainer, options(folder.path));
  const names = told(events);
  const ordered = (...few: string[]) =>
    assert.deepEqual(names.filter((name) => few.includes(name)), few);
  ordered("step 4", "step 5", "step 6", "save 4", "step 9");
  ordered("step 8", "step 9", "save 8", "save 12", "end 12");
  assert.deepEqual(await stepsSaved(folder.path), [4, 8, 12]);
});

Deno.test("a save tells how long it took, and for how much of that training stood still", async () => {
  await using folder = await tempFolder();
  using clock = fakeClock();
  const made = Array.from({ length: 13 }, () => Promise.withResolvers<void>());
  const first = Promise.withResolvers<void>();
  const { trainer, stub } = deferredStub({
    // An update takes five seconds.
    launched: async (step) => {
      clock.pass(5000);
      made[step].resolve();
      // The next one begins when the first save is written, and its end was noted.
      if (step === 6) await first.promise.then(() => wait(10));
    },
    write: async (step) => {
      if (step === 4) return await made[6].promise;
      // Training waits for this one before the save at its end.
      await made[12].promise;
      await wait(20);
      clock.pass(7000);
    },
  });
  const { snapshot } = trainer.deferred;
  Object.assign(trainer.deferred, {
    snapshot() {
      clock.pass(3000);
      return snapshot!();
    },
  });
  Object.assign(trainer, {
    settleSave: () => Promise.resolve(first.resolve()),
    async save(...args: Parameters<Trainer["save"]>) {
      clock.pass(2000);
      return await stub.save(...args);
    },
  });
  const { events } = await collect(trainer, options(folder.path));
  assert.deepEqual(saves(events).map((each) => [each.step, each.seconds, each.waitedSeconds]), [
    // The copy, and two updates beside.
    [4, 3 + 2 * 5, 3],
    // The copy, four updates beside, and what it took longer.
    [8, 3 + 4 * 5 + 7, 3 + 7],
    [12, 2, 2],
  ]);
});

Deno.test("a save while training goes on leaves what one that is waited for leaves", async () => {
  const losses = [9, 8, 7, 3, 5, 4, 6, 6, 6, 2, 6, 6];
  const leave = async (whileTraining: boolean) => {
    await using folder = await tempFolder();
    const { trainer, stub } = lateStub(1, {
      result: (attempt) => attempt === 4 ? { loss: NaN, skipped: true } : { loss: attempt },
      tokenLoss: (_target, step) => losses[step - 1],
    });
    const { error } = await collect(trainer, {
      ...options(folder.path, { saveTotalLimit: 2, whileTraining }),
      evalExamples: [stubExample(20)],
      examples: Array.from({ length: 14 }, (_, i) => stubExample(i)),
      maxSteps: 12,
      evalSteps: 2,
      best: { load: true },
    });
    assert.equal(error, undefined);
    return {
      hashes: await folderHashes(folder.path),
      steps: await stepsSaved(folder.path),
      loaded: stub.loaded.map((each) => each.slice(folder.path.length)),
    };
  };
  const waited = await leave(false);
  assert.deepEqual(waited.steps, [10, 12]);
  assert.deepEqual(waited.loaded, ["/checkpoint-10"]);
  assert.deepEqual(await leave(true), waited);
});

Deno.test("one save is under way at a time, and none when the run ends", async () => {
  await using folder = await tempFolder();
  const written: number[] = [];
  let underWay = 0;
  const { trainer } = deferredStub({
    write: async (step) => {
      assert.equal(++underWay, 1);
      await wait(10);
      underWay--;
      written.push(step);
    },
  });
  const { events } = await collect(trainer, { ...options(folder.path), saveSteps: 1 });
  // The last update is saved by the trainer itself: there is nothing to copy for.
  assert.deepEqual(written, Array.from({ length: 11 }, (_, i) => i + 1));
  assert.deepEqual(saves(events).map(({ step }) => step), [...written, 12]);
  assert.equal((await stepsSaved(folder.path)).length, 12);
});

Deno.test("the best checkpoint stays, whatever is found out while another is written", async () => {
  await using folder = await tempFolder();
  const losses = [9, 1, 9, 9, 9, 9, 9, 9, 0.5, 9, 9, 9];
  const kept: number[][] = [];
  const { trainer } = lateStub(1, { tokenLoss: (_target, step) => losses[step - 1] });
  const events = train(trainer, {
    ...options(folder.path, { saveTotalLimit: 1 }),
    evalExamples: [stubExample(20)],
    evalSteps: 1,
    best: { load: true },
    saveSteps: 3,
  });
  for await (const { type } of events) {
    if (type === "save") kept.push(await stepsSaved(folder.path));
  }
  assert.deepEqual(kept, [[1], [2], [2, 3], [2, 6], [9], [9, 12]]);
});

Deno.test("an aborted run waits for the save under way and then saves where it stands", async () => {
  await using folder = await tempFolder();
  const abort = new AbortController();
  const { trainer } = deferredStub({
    launched: (step) => {
      if (step === 6) abort.abort();
    },
    write: () => wait(20),
  });
  const { events } = await collect(trainer, { ...options(folder.path), signal: abort.signal });
  assert.deepEqual(told(events).slice(-3), ["save 4", "save 6", "end 6"]);
  assert.deepEqual(await stepsSaved(folder.path), [4, 6]);
});

Deno.test("a save that fails ends the run at the next update, with earlier ones as they were", async () => {
  await using folder = await tempFolder();
  const { trainer, stub } = deferredStub({
    write: (step) => step === 8 ? fail() : Promise.resolve(),
    launched: (step) => step > 8 ? wait(100) : undefined,
  });
  const { error } = await collect(trainer, options(folder.path));
  assert.equal(error?.message, failure(folder.path, 8).message);
  assert.equal(stub.step, 9);
  assert.deepEqual(await stepsSaved(folder.path), [4]);
});

Deno.test("a save that fails at last is told of before the next one, or the end", async () => {
  for (const saveSteps of [4, 11]) {
    await using folder = await tempFolder();
    const { trainer, stub } = deferredStub({
      write: () => wait(50).then(fail),
    });
    const { events, error } = await collect(trainer, { ...options(folder.path), saveSteps });
    assert.equal(error?.message, failure(folder.path, saveSteps).message);
    assert.equal(stub.step, saveSteps === 4 ? 8 : 12);
    assert.deepEqual(saves(events), []);
    assert.deepEqual(await stepsSaved(folder.path), []);
  }
});

Deno.test("a copy that fails is told of as a save that does", async () => {
  await using folder = await tempFolder();
  const { trainer, stub } = deferredStub({ write: fail });
  Object.assign(trainer.deferred, { snapshot: fail });
  const { error } = await collect(trainer, options(folder.path));
  assert.equal(error?.message, failure(folder.path, 4).message);
  assert.equal(stub.step, 4);
});

Deno.test("who stops listening waits for the save under way, and hears if it fails", async () => {
  for (const fails of [false, true]) {
    await using folder = await tempFolder();
    const { trainer } = deferredStub({
      write: async () => {
        await wait(20);
        if (fails) await fail();
      },
    });
    const listen = async () => {
      for await (const event of train(trainer, options(folder.path))) {
        if (event.type === "micro-step" && event.step === 5) break;
      }
    };
    if (fails) await assert.rejects(listen(), failure(folder.path, 4));
    else await listen();
    assert.deepEqual(await stepsSaved(folder.path), fails ? [] : [4]);
  }
});

Deno.test("a run that fails waits for the save under way, and tells why it failed itself", async () => {
  for (const fails of [false, true]) {
    await using folder = await tempFolder();
    const { trainer } = deferredStub({
      result: (attempt) => attempt >= 4 ? { loss: NaN, skipped: true } : {},
      write: async () => {
        await wait(20);
        if (fails) await fail();
      },
    });
    const how = { ...options(folder.path), loggingSteps: 1 };
    const { error } = await collect(trainer, how);
    assert.match(error!.message, /not finite 3 times in a row/);
    assert.deepEqual(await stepsSaved(folder.path), fails ? [] : [4]);
  }
});
