/** All that a run tells, of a stub whose updates take four seconds. */

import assert from "node:assert/strict";
import { deferredStub } from "../../tests/support/deferred_stub.ts";
import { type FakeClock, fakeClock } from "../../tests/support/fake_clock.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import {
  stubExample,
  type TrainerStub,
  trainerStub,
  type TrainerStubOptions,
} from "../../tests/support/trainer_stub.ts";
import type { Example } from "../../data/examples/example.ts";
import type { TrainEvent } from "../events.ts";
import { orpo } from "../objectives/orpo.ts";
import type { PairObjective } from "../pair_objective.ts";
import type { Trainer } from "../trainer.ts";
import { train, type TrainOptions } from "./loop.ts";

const examplesOf = (count: number): Example[] =>
  Array.from({ length: count }, (_, i) => stubExample(10 + i));

/** A stub on a clock: an update takes four seconds, a batch of an evaluation half of one. */
function clocked(clock: FakeClock, options?: TrainerStubOptions): TrainerStub {
  const stub = trainerStub(options);
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

/** All events, but for the memory of this very process. */
async function told(trainer: Trainer, options: Partial<TrainOptions>): Promise<TrainEvent[]> {
  const events = await Array.fromAsync(train(trainer, {
    examples: examplesOf(5),
    padId: 0,
    schedule: (totalSteps) => (step) => totalSteps - step,
    ...options,
  }));
  return events.map((event) => {
    if (event.type !== "log") return event;
    assert.ok(event.memoryBytes! > 0);
    return { ...event, memoryBytes: 1 };
  });
}

/** Kinds and steps, without the batches of updates. */
const brief = (events: readonly TrainEvent[]): string[] =>
  events.filter(({ type }) => type !== "micro-step")
    .map((event) => "step" in event ? `${event.type} ${event.step}` : event.type);

Deno.test("a run tells of its start, each update, logs, evaluations and its end", async () => {
  using clock = fakeClock();
  const losses = [4, 3, 2.5, 1];
  const trainer = clocked(clock, {
    result: (attempt) => ({ loss: losses[attempt], gradNorm: 0.5 + attempt }),
    tokenLoss: (target, step) => target * step,
  });
  const events = await told(trainer, {
    // Three batches an epoch, of which an update takes two and the next one the last.
    batchSize: 2,
    accumulationSteps: 2,
    epochs: 2,
    loggingSteps: 3,
    loggingFirstStep: true,
    evalSteps: 2,
    evalExamples: [stubExample(1, [2, 5]), stubExample(1, [8])],
  });
  const micro = (step: number, microSteps: number): TrainEvent => ({
    type: "micro-step",
    step,
    micro: microSteps,
    microSteps,
  });
  const step = (at: number, epoch: number, rows: number): TrainEvent => ({
    type: "step",
    step: at,
    epoch,
    loss: losses[at - 1],
    gradNorm: at - 0.5,
    learningRate: 5 - at,
    tokens: 2 * rows,
    supervisedTokens: rows,
    seconds: 4,
  });
  const evaluation = { examples: 2, batches: 1, supervisedTokens: 3, seconds: 0.5 };
  assert.deepEqual(events, [
    {
      type: "start",
      method: "full",
      totalSteps: 4,
      epochs: 2,
      examples: 5,
      evalExamples: 2,
      trainableParameters: 10,
      resumedStep: 0,
    },
    ...[micro(1, 2), step(1, 2 / 3, 4)],
    {
      type: "log",
      step: 1,
      epoch: 2 / 3,
      loss: 4,
      gradNorm: 0.5,
      learningRate: 4,
      tokensPerSecond: 8 / 4000 * 1000,
      memoryBytes: 1,
    },
    ...[micro(2, 1), step(2, 1, 1)],
    // Means of 2 and 5, and of 8, twice.
    {
      type: "evaluate",
      step: 2,
      epoch: 1,
      evalLoss: 2 * (3.5 + 8) / 2,
      evalTokenLoss: 2 * 15 / 3,
      ...evaluation,
      best: true,
    },
    ...[micro(3, 2), step(3, 1 + 2 / 3, 4)],
    {
      type: "log",
      step: 3,
      epoch: 1 + 2 / 3,
      loss: (3 + 2.5) / 2,
      gradNorm: 2.5,
      learningRate: 2,
      tokensPerSecond: 10 / 8500 * 1000,
      memoryBytes: 1,
    },
    ...[micro(4, 1), step(4, 2, 1)],
    {
      type: "evaluate",
      step: 4,
      epoch: 2,
      evalLoss: 4 * (3.5 + 8) / 2,
      evalTokenLoss: 4 * 15 / 3,
      ...evaluation,
    },
    {
      type: "end",
      step: 4,
      epoch: 2,
      reason: "completed",
      best: { step: 2, metric: "eval_loss", value: 11.5, directory: undefined, loaded: false },
      tokens: 20,
      seconds: 17,
      trainLoss: 10.5 / 4,
    },
  ]);
});

Deno.test("without more, a run makes three epochs of single rows in the order of seed 42, and logs each tenth update", async () => {
  const options = { examples: examplesOf(7), evalExamples: [stubExample(1)] };
  const trainer = trainerStub();
  const events = await told(trainer, options);
  const steps = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => `step ${from + i}`);
  assert.deepEqual(brief(events), [
    ...["start", ...steps(1, 10), "log 10", ...steps(11, 20), "log 20", "step 21"],
    ...["evaluate 21", "end 21"],
  ]);
  const [named, other] = [trainerStub(), trainerStub()];
  const same = await told(named, {
    ...{ ...options, batchSize: 1, accumulationSteps: 1, epochs: 3, seed: 42, maxSteps: 0 },
    ...{ evalStrategy: "steps", saveStrategy: "steps", evalBatchSize: 1, evalSteps: 0 },
  });
  assert.deepEqual(brief(same), brief(events));
  assert.deepEqual(named.seen, trainer.seen);
  await told(other, { ...options, seed: 43 });
  assert.notDeepEqual(other.seen, trainer.seen);
  const epochs = [0, 1, 2].map((epoch) => trainer.seen.slice(7 * epoch, 7 * epoch + 7).flat());
  for (const epoch of epochs) assert.deepEqual(epoch.toSorted(), [10, 11, 12, 13, 14, 15, 16]);
  assert.notDeepEqual(epochs[0], epochs[1]);
});

