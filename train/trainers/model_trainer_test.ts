/** The trainer of stand-ins for its parts: what it asks of each, in which order. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { Comm } from "../../comm/comm.ts";
import { type Batch, collate } from "../../data/batches/collator.ts";
import type { TrainingEngine } from "../../model/engine/training_engine.ts";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import { stubExample } from "../../tests/support/trainer_stub.ts";
import { sha256 } from "../checkpoints/checkpoint.ts";
import type { Optimizer } from "../optimizer.ts";
import type { PairObjective } from "../pair_objective.ts";
import type { TrainStepResult } from "../trainer.ts";
import { ModelTrainer, type TrainerParts } from "./model_trainer.ts";
import type { TrainedParameters } from "./trained_parameters.ts";

const runtime = new Runtime({ threads: 2 });
const layout = layoutParameters([
  { name: "a", shape: [2, 3], decays: true },
  { name: "b", shape: [5], decays: false },
]);

/** What a test may set; all else records. */
interface Given {
  readonly graphsOnly?: boolean;
  readonly results?: TrainStepResult[];
  readonly parts?: Partial<TrainerParts>;
  readonly optimizer?: Partial<Optimizer>;
  readonly parameters?: Partial<TrainedParameters>;
  /** Losses of a token that the engine finds, by its target. */
  readonly told?: (batch: Batch) => { tokens: Int32Array; losses: Float32Array };
}

/** A trainer of stand-ins, with the calls of these. */
function trainerOf(given: Given = {}) {
  const { graphsOnly = false, results = [], told } = given;
  const calls: unknown[] = [];
  const record = (...call: unknown[]): void => void calls.push(call);
  // What is not waited for comes after what follows it.
  const later = async (...call: unknown[]): Promise<void> => {
    await delay(1);
    record(...call);
  };
  const disposable = (name: string) => ({ [Symbol.dispose]: () => record("dispose", name) });
  const losses = { name: "losses" } as unknown as Tensor;
  const engine = {
    graphsOnly,
    launch(grid: Batch, { weigh, ...options }: Parameters<TrainingEngine["launch"]>[1]) {
      record("launch", Number(grid.inputIds[0]), options);
      if (weigh) record("weighed", weigh(told!(grid)).losses);
      return Promise.resolve({ losses });
    },
    evaluate(grid: Batch, signal?: AbortSignal) {
      record("evaluate", Number(grid.inputIds[0]), signal);
      return Promise.resolve({ tokens: new Int32Array(0), losses: new Float32Array(0) });
    },
    ...disposable("engine"),
  } as unknown as TrainingEngine;
  const state = tensorSourceFromMap(
    new Map([["a.m", { dtype: "float32", shape: [1], data: new Uint8Array(4).fill(7) }]]),
  );
  const optimizer: Optimizer = {
    maxUnread: 3,
    begin: (options) => record("begin", options),
    addLosses: (each) => record("addLosses", each === losses),
    update: () => later("update"),
    results: () => results.splice(0),
    state: () => state,
    load: (source) => later("load state", source.names()),
    resumeAt: (step) => record("resumeAt", step),
    ...disposable("optimizer"),
    ...given.optimizer,
  };
  const store = new ParameterStore(runtime, layout);
  const gradients = {
    zero: () => record("zero"),
    ...disposable("gradients"),
  } as unknown as ParameterStore;
  const weights = { name: "weights" } as unknown as TrainedParameters["weights"];
  const parameters: TrainedParameters = {
    method: "lora",
    config: tinyConfig(),
    store,
    weights,
    seed: 7,
    prepare: (each) => record("prepare", each === gradients),
    updated: () => later("updated"),
    save: (directory, source) => {
      record("save weights", directory, source);
      return Promise.resolve([{ name: "w", bytes: 1, sha256: "s" }]);
    },
    load: async (directory, also) => {
      await later("load weights", directory);
      await also?.(state);
    },
    [Symbol.dispose]: () => {
      record("dispose", "parameters");
      store[Symbol.dispose]();
    },
    ...given.parameters,
  };
  const parts = { runtime, parameters, gradients, engine, optimizer, ...given.parts };
  return { trainer: new ModelTrainer(parts), calls, parts, losses, state };
}

/** A batch of rows of two tokens, of which the first is `first`; a row of 0 has no label. */
function batchOf(first: number, labels: readonly number[] = [1]): Batch {
  return collate(
    labels.map((label) => ({
      ...stubExample(first, [label]),
      labels: Int32Array.of(-100, label || -100),
    })),
    { padId: 0 },
  );
}

