import assert from "node:assert/strict";
import { deferredStub } from "../../tests/support/deferred_stub.ts";
import { type FakeClock, fakeClock } from "../../tests/support/fake_clock.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { stubExample, trainerStub } from "../../tests/support/trainer_stub.ts";
import type { BestMetric } from "../best_evaluation.ts";
import type { TrainEvent } from "../events.ts";
import { orpo } from "../objectives/orpo.ts";
import type { Trainer } from "../trainer.ts";
import { train, type TrainOptions } from "./loop.ts";

/** Eight examples of two tokens, two a batch: four updates. */
const OPTIONS: TrainOptions = {
  examples: Array.from({ length: 8 }, (_, i) => stubExample(i)),
  padId: 0,
  schedule: () => (step) => (step + 1) / 8,
  batchSize: 2,
  epochs: 1,
};

type Kind = TrainEvent["type"];

function of<Type extends Kind>(events: readonly TrainEvent[], type: Type) {
  return events.filter((event): event is Extract<TrainEvent, { type: Type }> =>
    event.type === type
  );
}

/** A stub whose updates take four seconds, and batches of an evaluation half of one. */
function slowStub(clock: FakeClock): Trainer {
  const stub = trainerStub();
  return Object.assign(Object.create(stub), {
    trainStep(...args: Parameters<Trainer["trainStep"]>) {
      clock.pass(4000);
      return stub.trainStep(...args);
    },
    evaluate(...args: Parameters<Trainer["evaluate"]>) {
      clock.pass(500);
      return stub.evaluate(...args);
    },
  });
}

Deno.test("train() tells how long updates, evaluations and the run took, and tokens a second since the last log", async () => {
  using clock = fakeClock();
  const events = await Array.fromAsync(train(slowStub(clock), {
    ...OPTIONS,
    loggingSteps: 2,
    evalSteps: 2,
    evalExamples: [stubExample(9)],
  }));
  assert.deepEqual(of(events, "step").map(({ seconds }) => seconds), [4, 4, 4, 4]);
  assert.deepEqual(of(events, "evaluate").map(({ seconds }) => seconds), [0.5, 0.5]);
  // Four tokens an update; the evaluation after the second comes between the logs.
  const rates = of(events, "log").map(({ tokensPerSecond }) => tokensPerSecond);
  assert.deepEqual(rates, [8 / 8000 * 1000, 8 / 8500 * 1000]);
  assert.deepEqual(of(events, "end").map(({ seconds }) => seconds), [17]);
});

Deno.test("train() shares the time of updates that are read together among them, waiting for them too", async () => {
  using clock = fakeClock();
  const { trainer } = deferredStub({ launched: () => clock.pass(3000) });
  const { results } = trainer.deferred;
  Object.assign(trainer.deferred, {
    results() {
      clock.pass(2000);
      return results();
    },
  });
  const events = await Array.fromAsync(train(trainer, { ...OPTIONS, loggingSteps: 4 }));
  assert.deepEqual(of(events, "step").map(({ seconds }) => seconds), [3.5, 3.5, 3.5, 3.5]);
});

Deno.test("train() counts at its end the tokens of the run, and in a checkpoint all of them", async () => {
  await using folder = await tempFolder();
  const output = { directory: folder.path, facts: { max_steps: 4 } };
  const first = await Array.fromAsync(train(trainerStub(), { ...OPTIONS, maxSteps: 4, output }));
  assert.deepEqual(of(first, "end").map(({ tokens }) => tokens), [16]);
  const resumeFrom = `${folder.path}/checkpoint-4`;
  const more = { ...OPTIONS, maxSteps: 6, output, resumeFrom };
  const second = await Array.fromAsync(train(trainerStub(), more));
  assert.deepEqual(of(second, "end").map(({ tokens, step }) => [tokens, step]), [[8, 6]]);
  const state = JSON.parse(
    await Deno.readTextFile(`${folder.path}/checkpoint-6/trainer_state.json`),
  );
  assert.equal(state.num_input_tokens_seen, 24);
});