Deno.test("an update's batches are of similar lengths, unless its examples are not to be sorted", async () => {
  const lengths = [1, 5, 2, 6, 3, 7, 4, 8];
  const rowsOf = async (options: Partial<TrainOptions>, pairs?: PairObjective) => {
    const rows: number[][] = [];
    const stub = Object.assign(Object.create(trainerStub()), {
      pairs,
      trainStep(batches: Parameters<Trainer["trainStep"]>[0]) {
        rows.push(batches.map(({ length }) => length));
        return Promise.resolve({ loss: 1, gradNorm: 1, skipped: false });
      },
    });
    await told(stub, {
      examples: lengths.map((length, i) => stubExample(10 + i, new Array(length).fill(1))),
      batchSize: 2,
      accumulationSteps: 4,
      epochs: 1,
      ...options,
    });
    return rows;
  };
  // One more than the targets; the longest of each batch.
  assert.deepEqual(await rowsOf({}), [[9, 7, 5, 3]]);
  assert.deepEqual(await rowsOf({ sortUpdates: true }), [[9, 7, 5, 3]]);
  const unsorted = await rowsOf({ sortUpdates: false });
  assert.notDeepEqual(unsorted[0].toSorted((a, b) => b - a), unsorted[0]);
  assert.equal(unsorted[0].length, 4);
  // Pairs are the sampler's: of (1, 5), (2, 6), (3, 7), (4, 8) a batch has two.
  const pairRows = await rowsOf({ batchSize: 1 }, orpo(0.1));
  assert.equal(pairRows.length, 1);
  assert.deepEqual(pairRows[0].toSorted(), [6, 7, 8, 9]);
  assert.notDeepEqual(pairRows[0], [9, 8, 7, 6]);
});