const RESULT: TrainStepResult = { loss: 2, gradNorm: 3, skipped: false };
const OPTIONS = {
  rows: undefined,
  onFinal: undefined,
  signal: undefined,
};

Deno.test("an update runs each batch that has labels, and then changes the parameters", async () => {
  const { trainer, calls } = trainerOf({ results: [RESULT] });
  const { signal } = new AbortController();
  const done: number[] = [];
  const batches = [batchOf(10, [1, 2]), batchOf(11, [0]), batchOf(12, [1, 3, 0, 4])];
  const result = await trainer.trainStep(batches, {
    learningRate: 0.5,
    signal,
    onBatch: (count) => done.push(count),
  });
  assert.deepEqual(result, RESULT);
  const scale = 1 / 5;
  assert.deepEqual(calls, [
    ["begin", { learningRate: 0.5, tokens: 5, seed: "7.0.0" }],
    ["launch", 10, { ...OPTIONS, scale, first: true, dropoutSeed: "7.0.0", signal }],
    ["addLosses", true],
    ["launch", 12, { ...OPTIONS, scale, first: false, dropoutSeed: "7.0.2", signal }],
    ["addLosses", true],
    ["prepare", true],
    ["update"],
    ["updated"],
  ]);
  assert.deepEqual(done, [1, 3]);
  assert.equal(trainer.step, 1);
});

Deno.test("an update that is skipped is none, and its seed comes again", async () => {
  const skipped = { ...RESULT, loss: NaN, skipped: true };
  const { trainer, calls } = trainerOf({
    results: [skipped],
    parameters: { seed: undefined, prepare: undefined, updated: undefined },
  });
  assert.deepEqual(await trainer.trainStep([batchOf(1)], { learningRate: 1 }), skipped);
  assert.equal(trainer.step, 0);
  assert.deepEqual(calls[0], ["begin", { learningRate: 1, tokens: 1, seed: "0.0.0" }]);
  assert.equal(calls.length, 4);
});

Deno.test("batches without a label are a skipped update at once, and on a device an error", async () => {
  const { trainer, calls } = trainerOf();
  const empty = [batchOf(1, [0]), batchOf(2, [0, 0])];
  assert.deepEqual(await trainer.trainStep(empty, { learningRate: 1 }), {
    loss: NaN,
    gradNorm: NaN,
    skipped: true,
  });
  const device = trainerOf({ graphsOnly: true });
  await assert.rejects(device.trainer.trainStep(empty, { learningRate: 1 }), {
    name: "RangeError",
    message: "Cannot make an update of 2 batches: no row in them has an answer left within the " +
      "longest length; raise it, or drop such rows",
  });
  assert.deepEqual([calls, device.calls, trainer.step], [[], [], 0]);
});

/** Of two processes one, whose sums are as if the other had the same; calls are recorded. */
function pairedComm(rank: number, calls: unknown[]): Comm {
  return {
    ...localComms(1)[0],
    rank,
    size: 2,
    allReduceSum: (values) => {
      calls.push(["allReduceSum", [...values]]);
      return delay(1).then(() => {
        for (let i = 0; i < values.length; i++) values[i] *= 2;
      });
    },
  };
}

Deno.test("of several processes each runs its rows, and sums gradients with the others", async () => {
  const final = () => Promise.resolve();
  for (const rank of [0, 1]) {
    const order: unknown[] = [];
    const sums = {
      final,
      finish: () => delay(1).then(() => void calls.push(["finish"])),
      [Symbol.dispose]: () => {},
    } as unknown as TrainerParts["sums"];
    const collectives = {
      finish: () => delay(1).then(() => void calls.push(["finish collectives"])),
    } as unknown as TrainerParts["collectives"];
    const { trainer, calls } = trainerOf({
      results: [RESULT],
      parts: { comm: pairedComm(rank, order), sums, collectives },
    });
    const done: number[] = [];
    // The first batch's rows go to one each, the row of the second to the first process.
    await trainer.trainStep([batchOf(10, [1, 2]), batchOf(11, [3])], {
      learningRate: 1,
      onBatch: (count) => done.push(count),
    });
    const options = { ...OPTIONS, scale: 1 / 3, dropoutSeed: "7.0.0" };
    const [begin, ...rest] = calls;
    assert.deepEqual(begin, ["begin", { learningRate: 1, tokens: 3, seed: "7.0.0" }]);
    assert.deepEqual(
      rest.filter((call) => Array.isArray(call) && call[0] === "launch"),
      rank === 0
        ? [
          ["launch", 10, { ...options, first: true, rows: [0] }],
          ["launch", 11, {
            ...options,
            first: false,
            rows: [0],
            dropoutSeed: "7.0.1",
            onFinal: final,
          }],
        ]
        : [["launch", 10, { ...options, first: true, rows: [1], onFinal: final }]],
    );
    assert.deepEqual(done, rank === 0 ? [1, 2] : [1]);
    assert.deepEqual(calls.slice(-5), [
      ["finish"],
      ["prepare", true],
      ["update"],
      ["updated"],
      ["finish collectives"],
    ]);
    assert.deepEqual(order, []);
  }
});

