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

Deno.test("train() goes back to the best weights where they were saved and the run was not aborted, and names its metric", async () => {
  // The second of four evaluations is the best by token, and all updates are saved.
  const losses = [3, 1, 2, 2];
  const run = async (
    output: TrainOptions["output"],
    { abortAt, load = true }: { readonly abortAt?: number; readonly load?: boolean } = {},
  ) => {
    const abort = new AbortController();
    const stub = trainerStub({
      tokenLoss: (_, step) => losses[step - 1],
      result: (attempt) => {
        if (attempt + 1 === abortAt) abort.abort();
        return {};
      },
    });
    const events = await Array.fromAsync(train(stub, {
      ...OPTIONS,
      ...{ evalSteps: 1, evalExamples: [stubExample(9)], signal: abort.signal, output },
      best: { metric: "eval_token_loss", load },
    }));
    const [{ reason, best }] = of(events, "end");
    return { reason, best, loaded: stub.loaded };
  };
  const found = { step: 2, metric: "eval_token_loss", value: 1 };
  assert.deepEqual(await run(undefined), {
    reason: "completed",
    best: { ...found, directory: undefined, loaded: false },
    loaded: [],
  });
  for (const load of [true, false]) {
    await using folder = await tempFolder();
    const directory = `${folder.path}/checkpoint-2`;
    const { reason, best, loaded } = await run(
      { directory: folder.path, facts: {} },
      { abortAt: 3, load },
    );
    assert.deepEqual([reason, loaded], ["aborted", []]);
    assert.deepEqual(best, { ...found, directory: load ? directory : undefined, loaded: false });
  }
  await using folder = await tempFolder();
  const directory = `${folder.path}/checkpoint-2`;
  assert.deepEqual(await run({ directory: folder.path, facts: {} }), {
    reason: "completed",
    best: { ...found, directory, loaded: true },
    loaded: [directory],
  });
});

Deno.test("train() that is aborted before its first update ends where it began", async () => {
  using clock = fakeClock();
  const signal = AbortSignal.abort();
  const trainer = Object.assign(Object.create(trainerStub()), {
    trainStep: () => {
      clock.pass(2000);
      return Promise.reject(signal.reason);
    },
  });
  const events = await Array.fromAsync(train(trainer, { ...OPTIONS, signal }));
  assert.deepEqual(events.slice(1), [
    { type: "end", step: 0, epoch: 0, reason: "aborted", tokens: 0, seconds: 2 },
  ]);
});

Deno.test("train() resumes at an update's first batch, of updates of several batches", async () => {
  await using folder = await tempFolder();
  const options: TrainOptions = {
    ...OPTIONS,
    // Five batches an epoch: updates of two, two and one.
    examples: Array.from({ length: 10 }, (_, i) => stubExample(i)),
    ...{ accumulationSteps: 2, epochs: 2, saveSteps: 1 },
  };
  const whole = trainerStub();
  const output = { directory: folder.path, facts: {} };
  const all = of(await Array.fromAsync(train(whole, { ...options, output })), "step");
  assert.deepEqual(all.map(({ epoch }) => epoch), [0.4, 0.8, 1, 1.4, 1.8, 2]);
  assert.deepEqual(whole.seen.map(({ length }) => length), [2, 2, 1, 2, 2, 1]);
  for (const step of [1, 2, 3, 4]) {
    const resumed = trainerStub();
    const resumeFrom = `${folder.path}/checkpoint-${step}`;
    const events = await Array.fromAsync(train(resumed, { ...options, resumeFrom }));
    assert.deepEqual(resumed.seen, whole.seen.slice(step));
    assert.deepEqual(of(events, "step").map(({ epoch }) => epoch), [
      ...all.slice(step).map(({ epoch }) => epoch),
    ]);
  }
});

Deno.test("train() packs rows, and makes updates of as many as bring them to a number of tokens", async () => {
  const run = async (options: Partial<TrainOptions>) => {
    const events = await Array.fromAsync(train(trainerStub(), {
      ...OPTIONS,
      ...{ batchSize: 1, packing: { maxLength: 4 }, epochs: 1 },
      ...options,
    }));
    return of(events, "step").map(({ tokens, supervisedTokens, epoch }) => [
      ...[tokens, supervisedTokens, epoch],
    ]);
  };
  // Eight examples of two tokens: four rows.
  assert.deepEqual(await run({}), [[4, 2, 0.25], [4, 2, 0.5], [4, 2, 0.75], [4, 2, 1]]);
  assert.deepEqual(await run({ accumulationSteps: 3 }), [[12, 6, 0.75], [4, 2, 1]]);
  assert.deepEqual(await run({ tokensPerStep: 8 }), [[8, 4, 0.5], [8, 4, 1]]);
  assert.deepEqual(await run({ tokensPerStep: 9 }), [[12, 6, 0.75], [4, 2, 1]]);
  assert.deepEqual(await run({ accumulationSteps: 3, stepRule: "floor" }), [[12, 6, 0.75]]);
});

Deno.test("train() tells what memory the device has, where the trainer knows", async () => {
  const { trainer } = deferredStub();
  Object.assign(trainer.deferred, { memoryBytes: () => 77 });
  const events = await Array.fromAsync(train(trainer, { ...OPTIONS, loggingSteps: 4 }));
  assert.deepEqual(of(events, "log").map(({ memoryBytes }) => memoryBytes), [77]);
});

Deno.test("train() copies nothing for a save after which no update is made", async () => {
  const run = async (options: Partial<TrainOptions>) => {
    await using folder = await tempFolder();
    const copied: number[] = [];
    const { trainer } = deferredStub({
      write: (step) => Promise.resolve(void copied.push(step)),
      tokenLoss: () => 1,
    });
    const output = { directory: folder.path, facts: {} };
    const events = await Array.fromAsync(
      train(trainer, { ...OPTIONS, saveSteps: 1, output, ...options }),
    );
    return { copied, saved: of(events, "save").map(({ step }) => step) };
  };
  assert.deepEqual(await run({}), { copied: [1, 2, 3], saved: [1, 2, 3, 4] });
  assert.deepEqual(await run({ maxSteps: 2 }), { copied: [1], saved: [1, 2] });
  // The second evaluation is no better, and ends the run.
  const stale = { evalSteps: 1, evalExamples: [stubExample(9)], best: { patience: 1 } };
  assert.deepEqual(await run(stale), { copied: [1], saved: [1, 2] });
});
