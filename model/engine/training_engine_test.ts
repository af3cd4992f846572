import assert from "node:assert/strict";
import type { ModelConfig } from "../config.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import {
  emptyStore,
  randomExamples,
  randomWeights,
  tinyBatch,
  tinyConfig,
} from "../../tests/support/tiny_model.ts";
import type { LabelledGrid } from "./batch.ts";
import { TrainingEngine, type TrainingEngineOptions } from "./training_engine.ts";
import { endToEnd } from "./without_padding.ts";

// Times the largest element. Measured: gradients 8.8e-7, losses 1.5e-7.
const GRADIENTS = 2e-6;
const LOSSES = 2e-6;

const runtime = new Runtime({ threads: 2 });
const report = new Map<string, number>();

interface Result {
  readonly losses: Float32Array;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** Losses and gradients of batches, the gradients of all added up. */
async function pass(
  config: ModelConfig,
  batches: readonly LabelledGrid[],
  options?: TrainingEngineOptions,
): Promise<Result> {
  using weights = randomWeights(runtime, config);
  using gradients = emptyStore(runtime, config);
  using engine = new TrainingEngine(runtime, config, weights, gradients, options);
  gradients.flat.float32().fill(NaN);
  const losses: number[] = [];
  let first = true;
  for (const batch of batches) {
    losses.push(...(await engine.forwardBackward(batch, { scale: 0.1, first })).losses);
    first = false;
  }
  return {
    losses: Float32Array.from(losses),
    gradients: new Map(
      gradients.names().map((name) => [name, gradients.tensor(name).float32().slice()]),
    ),
  };
}

function assertSame(topic: string, actual: Result, expected: Result): void {
  const note = (kind: string, error: number, values: Float32Array): void => {
    const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    assert.ok(largest > 1e-4, `${kind} is all but zero`);
    const key = `${topic}, ${kind === "losses" ? kind : "gradients"}`;
    report.set(key, Math.max(report.get(key) ?? 0, error / largest));
  };
  const { maxAbsolute } = assertClose(actual.losses, expected.losses, {
    relativeToMax: LOSSES,
    label: "losses",
  });
  note("losses", maxAbsolute, expected.losses);
  assert.equal(actual.gradients.size, expected.gradients.size);
  for (const [name, wanted] of expected.gradients) {
    const { maxAbsolute } = assertClose(actual.gradients.get(name)!, wanted, {
      relativeToMax: GRADIENTS,
      label: name,
    });
    note(name, maxAbsolute, wanted);
  }
}

globalThis.addEventListener("unload", () => {
  if (Deno.env.get("ORTUNE_REPORT")) console.log(report);
});

const examples = randomExamples([6, 4, 7, 5, 3], 64);

for (const tie_word_embeddings of [true, false]) {
  const config = tinyConfig({ tie_word_embeddings });
  const title = tie_word_embeddings ? "tied" : "untied";

  Deno.test(`packed examples are the same examples in rows of their own (${title})`, async () => {
    const separate = await pass(config, [tinyBatch(examples.map((each) => [each]), 7)]);
    const packed = await pass(config, [tinyBatch([examples], 25)]);
    assertSame("packed", packed, separate);
    const twoRows = tinyBatch([examples.slice(0, 2), examples.slice(2)], 15);
    assertSame("packed in two rows", await pass(config, [twoRows]), separate);
    assert.ok(separate.losses.length === 15, `${separate.losses.length} supervised tokens`);
  });

  Deno.test(`padding changes nothing, whatever its token (${title})`, async () => {
    const rows = examples.map((each) => [each]);
    const tight = await pass(config, [tinyBatch(rows, 7)]);
    const computed = { skipPadding: false };
    assertSame("padding", await pass(config, [tinyBatch(rows, 12)], computed), tight);
    const otherPad = await pass(config, [tinyBatch(rows, 7, 9)], computed);
    assert.deepEqual(otherPad.losses, tight.losses);
    assert.deepEqual(otherPad.gradients, tight.gradients);
  });

  Deno.test(`a batch without its padding has the losses and gradients of the grid (${title})`, async () => {
    const [long, short, middle] = randomExamples([150, 6, 140], 64);
    const batches = [tinyBatch([[long], [short], [middle, short], [short, short]], 150)];
    const grid = await pass(config, batches, { skipPadding: false });
    assertSame("rows of unlike length apart", await pass(config, batches), grid);
    const inOneRow = endToEnd(batches[0]).grid;
    assert.deepEqual([inOneRow.rows, inOneRow.length], [1, 320]);
    const alone = await pass(config, [inOneRow], { skipPadding: false });
    assertSame("end to end", alone, grid);
  });

  Deno.test(`micro-batches add up to the whole batch (${title})`, async () => {
    const batches = examples.map((each) => tinyBatch([[each]], 7));
    const whole = await pass(config, [tinyBatch(examples.map((each) => [each]), 7)]);
    assertSame("micro-batches", await pass(config, batches), whole);
  });

  Deno.test(`rows of a batch that are run apart add up to the batch (${title})`, async () => {
    const batch = tinyBatch(examples.map((each) => [each]), 7);
    const whole = await pass(config, [batch]);
    using weights = randomWeights(runtime, config);
    using gradients = emptyStore(runtime, config);
    using engine = new TrainingEngine(runtime, config, weights, gradients);
    gradients.flat.float32().fill(NaN);
    const found = new Float32Array(batch.targets.length).fill(NaN);
    for (const [i, rows] of [[1, 4], [0], [2, 3]].entries()) {
      const part = await engine.forwardBackward(batch, { scale: 0.1, first: i === 0, rows });
      part.tokens.forEach((token, at) => found[token] = part.losses[at]);
    }
    const tokens = Int32Array.from(batch.targets.keys()).filter((at) => batch.targets[at] >= 0);
    assertSame("rows apart", {
      losses: Float32Array.from(tokens, (token) => found[token]),
      gradients: new Map(gradients.names().map((name) => [name, gradients.tensor(name).float32()])),
    }, whole);
  });

  Deno.test(`gradients that are told to be final do not change any more (${title})`, async () => {
    using weights = randomWeights(runtime, config);
    using gradients = emptyStore(runtime, config);
    using engine = new TrainingEngine(runtime, config, weights, gradients);
    const told = new Map<string, Float32Array>();
    const onFinal = (names: readonly string[]): void => {
      for (const name of names) told.set(name, gradients.tensor(name).float32().slice());
    };
    const [long, short] = randomExamples([150, 6], 64);
    const batch = tinyBatch([[long], [short]], 150);
    await engine.forwardBackward(batch, { scale: 0.1, first: true, onFinal });
    for (const [name, values] of told) {
      assert.deepEqual(gradients.tensor(name).float32(), values, name);
    }
    // The embedding's, which the head's is too where they are tied, is there at the very end.
    const untold = gradients.names().filter((name) => !told.has(name));
    assert.deepEqual(untold, ["model.embed_tokens.weight"]);
  });

  Deno.test(`the head's chunk size does not matter (${title})`, async () => {
    const batch = tinyBatch([examples], 25);
    const whole = await pass(config, [batch]);
    for (const headChunk of [1, 4, 14, 15]) {
      assertSame("head chunks", await pass(config, [batch], { headChunk }), whole);
    }
  });

  Deno.test(`gradients are the same without gradient checkpointing (${title})`, async () => {
    const batches = [tinyBatch([examples], 25), tinyBatch(examples.map((each) => [each]), 7)];
    const recomputed = await pass(config, batches);
    const kept = await pass(config, batches, { gradientCheckpointing: false });
    assertSame("kept activations", kept, recomputed);
  });

  Deno.test(`a batch without targets adds nothing, and clears what was there (${title})`, async () => {
    const batch = tinyBatch([examples], 25);
    const empty = { ...batch, targets: new Int32Array(25).fill(-100) };
    const alone = await pass(config, [batch]);
    const after = await pass(config, [batch, empty]);
    assert.deepEqual(after.gradients, alone.gradients);
    const before = await pass(config, [empty, batch]);
    assertSame("after an empty batch", before, alone);
    const nothing = await pass(config, [empty]);
    for (const [name, values] of nothing.gradients) {
      assert.ok(values.every((value) => value === 0), name);
    }
  });
}

const config = tinyConfig();

Deno.test("a repeated pass is bitwise the same, also after batches of other sizes", async () => {
  using weights = randomWeights(runtime, config);
  using gradients = emptyStore(runtime, config);
  using engine = new TrainingEngine(runtime, config, weights, gradients);
  const run = async (batch: LabelledGrid): Promise<Float32Array> => {
    await engine.forwardBackward(batch, { scale: 0.1, first: true });
    return gradients.flat.float32().slice();
  };
  const first = await run(tinyBatch([examples.slice(0, 2)], 10));
  await run(tinyBatch(examples.map((each) => [each]), 30));
  await run(tinyBatch([[examples[4]]], 3));
  assert.deepEqual(await run(tinyBatch([examples.slice(0, 2)], 10)), first);
});

Deno.test("noise on embeddings is drawn by seed and a token's place, and only in training", async () => {
  const batch = tinyBatch(examples.map((each) => [each]), 7);
  using weights = randomWeights(runtime, config);
  using gradients = emptyStore(runtime, config);
  using engine = new TrainingEngine(runtime, config, weights, gradients, { noiseAlpha: 5 });
  const lossesOf = async (dropoutSeed: string, rows?: readonly number[]) =>
    (await engine.forwardBackward(batch, { scale: 1, first: true, dropoutSeed, rows })).losses;
  const [noisy, again, other] = [await lossesOf("a"), await lossesOf("a"), await lossesOf("b")];
  const plain = (await engine.evaluate(batch)).losses;
  assert.deepEqual(noisy, again);
  assert.notDeepEqual(noisy, other);
  assert.notDeepEqual(noisy, plain);
  const rows = Array.from({ length: batch.rows }, (_, row) => row);
  const apart: number[] = [];
  for (const row of rows) apart.push(...await lossesOf("a", [row]));
  assertClose(Float32Array.from(apart), noisy, { relativeToMax: LOSSES, label: "rows apart" });
});

Deno.test("evaluate() gives the losses of forwardBackward() and the logits agree", async () => {
  using weights = randomWeights(runtime, config);
  using gradients = emptyStore(runtime, config);
  using engine = new TrainingEngine(runtime, config, weights, gradients, { headChunk: 4 });
  const batch = tinyBatch([examples.slice(0, 2), examples.slice(2)], 15);
  const trained = await engine.forwardBackward(batch, { scale: 1, first: true });
  using alone = new TrainingEngine(runtime, config, weights);
  const evaluated = await alone.evaluate(batch);
  assert.deepEqual(evaluated, trained);
  assert.deepEqual(
    [...evaluated.tokens],
    [...batch.targets.keys()].filter((i) => batch.targets[i] >= 0),
  );
  const logits = await alone.logits(batch, evaluated.tokens);
  const expected = Array.from(evaluated.tokens, (token, i) => {
    const row = Array.from(logits.subarray(i * 64, (i + 1) * 64));
    const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
    return Math.log(total) - row[batch.targets[token]];
  });
  assertClose(evaluated.losses, expected, { relativeToMax: LOSSES, label: "losses" });
  await assert.rejects(alone.forwardBackward(batch, { scale: 1, first: true }), {
    message: "Cannot train: the engine was made without gradients",
  });
});

/** A signal that is aborted when it is asked for the `turn`-th time. */
function abortAt(turn: number, reason: unknown): { signal: AbortSignal; asked: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  let asked = 0;
  signal.throwIfAborted = () => {
    asked++;
    if (asked === turn) controller.abort(reason);
    AbortSignal.prototype.throwIfAborted.call(signal);
  };
  return { signal, asked: () => asked };
}

Deno.test("an abort between any two graphs rejects with the reason, and the engine goes on", async () => {
  using weights = randomWeights(runtime, config);
  using gradients = emptyStore(runtime, config);
  using engine = new TrainingEngine(runtime, config, weights, gradients, { headChunk: 6 });
  const batch = tinyBatch([examples], 25);
  const options = { scale: 0.1, first: true };
  const calm = abortAt(Infinity, undefined);
  const whole = await engine.forwardBackward(batch, { ...options, signal: calm.signal });
  const expected = gradients.flat.float32().slice();
  // Two layers forward, three chunks of the head, two layers backward.
  assert.equal(calm.asked(), 7);
  for (let turn = 1; turn <= 7; turn++) {
    const reason = new Error(`turn ${turn}`);
    const { signal, asked } = abortAt(turn, reason);
    await assert.rejects(
      engine.forwardBackward(batch, { ...options, signal }),
      (error: unknown) => error === reason,
    );
    assert.equal(asked(), turn);
  }
  const { signal } = abortAt(2, new Error("evaluation"));
  await assert.rejects(engine.evaluate(batch, signal), { message: "evaluation" });
  assert.deepEqual(await engine.forwardBackward(batch, options), whole);
  assert.deepEqual(gradients.flat.float32(), expected);
});

Deno.test("tokens and targets outside of the vocabulary are refused before a graph runs", async () => {
  using weights = randomWeights(runtime, config);
  using gradients = emptyStore(runtime, config);
  using engine = new TrainingEngine(runtime, config, weights, gradients);
  const batch = tinyBatch([examples], 25);
  const options = { scale: 0.1, first: true };
  const inputIds = batch.inputIds.with(3, 64n);
  await assert.rejects(
    engine.forwardBackward({ ...batch, inputIds }, options),
    /^RangeError: Cannot run token 3: its id 64 is not from 0 to below vocab_size 64; use the /,
  );
  const targets = batch.targets.with(3, 64);
  await assert.rejects(
    engine.forwardBackward({ ...batch, targets }, options),
    /^RangeError: Cannot take the loss of token 3: its target 64 is not below vocab_size 64$/,
  );
});