Deno.test("evaluations and checkpoints come at the ends of epochs, or not at all, as is asked for", async () => {
  const run = async (options: Partial<TrainOptions>) => {
    await using folder = await tempFolder();
    return brief(
      await told(trainerStub(), {
        examples: examplesOf(3),
        evalExamples: [stubExample(1)],
        epochs: 2,
        loggingSteps: 3,
        output: { directory: folder.path, facts: {} },
        ...options,
      }),
    );
  };
  const at3 = ["log 3", "evaluate 3", "save 3"];
  const at6 = ["log 6", "evaluate 6", "save 6"];
  const each = ["step 1", "step 2", "step 3"];
  const later = ["step 4", "step 5", "step 6"];
  assert.deepEqual(await run({ evalStrategy: "epoch", saveStrategy: "epoch" }), [
    ...["start", ...each, ...at3, ...later, ...at6, "end 6"],
  ]);
  assert.deepEqual(
    await run({ evalStrategy: "no", saveStrategy: "no", evalSteps: 1, saveSteps: 1 }),
    [
      ...["start", ...each, "log 3", ...later, "log 6", "end 6"],
    ],
  );
  // Not at the ends of epochs alone: each second update, and the last one.
  assert.deepEqual(await run({ evalSteps: 4, saveSteps: 2, loggingSteps: 100 }), [
    ...["start", "step 1", "step 2", "save 2", "step 3", "step 4", "evaluate 4", "save 4"],
    ...["step 5", "step 6", "evaluate 6", "save 6", "end 6"],
  ]);
  // A half and a third of the run's updates.
  const shares = { evalSteps: 0.5, saveSteps: 0.3, loggingSteps: 0.9 };
  assert.deepEqual(await run(shares), [
    ...["start", "step 1", "step 2", "save 2", "step 3", "evaluate 3", "step 4", "save 4"],
    ...["step 5", "step 6", "log 6", "evaluate 6", "save 6", "end 6"],
  ]);
  assert.deepEqual(await run({ evalExamples: [], evalSteps: 1, output: undefined }), [
    ...["start", ...each, "log 3", ...later, "log 6", "end 6"],
  ]);
});

Deno.test("a skipped update at the end of an epoch is followed by what is due there, one amid it by none", async () => {
  await using folder = await tempFolder();
  const bad = new Set([0, 2, 4]);
  const trainer = trainerStub({
    result: (attempt) => ({ loss: attempt, skipped: bad.has(attempt) }),
  });
  const events = await told(trainer, {
    examples: examplesOf(3),
    maxSteps: 3,
    loggingSteps: 1,
    evalExamples: [stubExample(1)],
    evalStrategy: "epoch",
    saveStrategy: "epoch",
    output: { directory: folder.path, facts: {} },
  });
  // The third, fourth and sixth batch: the end of the first epoch, and two of the second.
  assert.deepEqual(brief(events), [
    ...["start", "skip 1", "step 1", "log 1", "skip 2", "evaluate 1", "save 1"],
    ...["step 2", "log 2", "skip 3", "step 3", "log 3", "evaluate 3", "save 3", "end 3"],
  ]);
  assert.deepEqual(trainer.learningRates, [3, 3, 2, 2, 1, 1]);
  const end = events.at(-1)!;
  assert.ok(end.type === "end" && end.trainLoss === (1 + 3 + 5) / 3);
  const skip = events.find(({ type }) => type === "skip");
  assert.deepEqual(skip, { type: "skip", step: 1, loss: 0, gradNorm: 1, consecutive: 1 });
});

Deno.test("an epoch that begins with skipped updates alone saves nothing", async () => {
  await using folder = await tempFolder();
  const trainer = trainerStub({ result: (attempt) => ({ skipped: attempt < 2 }) });
  const events = await told(trainer, {
    examples: examplesOf(2),
    maxSteps: 1,
    evalExamples: [stubExample(1)],
    evalStrategy: "epoch",
    saveStrategy: "epoch",
    output: { directory: folder.path, facts: {} },
  });
  assert.deepEqual(brief(events), [
    ...["start", "skip 1", "skip 1", "step 1", "evaluate 1", "save 1", "end 1"],
  ]);
});