Deno.test("train() that resumes a run at its end makes nothing and saves nothing", async () => {
  await using folder = await tempFolder();
  const output = { directory: folder.path, facts: {} };
  await Array.fromAsync(train(trainerStub(), { ...OPTIONS, output }));
  const written = (await Deno.stat(`${folder.path}/checkpoint-4/manifest.json`)).mtime;
  const resumeFrom = `${folder.path}/checkpoint-4`;
  const events = await Array.fromAsync(train(trainerStub(), { ...OPTIONS, output, resumeFrom }));
  assert.deepEqual(events.map(({ type }) => type), ["start", "end"]);
  const after = (await Deno.stat(`${folder.path}/checkpoint-4/manifest.json`)).mtime;
  assert.deepEqual(after, written);
});

Deno.test("scheduler.json has the rate of the update that comes next", async () => {
  await using folder = await tempFolder();
  const output = { directory: folder.path, facts: {} };
  await Array.fromAsync(train(trainerStub(), { ...OPTIONS, saveSteps: 2, output }));
  for (const [step, rate] of [[2, 3 / 8], [4, 5 / 8]]) {
    const text = await Deno.readTextFile(`${folder.path}/checkpoint-${step}/scheduler.json`);
    assert.deepEqual(JSON.parse(text), { last_epoch: step, next_lr: rate });
  }
});

Deno.test("train() evaluates in rows of 512 tokens, or of as many as the longest example has", async () => {
  const of1s = (count: number) => stubExample(9, new Array(count - 1).fill(1));
  for (
    const [lengths, batches] of [
      [[300, 212], 1],
      [[300, 213], 2],
      [[700, 350, 350], 2],
      [[700, 350, 351], 3],
    ] as const
  ) {
    const events = await Array.fromAsync(train(trainerStub(), {
      ...OPTIONS,
      evalBatchSize: 1,
      evalExamples: lengths.map(of1s),
    }));
    const supervised = lengths.reduce((sum, length) => sum + length - 1, 0);
    assert.deepEqual(
      of(events, "evaluate").map((each) => [each.batches, each.examples, each.supervisedTokens]),
      [[batches, lengths.length, supervised]],
      lengths.join(),
    );
  }
});

Deno.test("train() launches nothing more once it is aborted, between two reads that are due", async () => {
  const abort = new AbortController();
  let launches = 0;
  const { trainer, reads } = deferredStub({
    launched: (step) => {
      if (step === 2) abort.abort();
    },
  });
  const { launch } = trainer.deferred;
  Object.assign(trainer.deferred, {
    launch(...args: Parameters<typeof launch>) {
      launches++;
      return launch(...args);
    },
  });
  const events = await Array.fromAsync(
    train(trainer, { ...OPTIONS, loggingSteps: 100, signal: abort.signal }),
  );
  assert.deepEqual([launches, reads], [2, [2]]);
  assert.deepEqual(of(events, "end").map(({ step, reason }) => [step, reason]), [[2, "aborted"]]);
});

Deno.test("train() that nobody listens to any more ends when the update under way has", async () => {
  const stub = trainerStub();
  const gate = Promise.withResolvers<void>();
  let ended = false;
  const trainer: Trainer = Object.assign(Object.create(stub), {
    async trainStep(...[batches, options]: Parameters<Trainer["trainStep"]>) {
      options.onBatch?.(1);
      await gate.promise;
      ended = true;
      return await stub.trainStep(batches, options);
    },
  });
  for await (const { type } of train(trainer, OPTIONS)) {
    if (type !== "micro-step") continue;
    setTimeout(gate.resolve, 10);
    break;
  }
  assert.ok(ended);
});

Deno.test("the best evaluation may be chosen by a figure of pairs beside further ones, and by none that nobody tells", async () => {
  const pairs = orpo(0.1);
  const run = (metric: BestMetric) =>
    Array.fromAsync(train(Object.assign(Object.create(trainerStub()), { pairs }), {
      ...OPTIONS,
      evalSteps: 1,
      evalExamples: [stubExample(8), stubExample(9)],
      evalMetrics: () => Promise.resolve({ rouge_l: 0.5 }),
      best: { metric },
    }));
  for (const metric of ["eval_rewards/margins", "eval_rouge_l"] as const) {
    const [first, second] = of(await run(metric), "evaluate");
    assert.deepEqual(
      [first.figures?.rouge_l, first.figures?.["rewards/margins"], first.best, second.best],
      [0.5, 0, true, undefined],
    );
  }
  await assert.rejects(
    run("eval_bleu"),
    /^Error: Cannot choose the best evaluation by eval_bleu: no row that was answered has it; the rows have .*eval_rouge_l/,
  );
});
