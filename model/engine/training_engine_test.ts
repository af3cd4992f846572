import assert from "node:assert/strict";
import type { ModelConfig } from "../config.ts";
import { modelParameters } from "../parameters.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import {
  emptyStore,
  randomExamples,
  randomWeights,
  tinyBatch,
  tinyConfig,
  WINDOWED,
} from "../../tests/support/tiny_model.ts";
import type { LabelledGrid } from "./batch.ts";
import { layoutParameters, ParameterStore } from "./parameter_store.ts";
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

Deno.test("attention in chunks, or all in graphs, gives the losses and gradients of a mask", async () => {
  const [long, short] = randomExamples([13, 4], 64);
  const batches = [tinyBatch([[long], [short, short]], 15)];
  // Of its layers the second has a window.
  const model = tinyConfig(WINDOWED);
  const masked = await pass(model, batches, { skipPadding: false });
  for (
    const options of [
      { attentionChunk: 8 },
      { attentionChunk: 64, gradientCheckpointing: false, skipPadding: false },
      { graphsOnly: true },
    ]
  ) {
    assertSame(JSON.stringify(options), await pass(model, batches, options), masked);
  }
});

Deno.test("tokens are told by their places in the batch, however it is laid out", async () => {
  const batch = tinyBatch(examples.map((each) => [each]), 9);
  using weights = randomWeights(runtime, config);
  using gradients = emptyStore(runtime, config);
  const supervised = Int32Array.from(batch.targets.keys()).filter((at) => batch.targets[at] >= 0);
  using plain = new TrainingEngine(runtime, config, weights, gradients, { skipPadding: false });
  const expected = await plain.evaluate(batch);
  assert.deepEqual(expected.tokens, supervised);
  const logits = (await plain.logits(batch, supervised)).slice();
  for (const options of [{ attentionChunk: 8 }, { graphsOnly: true }, { rowsTogether: 5 }]) {
    const label = JSON.stringify(options);
    using engine = new TrainingEngine(runtime, config, weights, gradients, options);
    const evaluated = await engine.evaluate(batch);
    assert.deepEqual(evaluated.tokens, supervised, label);
    assertClose(evaluated.losses, expected.losses, { relativeToMax: LOSSES, label });
    assertClose(await engine.logits(batch, supervised), logits, { relativeToMax: LOSSES, label });
    const backwards = supervised.toReversed();
    const turned = await engine.logits(batch, backwards);
    assertClose(turned.subarray(0, 64), logits.subarray(-64), { relativeToMax: LOSSES, label });
    // Rows in any order, some of them.
    const rows = [3, 1];
    const { tokens, losses } = await engine.forwardBackward(batch, { scale: 1, first: true, rows });
    const found = new Map(Array.from(tokens, (token, i) => [token, losses[i]]));
    const wanted = supervised.filter((token) => rows.includes(Math.floor(token / 9)));
    assert.deepEqual([...found.keys()].sort((a, b) => a - b), [...wanted], label);
    const own = Array.from(wanted, (token) => expected.losses[supervised.indexOf(token)]);
    assertClose(wanted.values().map((token) => found.get(token)!).toArray(), own, {
      ...{ relativeToMax: LOSSES, label },
    });
  }
});