Deno.test("a process without a row gives gradients of 0", async () => {
  const { trainer, calls } = trainerOf({
    results: [RESULT],
    parts: { comm: pairedComm(1, []) },
  });
  await trainer.trainStep([batchOf(10, [1])], { learningRate: 1 });
  assert.deepEqual(calls, [
    ["begin", { learningRate: 1, tokens: 1, seed: "7.0.0" }],
    ["zero"],
    ["prepare", true],
    ["update"],
    ["updated"],
  ]);
});

/** An objective of whole numbers. */
const pairs: PairObjective = {
  reference: false,
  chosenNll: false,
  figures: ["chosen", "tokens"],
  loss: (chosen, rejected) => ({
    loss: 10 * chosen.sum + rejected.sum,
    byChosen: 2,
    byRejected: 3,
    figures: { chosen: chosen.sum, tokens: rejected.tokens },
  }),
};

/** Each label's loss is its own id. */
const ownIds = ({ targets }: Batch) => {
  const tokens = Int32Array.from(targets.keys()).filter((token) => targets[token] >= 0);
  return { tokens, losses: Float32Array.from(tokens, (token) => targets[token]) };
};

Deno.test("an update of pairs is a mean over its batches, with figures that are summed over processes", async () => {
  for (const several of [false, true]) {
    const sums: unknown[] = [];
    const { trainer, calls } = trainerOf({
      results: [{ ...RESULT }],
      told: ownIds,
      parts: { pairs, ...several ? { comm: pairedComm(0, sums) } : {} },
    });
    assert.equal(trainer.pairs, pairs);
    const result = await trainer.trainStep([batchOf(10, [1, 2]), batchOf(11, [3, 4])], {
      learningRate: 1,
    });
    assert.deepEqual(calls[0], ["begin", { learningRate: 1, tokens: 1, seed: "7.0.0" }]);
    const weighed = calls.filter((call) => Array.isArray(call) && call[0] === "weighed");
    // Halves of -10 - 2 and of -30 - 4; with another process that has the second pair.
    if (several) {
      assert.deepEqual(weighed, [["weighed", [-6]]]);
      assert.deepEqual(sums, [["allReduceSum", [-0.5, 0.5]]]);
      assert.deepEqual(result, { ...RESULT, figures: { chosen: -1, tokens: 1 } });
    } else {
      assert.deepEqual(weighed, [["weighed", [-6]], ["weighed", [-17]]]);
      assert.deepEqual(result, { ...RESULT, figures: { chosen: -2, tokens: 1 } });
    }
  }
});

Deno.test("on a device updates are unread until results are asked for, each with its figures", async () => {
  const results: TrainStepResult[] = [];
  const { trainer } = trainerOf({ graphsOnly: true, results, told: ownIds, parts: { pairs } });
  const { deferred } = trainer;
  assert.deepEqual(Object.keys(deferred!).toSorted(), ["launch", "most", "results", "snapshot"]);
  assert.equal(deferred!.most, 3);
  for (const label of [1, 5]) {
    await deferred!.launch([batchOf(10, [label, 2])], { learningRate: 1 });
  }
  assert.equal(trainer.step, 2);
  results.push(RESULT, { ...RESULT, skipped: true });
  assert.deepEqual(await deferred!.results(), [
    { ...RESULT, figures: { chosen: -1, tokens: 1 } },
    { ...RESULT, skipped: true, figures: { chosen: -5, tokens: 1 } },
  ]);
  assert.equal(trainer.step, 1);
  assert.deepEqual(await deferred!.results(), []);
  assert.equal(trainerOf().trainer.deferred, undefined);
});

