/** The best evaluation is known, kept, gone back to, and waited for no longer than asked. */

import assert from "node:assert/strict";
import { listCheckpoints } from "../checkpoints/checkpoint.ts";
import type { EndEvent, TrainEvent } from "../events.ts";
import { type BestOptions, train } from "./loop.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { stubExample, type TrainerStub, trainerStub } from "../../tests/support/trainer_stub.ts";

interface Tried {
  readonly trainer: TrainerStub;
  readonly events: readonly TrainEvent[];
  readonly end: EndEvent;
  readonly steps: readonly number[];
}

/** Ten updates of a stub, evaluated after each; its evaluation losses are given. */
async function tryLosses(
  output: string,
  losses: readonly number[],
  { best, saveSteps = 0, saveTotalLimit, resumeFrom, trainer }: {
    readonly best?: BestOptions;
    readonly saveSteps?: number;
    readonly saveTotalLimit?: number;
    readonly resumeFrom?: string;
    readonly trainer?: TrainerStub;
  } = {},
): Promise<Tried> {
  const stub = trainer ?? trainerStub({ tokenLoss: (_target, step) => losses[step - 1] });
  const events = await Array.fromAsync(train(stub, {
    examples: Array.from({ length: 10 }, (_, i) => stubExample(10 + i)),
    evalExamples: [stubExample(20)],
    padId: 0,
    schedule: () => () => 1,
    epochs: 1,
    evalSteps: 1,
    saveSteps,
    best,
    output: { directory: output, saveTotalLimit, facts: { seed: 7 } },
    resumeFrom,
  }));
  const steps = (await listCheckpoints(output)).map(({ step }) => step);
  return { trainer: stub, events, end: events.at(-1) as EndEvent, steps };
}

async function trainerState(output: string, step: number): Promise<Record<string, unknown>> {
  return JSON.parse(await Deno.readTextFile(`${output}/checkpoint-${step}/trainer_state.json`));
}

const LOSSES = [5, 4, 3, 3.5, 2, 4, 4, 4, 4, 4];

Deno.test("without being asked, a run names its best evaluation and loads nothing", async () => {
  await using folder = await tempFolder();
  const { trainer, end, events, steps } = await tryLosses(folder.path, LOSSES);
  assert.deepEqual(end.best, {
    step: 5,
    metric: "eval_loss",
    value: 2,
    directory: undefined,
    loaded: false,
  });
  assert.equal(end.reason, "completed");
  assert.deepEqual(trainer.loaded, []);
  assert.deepEqual(steps, [10]);
  const evaluations = events.filter((event) => event.type === "evaluate");
  assert.deepEqual(evaluations.filter(({ best }) => best).map(({ step }) => step), [1, 2, 3, 5]);
  const state = await trainerState(folder.path, 10);
  assert.deepEqual(
    [state.best_global_step, state.best_metric, state.best_model_checkpoint],
    [5, 2, null],
  );
});

Deno.test("load saves every best evaluation and goes back to the last of them", async () => {
  await using folder = await tempFolder();
  const { trainer, end, steps } = await tryLosses(folder.path, LOSSES, { best: { load: true } });
  const directory = `${folder.path}/checkpoint-5`;
  assert.deepEqual(end.best, {
    step: 5,
    metric: "eval_loss",
    value: 2,
    directory,
    loaded: true,
  });
  assert.deepEqual(trainer.loaded, [directory]);
  assert.deepEqual(steps, [1, 2, 3, 5, 10]);
  assert.equal((await trainerState(folder.path, 10)).best_model_checkpoint, "checkpoint-5");
});

for (
  const [limit, losses, kept] of [
    [1, LOSSES, [5, 10]],
    [2, LOSSES, [5, 10]],
    [3, LOSSES, [5, 8, 10]],
    [1, [5, 4, 3, 3, 3, 3, 3, 3, 3, 1], [10]],
    [2, [5, 4, 3, 3, 3, 3, 3, 3, 3, 1], [8, 10]],
  ] as const
) {
  Deno.test(`a limit of ${limit} keeps checkpoints ${kept}, the best and the newest among them`, async () => {
    await using folder = await tempFolder();
    const { steps } = await tryLosses(folder.path, losses, {
      best: { load: true },
      saveSteps: 2,
      saveTotalLimit: limit,
    });
    assert.deepEqual(steps, kept);
  });
}

Deno.test("rotation spares the best checkpoint of a run that did not ask for it", async () => {
  await using folder = await tempFolder();
  const losses = [5, 1, 3, 3, 3, 3, 3, 3, 3, 3];
  const { steps, end } = await tryLosses(folder.path, losses, { saveSteps: 2, saveTotalLimit: 2 });
  assert.deepEqual(steps, [2, 10]);
  assert.equal(end.best?.directory, `${folder.path}/checkpoint-2`);
});

Deno.test("the last update being the best, nothing is loaded again", async () => {
  await using folder = await tempFolder();
  const { trainer, end } = await tryLosses(folder.path, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0.5], {
    best: { load: true },
  });
  assert.equal(end.best?.loaded, true);
  assert.deepEqual(trainer.loaded, []);
});

Deno.test("patience ends a run whose evaluations get no better, and it stays ended", async () => {
  await using folder = await tempFolder();
  const best = { load: true, patience: 3 };
  const { end, steps, trainer } = await tryLosses(folder.path, LOSSES, { best });
  assert.equal(end.reason, "early-stopped");
  assert.equal(end.step, 8);
  assert.deepEqual(steps, [1, 2, 3, 5, 8]);
  assert.deepEqual(trainer.loaded, [`${folder.path}/checkpoint-5`]);

  const resumeFrom = `${folder.path}/checkpoint-8`;
  const again = await tryLosses(folder.path, LOSSES, { best, resumeFrom });
  assert.deepEqual([again.end.reason, again.end.step], ["early-stopped", 8]);
  assert.equal(again.events.some(({ type }) => type === "step"), false);
  const longer = await tryLosses(folder.path, LOSSES, {
    best: { load: true, patience: 9 },
    resumeFrom,
  });
  assert.deepEqual([longer.end.reason, longer.end.step], ["completed", 10]);
});

Deno.test("falls below the threshold do not buy patience", async () => {
  await using folder = await tempFolder();
  const losses = [5, 4.9, 4.8, 4.7, 1, 1, 1, 1, 1, 1];
  const { end } = await tryLosses(folder.path, losses, { best: { patience: 3, threshold: 0.5 } });
  assert.deepEqual([end.reason, end.step, end.best?.step], ["early-stopped", 4, 4]);
});

Deno.test("a damaged best checkpoint is told of, not loaded", async () => {
  await using folder = await tempFolder();
  const stub = trainerStub({ tokenLoss: (_target, step) => LOSSES[step - 1] });
  const trainer = {
    ...stub,
    get step(): number {
      return stub.step;
    },
    // The last save comes after all evaluations.
    async save(directory: string) {
      const written = await stub.save(directory);
      if (stub.step === 10) {
        await Deno.truncate(`${folder.path}/checkpoint-5/model.safetensors`, 3);
      }
      return written;
    },
  };
  await assert.rejects(tryLosses(folder.path, LOSSES, { best: { load: true }, trainer }), {
    message: `Cannot use checkpoint ${folder.path}/checkpoint-5: model.safetensors has 3 bytes, ` +
      "not 15 as manifest.json says; resume from an earlier one",
  });
  assert.deepEqual(stub.loaded, []);
});