Deno.test("batches are told of as they are done, of updates that are unread too", async () => {
  const stub = trainerStub();
  const slow: Trainer = Object.assign(Object.create(stub), {
    async trainStep(...[batches, options]: Parameters<Trainer["trainStep"]>) {
      for (let i = 1; i <= batches.length; i++) {
        options.onBatch?.(i);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return await stub.trainStep(batches, { ...options, onBatch: undefined });
    },
  });
  const micros = (events: readonly TrainEvent[]) =>
    events.flatMap((event) =>
      event.type === "micro-step" ? [[event.step, event.micro, event.microSteps]] : []
    );
  const options = { examples: examplesOf(5), accumulationSteps: 3, epochs: 1 };
  assert.deepEqual(micros(await told(slow, options)), [
    ...[[1, 1, 3], [1, 2, 3], [1, 3, 3], [2, 1, 2], [2, 2, 2]],
  ]);
  const { trainer, stub: made } = deferredStub();
  const events = await told(trainer, { ...options, accumulationSteps: 2 });
  assert.deepEqual(micros(events), [[1, 2, 2], [2, 2, 2], [3, 1, 1]]);
  assert.deepEqual(brief(events), ["start", "step 1", "step 2", "step 3", "end 3"]);
  assert.deepEqual(made.learningRates, [3, 2, 1]);
});

Deno.test("results that are unread are read before anything that tells of them", async () => {
  const readsOf = async (options: Partial<TrainOptions>) => {
    await using folder = await tempFolder();
    const { trainer, reads } = deferredStub();
    await told(trainer, {
      examples: examplesOf(4),
      epochs: 2,
      loggingSteps: 100,
      evalExamples: [stubExample(1)],
      output: { directory: folder.path, facts: {} },
      ...options,
    });
    return reads;
  };
  assert.deepEqual(await readsOf({}), [6, 2]);
  assert.deepEqual(await readsOf({ loggingSteps: 4 }), [4, 4]);
  assert.deepEqual(await readsOf({ loggingFirstStep: true }), [1, 6, 1]);
  assert.deepEqual(await readsOf({ evalSteps: 3 }), [3, 3, 2]);
  assert.deepEqual(await readsOf({ saveSteps: 5 }), [5, 3]);
  assert.deepEqual(await readsOf({ evalStrategy: "epoch" }), [4, 4]);
  assert.deepEqual(await readsOf({ saveStrategy: "epoch" }), [4, 4]);
  assert.deepEqual(await readsOf({ evalStrategy: "no", saveStrategy: "no" }), [6, 2]);
});

Deno.test("figures of pairs are told with updates, and logged as means over batches", async () => {
  await using folder = await tempFolder();
  const trainer = Object.assign(
    Object.create(trainerStub({ result: (attempt) => ({ figures: { margin: attempt + 1 } }) })),
    { pairs: orpo(0.1) },
  );
  const events = await told(trainer, {
    // Five pairs: updates of two batches, two and one.
    examples: examplesOf(10),
    evalExamples: examplesOf(4),
    accumulationSteps: 2,
    epochs: 1,
    loggingSteps: 2,
    output: { directory: folder.path, facts: {} },
    saveSteps: 3,
  });
  const [start] = events;
  assert.ok(start.type === "start");
  assert.deepEqual([start.totalSteps, start.examples, start.evalExamples], [3, 5, 2]);
  const figures = events.flatMap((event) =>
    event.type === "step" || event.type === "log" ? [event.figures] : []
  );
  assert.deepEqual(figures, [{ margin: 1 }, { margin: 2 }, { margin: 1.5 }, { margin: 3 }]);
  const { log_history, stateful_callbacks } = JSON.parse(
    await Deno.readTextFile(`${folder.path}/checkpoint-3/trainer_state.json`),
  );
  assert.deepEqual(log_history[0], {
    epoch: 0.8,
    grad_norm: 1,
    learning_rate: 2,
    loss: 1,
    step: 2,
    margin: 1.5,
  });
  assert.deepEqual(Object.keys(log_history[1]).toSorted(), [
    ...["epoch", "eval_log_odds_chosen", "eval_log_odds_ratio", "eval_logps/chosen"],
    ...["eval_logps/rejected", "eval_loss", "eval_nll_loss", "eval_rewards/accuracies"],
    ...["eval_rewards/chosen", "eval_rewards/margins", "eval_rewards/rejected", "eval_token_loss"],
    "step",
  ]);
  assert.deepEqual(stateful_callbacks.OrtuneLoop.sinceLog, {
    sum: 1,
    count: 1,
    figures: { margin: 3 },
    batches: 1,
  });
});

Deno.test("pairs that cannot be trained on are refused before anything else", async () => {
  const reference = { ...orpo(0.1), reference: true };
  const refused = (options: Partial<TrainOptions>, message: string, pairs = orpo(0.1)) => {
    const trainer = Object.assign(Object.create(trainerStub()), { pairs });
    const all = { examples: examplesOf(4), padId: 0, schedule: () => () => 1, ...options };
    return assert.rejects(Array.fromAsync(train(trainer, all)), { name: "RangeError", message });
  };
  const odd = (count: number) =>
    `Cannot train on pairs: ${count} examples are no chosen and rejected replies in turns`;
  const compared = { examples: new Float64Array(4), evalExamples: new Float64Array(0) };
  await Promise.all([
    refused({ examples: examplesOf(3) }, odd(3)),
    refused({ evalExamples: examplesOf(5) }, odd(5)),
    refused(
      { packing: { maxLength: 64 } },
      "Cannot train on packed pairs: their loss is a mean over the rows of a batch",
    ),
    refused(
      {},
      "Cannot train on pairs: the objective compares them with a reference; give references, as " +
        "referenceLogps computes them",
      reference,
    ),
    refused({ examples: [] }, "Cannot train: there are no examples"),
    told(Object.assign(Object.create(trainerStub()), { pairs: reference }), {
      examples: examplesOf(4),
      references: compared,
    }),
  ]);
});

Deno.test("one example is enough, and odd ones without pairs", async () => {
  for (const count of [1, 3]) {
    const events = await told(trainerStub(), { examples: examplesOf(count), maxSteps: 1 });
    assert.deepEqual(brief(events), ["start", "step 1", "end 1"]);
  }
});

Deno.test("references go with their examples, of training and of evaluation", async () => {
  const seen: (readonly number[])[] = [];
  const stub = trainerStub();
  const take = ({ inputIds, references, length }: Parameters<Trainer["evaluate"]>[0]) =>
    seen.push([...references ?? []].flatMap((each, row) => [Number(inputIds[row * length]), each]));
  const trainer = Object.assign(Object.create(stub), {
    pairs: { ...orpo(0.1), reference: true, chosenNll: false },
    trainStep(...[batches, options]: Parameters<Trainer["trainStep"]>) {
      batches.forEach(take);
      return stub.trainStep(batches, options);
    },
    evaluate(...args: Parameters<Trainer["evaluate"]>) {
      take(args[0]);
      return stub.evaluate(...args);
    },
  });
  await told(trainer, {
    examples: examplesOf(2),
    evalExamples: [stubExample(30), stubExample(31)],
    epochs: 1,
    references: {
      examples: Float64Array.of(-1, -2),
      evalExamples: Float64Array.of(-3, -4),
    },
  });
  assert.deepEqual(seen, [[10, -1, 11, -2], [30, -3, 31, -4]]);
});

Deno.test("an evaluation that is aborted ends the run, and one that fails is told of", async () => {
  for (const [aborts, at] of [[true, 1], [false, 2]] as const) {
    const abort = new AbortController();
    const failure = new Error("out of memory");
    const stub = trainerStub();
    const trainer = Object.assign(Object.create(stub), {
      evaluate(...args: Parameters<Trainer["evaluate"]>) {
        if (stub.step < at) return stub.evaluate(...args);
        if (aborts) abort.abort();
        return Promise.reject(failure);
      },
    });
    const events: TrainEvent[] = [];
    const run = async () => {
      for await (
        const event of train(trainer, {
          examples: examplesOf(3),
          evalExamples: [stubExample(1)],
          padId: 0,
          schedule: () => () => 1,
          epochs: 1,
          evalSteps: 1,
          signal: abort.signal,
        })
      ) events.push(event);
    };
    if (aborts) await run();
    else await assert.rejects(run(), (cause) => cause === failure);
    assert.deepEqual(
      brief(events),
      aborts ? ["start", "step 1", "end 1"] : ["start", "step 1", "evaluate 1", "step 2"],
    );
    const end = events.at(-1)!;
    if (aborts) assert.ok(end.type === "end" && end.reason === "aborted");
  }
});

Deno.test("an update that fails is told of, and one that is aborted ends the run with what was made", async () => {
  for (const aborts of [true, false]) {
    await using folder = await tempFolder();
    const abort = new AbortController();
    const failure = new Error("out of memory");
    const stub = trainerStub();
    const trainer = Object.assign(Object.create(stub), {
      trainStep(...args: Parameters<Trainer["trainStep"]>) {
        if (stub.step < 2) return stub.trainStep(...args);
        if (aborts) abort.abort();
        return Promise.reject(failure);
      },
    });
    const run = told(trainer, {
      examples: examplesOf(3),
      epochs: 1,
      signal: abort.signal,
      output: { directory: folder.path, facts: {} },
    });
    if (!aborts) {
      await assert.rejects(run, (cause) => cause === failure);
      continue;
    }
    const events = await run;
    assert.deepEqual(brief(events), ["start", "step 1", "step 2", "save 2", "end 2"]);
    const end = events.at(-1)!;
    assert.ok(end.type === "end" && end.reason === "aborted" && end.epoch === 2 / 3);
  }
});

Deno.test("a run that is resumed makes up for an evaluation that it did not come to, and makes none twice", async () => {
  await using folder = await tempFolder();
  const abort = new AbortController();
  const options: Partial<TrainOptions> = {
    examples: examplesOf(4),
    evalExamples: [stubExample(1)],
    epochs: 1,
    evalSteps: 2,
    best: { load: true },
    output: { directory: folder.path, facts: {} },
  };
  const whole = trainerStub();
  await told(whole, { ...options, output: undefined });
  const first = trainerStub({
    result: (attempt) => {
      if (attempt === 1) abort.abort();
      return {};
    },
    tokenLoss: () => {
      throw abort.signal.reason;
    },
  });
  const cut = await told(first, { ...options, signal: abort.signal });
  assert.deepEqual(brief(cut), ["start", "step 1", "step 2", "save 2", "end 2"]);
  const resumed = trainerStub({ tokenLoss: (_, step) => step });
  const again = await told(resumed, { ...options, resumeFrom: `${folder.path}/checkpoint-2` });
  assert.deepEqual(brief(again), [
    ...["start", "evaluate 2", "save 2", "step 3", "step 4", "evaluate 4", "save 4", "end 4"],
  ]);
  const [start] = again;
  assert.ok(start.type === "start" && start.resumedStep === 2 && !("plannedSteps" in start));
  assert.deepEqual([...first.seen, ...resumed.seen], whole.seen);
  assert.deepEqual(resumed.loaded, [`${folder.path}/checkpoint-2`]);
  const third = await told(trainerStub({ tokenLoss: (_, step) => step }), {
    ...options,
    resumeFrom: `${folder.path}/checkpoint-2`,
    maxSteps: 3,
  });
  assert.deepEqual(brief(third), ["start", "step 3", "evaluate 3", "save 3", "end 3"]);
  assert.ok(third[0].type === "start" && third[0].plannedSteps === 4);
});

Deno.test("a run resumes amid an epoch, at the batch that comes next", async () => {
  await using folder = await tempFolder();
  const options: Partial<TrainOptions> = {
    examples: examplesOf(7),
    batchSize: 2,
    accumulationSteps: 1,
    epochs: 2,
    saveSteps: 1,
    output: { directory: folder.path, facts: {} },
  };
  const whole = trainerStub();
  const all = await told(whole, options);
  for (const step of [1, 3, 4, 5, 7]) {
    const resumed = trainerStub();
    const resumeFrom = `${folder.path}/checkpoint-${step}`;
    const events = await told(resumed, { ...options, output: undefined, resumeFrom });
    assert.deepEqual(resumed.seen, whole.seen.slice(step), `${step}`);
    const epochs = (of: readonly TrainEvent[]) =>
      of.flatMap((event) => event.type === "step" ? [event.epoch] : []);
    assert.deepEqual(epochs(events), epochs(all).slice(step));
    const state = JSON.parse(await Deno.readTextFile(`${resumeFrom}/trainer_state.json`));
    const { epoch, batch } = state.stateful_callbacks.OrtuneLoop;
    assert.deepEqual([epoch, batch, state.epoch], [Math.floor(step / 4), step % 4, step / 4]);
  }
});

Deno.test("further figures of an evaluation are of the weights that are saved, and get the processes and the signal", async () => {
  const calls: string[] = [];
  const trainer = Object.assign(Object.create(trainerStub()), {
    async useSavedWeights() {
      await new Promise((resolve) => setTimeout(resolve, 1));
      calls.push("saved weights");
    },
  });
  const { signal } = new AbortController();
  const events = await told(trainer, {
    examples: examplesOf(1),
    evalExamples: [stubExample(1)],
    epochs: 1,
    signal,
    async evalMetrics({ rank, size, sum, signal: own }) {
      assert.equal(own, signal);
      calls.push(`metrics ${rank} of ${size}: ${await sum([2, 3])}`);
      return { rouge_l: 0.5 };
    },
  });
  assert.deepEqual(calls, ["saved weights", "metrics 0 of 1: 2,3", "saved weights"]);
  const evaluation = events.find(({ type }) => type === "evaluate")!;
  assert.ok("figures" in evaluation);
  assert.deepEqual(evaluation.figures, { rouge_l: 0.5 });
});

Deno.test("a metric that no row has is refused with those that the rows have", async () => {
  const run = (metric: "eval_loss" | "eval_token_loss" | "eval_bleu", figures: object) =>
    told(trainerStub(), {
      examples: examplesOf(1),
      evalExamples: [stubExample(1)],
      epochs: 1,
      best: { metric },
      evalMetrics: () => Promise.resolve({ ...figures }),
    });
  const message = (rows: string) => ({
    message:
      "Cannot choose the best evaluation by eval_bleu: no row that was answered has it; the " +
      `rows have ${rows}`,
  });
  await assert.rejects(run("eval_bleu", {}), message("none"));
  const others = { rouge_l: 1, form: 2 };
  await assert.rejects(run("eval_bleu", others), message("eval_rouge_l, eval_form"));
  for (const metric of ["eval_loss", "eval_token_loss"] as const) await run(metric, others);
  await run("eval_bleu", { bleu: 1 });
});

Deno.test("processes that train together stop after the same update, whoever is asked to", async () => {
  const abort = new AbortController();
  const runs = await Promise.all(
    localComms(2).map((comm) => {
      const trainer = trainerStub({
        result: (attempt) => {
          if (comm.rank === 1 && attempt === 1) abort.abort();
          return {};
        },
      });
      return told(trainer, {
        comm,
        examples: examplesOf(4),
        epochs: 1,
        signal: comm.rank === 1 ? abort.signal : undefined,
      });
    }),
  );
  for (const events of runs) {
    assert.deepEqual(brief(events), ["start", "step 1", "step 2", "end 2"]);
    const end = events.at(-1)!;
    assert.ok(end.type === "end" && end.reason === "aborted");
  }
});