Deno.test("tokens are weighed by their losses, of neighbouring rows together", async () => {
  const [a, b] = randomExamples([40, 5], 64);
  const batch = tinyBatch([[a], [b], [b], [b]], 40);
  using weights = randomWeights(runtime, config);
  const places = Int32Array.from(batch.targets.keys()).filter((at) => batch.targets[at] >= 0);
  // Some tokens do not count, and the others by one of two factors.
  const factorOf = (token: number): number => [0, 0.3, -0.7][token % 3];
  using expected = emptyStore(runtime, config);
  using one = new TrainingEngine(runtime, config, weights, expected, { skipPadding: false });
  const { losses: all } = await one.evaluate(batch);
  for (const [i, scale] of [0.3, -0.7].entries()) {
    const targets = batch.targets.map((target, at) => factorOf(at) === scale ? target : -100);
    await one.forwardBackward({ ...batch, targets }, { scale, first: i === 0 });
  }
  for (const rowsTogether of [1, 2]) {
    for (const options of rowsTogether === 1 ? [{ graphsOnly: true }] : [{}, { headChunk: 30 }]) {
      const label = `${rowsTogether}, ${JSON.stringify(options)}`;
      using gradients = emptyStore(runtime, config);
      gradients.flat.float32().fill(NaN);
      const how = { rowsTogether, ...options };
      using engine = new TrainingEngine(runtime, config, weights, gradients, how);
      const given: [number, number][] = [];
      const answered = await engine.forwardBackward(batch, {
        ...{ scale: 7, first: true },
        weigh: ({ tokens, losses }) => {
          // Rows that belong together come together.
          const rows = new Set(Array.from(tokens, (token) => Math.floor(token / 40)));
          for (const row of rows) {
            const first = row - row % rowsTogether;
            for (let i = first; i < first + rowsTogether; i++) assert.ok(rows.has(i), label);
          }
          tokens.forEach((token, i) => given.push([token, losses[i]]));
          return { factors: Float32Array.from(tokens, factorOf), losses: [tokens.length, -1] };
        },
      });
      given.sort(([a], [b]) => a - b);
      assert.deepEqual(given.map(([token]) => token), [...places], label);
      assertClose(given.map(([, loss]) => loss), all, { relativeToMax: LOSSES, label });
      // What is answered is told in place of losses.
      const told = [...answered.losses];
      assert.equal(told.filter((each) => each === -1).length, told.length / 2, label);
      assert.equal(told.reduce((sum, each) => sum + each), places.length - told.length / 2, label);
      for (const name of gradients.names()) {
        assertClose(gradients.tensor(name).float32(), expected.tensor(name).float32(), {
          ...{ relativeToMax: 4 * GRADIENTS, label: `${label}, ${name}` },
        });
      }
    }
  }
});

Deno.test("where the first layers are frozen those behind have the gradients that they have in full", async () => {
  const batch = tinyBatch([examples], 25);
  const whole = await pass(config, [batch, batch]);
  using weights = randomWeights(runtime, config);
  for (const graphsOnly of [false, true]) {
    const specs = modelParameters(config).filter(({ name }) => name.startsWith("model.layers.1."));
    using gradients = new ParameterStore(runtime, layoutParameters(specs));
    gradients.flat.float32().fill(NaN);
    const options = { firstTrained: 1, graphsOnly };
    using engine = new TrainingEngine(runtime, config, weights, gradients, options);
    const told: string[] = [];
    const onFinal = (names: readonly string[]): void => void told.push(...names);
    await engine.forwardBackward(batch, { scale: 0.1, first: true });
    const { losses } = await engine.forwardBackward(batch, { scale: 0.1, first: false, onFinal });
    assertClose(losses, whole.losses.subarray(losses.length), {
      ...{ relativeToMax: LOSSES, label: "losses" },
    });
    assert.deepEqual(told, gradients.names());
    for (const name of gradients.names()) {
      assertClose(gradients.tensor(name).float32(), whole.gradients.get(name)!, {
        ...{ relativeToMax: GRADIENTS, label: name },
      });
    }
  }
});

Deno.test("gradients are told to be final in order: the head's, and each block's from the last on", async () => {
  for (const tie_word_embeddings of [true, false]) {
    const model = tinyConfig({ tie_word_embeddings });
    using weights = randomWeights(runtime, model);
    using gradients = emptyStore(runtime, model);
    using engine = new TrainingEngine(runtime, model, weights, gradients);
    const told: (readonly string[])[] = [];
    const onFinal = (names: readonly string[]): void => void told.push(names);
    await engine.forwardBackward(tinyBatch([examples], 25), { scale: 0.1, first: true, onFinal });
    const of = (layer: number): string[] =>
      gradients.names().filter((name) => name.startsWith(`model.layers.${layer}.`));
    const head = tie_word_embeddings
      ? ["model.norm.weight"]
      : ["model.norm.weight", "lm_head.weight"];
    assert.deepEqual(told, [head, of(1), of(0)]);
  }
});

Deno.test("noise is the same for a seed and a place, in whatever grid a token is", async () => {
  const batch = tinyBatch(examples.map((each) => [each]), 7);
  using weights = randomWeights(runtime, config);
  using gradients = emptyStore(runtime, config);
  const lossesOf = async (options: TrainingEngineOptions): Promise<Float32Array> => {
    using engine = new TrainingEngine(runtime, config, weights, gradients, {
      noiseAlpha: 5,
      ...options,
    });
    return (await engine.forwardBackward(batch, { scale: 1, first: true, dropoutSeed: "a" }))
      .losses;
  };
  const expected = await lossesOf({ skipPadding: false });
  for (const options of [{}, { attentionChunk: 64 }]) {
    assertClose(await lossesOf(options), expected, {
      ...{ relativeToMax: LOSSES, label: JSON.stringify(options) },
    });
  }
  const plain = await lossesOf({ noiseAlpha: 0 });
  assert.notDeepEqual(plain, expected);
});