Deno.test("a device's memory is told where it has its own, and no copy is made of state in parts", () => {
  const cuda = { memory: () => ({ usedPeak: 12 }) };
  const { trainer } = trainerOf({
    graphsOnly: true,
    optimizer: {
      parts: { settle: () => Promise.resolve(), write: () => Promise.resolve(undefined) },
    },
    parts: { runtime: Object.assign(Object.create(runtime), { cuda: undefined }) },
  });
  assert.deepEqual(Object.keys(trainer.deferred!).toSorted(), ["launch", "most", "results"]);
  const on = { cuda } as unknown as Runtime;
  const { trainer: device } = trainerOf({ graphsOnly: true, parts: { runtime: on } });
  assert.equal(device.deferred!.memoryBytes!(), 12);
});

Deno.test("a trainer counts all numbers of its store, or those that are trained", () => {
  const { trainer, parts } = trainerOf();
  assert.equal(trainer.trainableParameters, 11);
  const sizes = new Map([["a", 4], ["b", 3]]);
  assert.equal(trainerOf({ parameters: { sizes } }).trainer.trainableParameters, 7);
  assert.deepEqual(
    [trainer.method, trainer.config, trainer.weights, trainer.linear],
    ["lora", parts.parameters.config, parts.parameters.weights, undefined],
  );
  const linear = () => assert.fail("it was called");
  assert.equal(trainerOf({ parameters: { linear } }).trainer.linear, linear);
});

Deno.test("evaluations and files are of the evaluated parameters, updates of the trained ones", async () => {
  await using folder = await tempFolder();
  const evaluation = {
    enter: () => void calls.push(["enter"]),
    leave: () => void calls.push(["leave"]),
    adopt: () => void calls.push(["adopt"]),
  };
  const { trainer, calls, parts } = trainerOf({ results: [RESULT], optimizer: { evaluation } });
  const { signal } = new AbortController();
  const told = await trainer.evaluate(batchOf(4), signal);
  assert.equal(told.tokens.length, 0);
  assert.deepEqual(calls.splice(0), [["enter"], ["updated"], ["evaluate", 4, signal]]);
  await trainer.trainStep([batchOf(1)], { learningRate: 1 });
  assert.deepEqual(calls.splice(0).slice(0, 3), [
    ["leave"],
    ["updated"],
    ["begin", { learningRate: 1, tokens: 1, seed: "7.0.0" }],
  ]);
  await trainer.save(folder.path, { modelOnly: true });
  assert.deepEqual(calls.splice(0), [
    ["enter"],
    ["updated"],
    ["save weights", folder.path, parts.parameters.store],
  ]);
  await trainer.load("somewhere");
  assert.deepEqual(calls.splice(0), [["load weights", "somewhere"], ["adopt"]]);
  // Without them there is nothing to put in place.
  const plain = trainerOf();
  await plain.trainer.useSavedWeights();
  await plain.trainer.evaluate(batchOf(4));
  assert.deepEqual(plain.calls, [["evaluate", 4, undefined]]);
});

Deno.test("a checkpoint has the weights, and the optimizer's state unless it is of the model alone", async () => {
  await using folder = await tempFolder();
  using rounded = new ParameterStore(runtime, layout, { dtype: "bfloat16" });
  const { trainer, calls, state } = trainerOf({ parameters: { rounded } });
  const file = { name: "w", bytes: 1, sha256: "s" };
  assert.deepEqual(await trainer.save(folder.path, { modelOnly: true }), [file]);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(folder.path)), []);
  const expected = await writeSafetensors(`${folder.path}/expected`, state);
  for (const options of [undefined, {}, { modelOnly: false }]) {
    assert.deepEqual(await trainer.save(folder.path, options), [
      file,
      { name: "optimizer.state", ...expected },
    ]);
    const bytes = await Deno.readFile(`${folder.path}/optimizer.state`);
    assert.equal(sha256(bytes), expected.sha256);
    await Deno.remove(`${folder.path}/optimizer.state`);
  }
  // What the model runs on, rounded.
  assert.deepEqual(calls[0], ["save weights", folder.path, rounded]);
  await trainer.settleSave();
});

Deno.test("state in parts is written by all processes, or by the first where they share no disk", async () => {
  await using folder = await tempFolder();
  const together = { bytes: 5, sha256: "t" };
  for (
    const made of [
      { file: Promise.resolve(together) },
      { file: Promise.resolve(undefined) },
      undefined,
    ]
  ) {
    const { trainer, calls, state } = trainerOf({
      optimizer: {
        parts: {
          settle: () => delay(1).then(() => void calls.push(["settle"])),
          write: (path) => {
            calls.push(["write", path]);
            return Promise.resolve(made);
          },
        },
      },
    });
    const [, saved] = await trainer.save(folder.path);
    const own = await writeSafetensors(`${folder.path}/expected`, state);
    const alone = (await made?.file) === undefined;
    assert.deepEqual(saved, { name: "optimizer.state", ...alone ? own : together });
    assert.deepEqual(calls.map((call) => (call as unknown[])[0]), ["write", "save weights"]);
    assert.deepEqual(calls[0], ["write", `${folder.path}/optimizer.state`]);
    await trainer.save(folder.path, { modelOnly: true });
    assert.equal(calls.length, 3);
    await trainer.settleSave();
    assert.deepEqual(calls[3], ["settle"]);
  }
});

Deno.test("a copy for a checkpoint is of weights and state as they were, and its memory is used again", async () => {
  await using folder = await tempFolder();
  const value = new Uint8Array(4).fill(1);
  const source = tensorSourceFromMap(
    new Map([["a.m", { dtype: "float32", shape: [1], data: value }]]),
  );
  const { trainer, calls, parts } = trainerOf({
    graphsOnly: true,
    optimizer: { state: () => source },
  });
  const { flat } = parts.parameters.store;
  flat.float32().fill(3);
  const copies = [];
  for (const next of [2, 3]) {
    const copy = await trainer.deferred!.snapshot!();
    value.fill(next);
    flat.float32().fill(next + 2);
    const files = await copy.save(folder.path);
    assert.deepEqual(files.map(({ name }) => name), ["w", "optimizer.state"]);
    const bytes = await Deno.readFile(`${folder.path}/optimizer.state`);
    assert.deepEqual([...bytes.subarray(-4)], Array(4).fill(next - 1));
    copies.push((calls.at(-1) as unknown[])[2]);
    const into = new Uint8Array(24);
    await (copies.at(-1) as typeof source).read("a", into);
    assert.deepEqual([...new Float32Array(into.buffer)], Array(6).fill(next + 1));
  }
  assert.equal(copies[0], copies[1]);
  assert.notEqual(copies[0], parts.parameters.store);
});

Deno.test("a checkpoint is loaded with its optimizer to be resumed, and rounded for the model", async () => {
  await using folder = await tempFolder();
  using rounded = new ParameterStore(runtime, layout, { dtype: "bfloat16" });
  const { trainer, calls, parts, state } = trainerOf({
    parameters: { rounded },
    optimizer: {
      takeWeights: (weights) =>
        delay(1).then(() => void calls.push(["takeWeights", weights.names()])),
    },
  });
  const bits = () =>
    new Uint16Array(rounded.flat.bytes().buffer, rounded.flat.bytes().byteOffset, 2);
  parts.parameters.store.flat.float32().fill(1);
  await trainer.load(folder.path);
  assert.deepEqual(calls.splice(0), [["load weights", folder.path], ["takeWeights", ["a.m"]]]);
  assert.deepEqual([...bits()], [0x3f80, 0x3f80]);
  assert.equal(trainer.step, 0);
  await writeSafetensors(`${folder.path}/optimizer.state`, state);
  parts.parameters.store.flat.float32().fill(-2);
  await trainer.resume(folder.path, 9);
  assert.deepEqual(calls, [
    ["load weights", folder.path],
    ["takeWeights", ["a.m"]],
    ["load state", ["a.m"]],
    ["resumeAt", 9],
  ]);
  assert.deepEqual([...bits()], [0xc000, 0xc000]);
  assert.equal(trainer.step, 9);
});

Deno.test("a trainer releases all of its parts once, those that are used by others first", async () => {
  const { trainer, calls } = trainerOf();
  await trainer[Symbol.asyncDispose]();
  assert.deepEqual(calls, [
    ["dispose", "engine"],
    ["dispose", "optimizer"],
    ["dispose", "gradients"],
    ["dispose", "parameters"],
  ]);
  const more = trainerOf();
  const disposable = (name: string) => ({ [Symbol.dispose]: () => void more.calls.push(name) });
  const all = new ModelTrainer({
    ...more.parts,
    sums: disposable("sums") as unknown as TrainerParts["sums"],
    collectives: disposable("collectives") as unknown as TrainerParts["collectives"],
  });
  await all[Symbol.asyncDispose]();
  assert.deepEqual(more.calls.slice(1, 5), [
    ["dispose", "optimizer"],
    "sums",
    "collectives",
    ["dispose", "gradients"],
  ]);
});
