/** Replies made together against the same replies made alone. */

import assert from "node:assert/strict";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { loadModel } from "../model/engine/load_model.ts";
import type { ParameterStore } from "../model/engine/parameter_store.ts";
import { FAMILIES } from "../model/families/families.ts";
import { BatchCache, cacheBytesPerPosition } from "../infer/generate/batch_cache.ts";
import { BatchDecoder } from "../infer/generate/batch_decoder.ts";
import { BatchFullError, BatchGenerator } from "../infer/generate/batch_generator.ts";
import { chat } from "../infer/chat/chat.ts";
import { Decoder } from "../infer/generate/decoder.ts";
import { createGenerator } from "../infer/generate/generator.ts";
import type { GenerateOptions } from "../infer/generate/generation.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { adaptModel } from "../lora/load_adapter.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { draws } from "./support/random.ts";
import { loadFixtureModel } from "./support/parity_fixture.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { randomWeights, tinyConfig } from "./support/tiny_model.ts";

// Measured worst over the four models: 6.8e-6.
const LOGITS_ABSOLUTE = 1e-4;

const runtime = new Runtime({ threads: 2 });
const config = tinyConfig({ max_position_embeddings: 512, eos_token_id: 63 });

/** A model, and an adapter on it that changes its replies. */
function adapted():
  & { weights: ParameterStore; adapter: ReturnType<typeof adaptModel> }
  & Disposable {
  const weights = randomWeights(runtime, config);
  const adapter = adaptModel(runtime, { config, base: weights, lora: DEFAULT_LORA });
  const draw = draws(3);
  const values = adapter.trained.flat.float32();
  for (let i = 0; i < values.length; i++) values[i] = draw(-0.2, 0.2);
  return {
    weights,
    adapter,
    [Symbol.dispose]() {
      adapter[Symbol.dispose]();
      weights[Symbol.dispose]();
    },
  };
}

/** Prompts of many lengths. */
function prompts(count: number): number[][] {
  const draw = draws(11);
  return Array.from(
    { length: count },
    (_, i) => Array.from({ length: 1 + (i * 37) % 90 }, () => Math.floor(draw(0, 63))),
  );
}

for (const name of [...Object.keys(FAMILIES), "smollm"]) {
  Deno.test(`${name}: logits of ragged rows are those of each row alone`, async () => {
    const model = await loadFixtureModel(runtime, name);
    await model.expected[Symbol.asyncDispose]();
    using weights = model.weights;
    const { config } = model;
    using cache = new BatchCache(runtime, config, 4 * 256);
    using batch = new BatchDecoder(runtime, config, { slots: [{ weights }], cache });
    // What is left over from others, or was in memory before, is never read.
    cache.reserve(3, 256);
    for (let layer = 0; layer < config.layers; layer++) {
      using all = cache.layer(layer, 0, 3);
      all?.key.float32().fill(NaN);
      all?.value.float32().fill(NaN);
    }
    const lengths = [3, 41, 17];
    const rows = lengths.map((length, row) =>
      Array.from({ length }, (_, i) => (i * 7 + row * 13 + 1) % config.vocabSize)
    );
    const alone = rows.map(() => new Decoder(runtime, config, weights));
    for (const [row, ids] of rows.entries()) {
      await alone[row].prefill(ids);
      for (let at = 0; at < ids.length; at += 16) {
        await batch.prefill(0, { start: row, ids: ids.slice(at, at + 16) });
      }
      assert.equal(cache.length(row), ids.length);
    }
    for (let step = 0; step < 12; step++) {
      const ids = rows.map((_, row) => (step * 5 + row) % config.vocabSize);
      const together = (await batch.decode(0, { start: 0, rows: 3, ids })).slice();
      for (const [row, id] of ids.entries()) {
        const wanted = await alone[row].decode(id);
        const start = row * config.vocabSize;
        const report = assertClose(together.subarray(start, start + config.vocabSize), wanted, {
          absolute: LOGITS_ABSOLUTE,
          label: `step ${step}, row ${row}`,
        });
        if (Deno.env.get("ORTUNE_REPORT")) console.log(name, step, row, report.maxAbsolute);
      }
      // A new layout and another order keep every sequence.
      if (step === 3) cache.reserve(3, 300);
      if (step === 6) cache.reserve(3, 64);
      if (step === 8) {
        cache.swap(0, 1);
        [alone[0], alone[1]] = [alone[1], alone[0]];
      }
    }
    for (const decoder of alone) decoder[Symbol.dispose]();
  });
}

Deno.test("a greedy reply in a batch has the tokens that it has alone, on base and adapter", async () => {
  using model = adapted();
  const { weights, adapter } = model;
  const slots = [{ weights }, { weights: adapter.weights, linear: adapter.linear }];
  const single = slots.map((slot) => createGenerator({ runtime, config, ...slot }));
  await using batch = new BatchGenerator({ runtime, config, slots, maxWaiting: 99, maxRows: 5 });
  const jobs = prompts(24).map((prompt, i) => ({
    prompt,
    slot: i % 3 === 1 ? 1 : 0,
    options: { maxNewTokens: 5 + (i * 29) % 60, greedy: true } satisfies GenerateOptions,
  }));
  const together = await Promise.all(jobs.map(async ({ prompt, slot, options }) => {
    const reply = batch.generator(slot).generate(prompt, options);
    return { ids: await Array.fromAsync(reply), reason: reply.finishReason };
  }));
  for (const [i, { prompt, slot, options }] of jobs.entries()) {
    const reply = single[slot].generate(prompt, options);
    const ids = await Array.fromAsync(reply);
    assert.deepEqual(together[i], { ids, reason: reply.finishReason }, `reply ${i}`);
  }
  // The slots differ, so that a mix-up would have shown.
  const [one, other] = await Promise.all(
    single.map((generator) =>
      Array.fromAsync(generator.generate([1, 2, 3], { maxNewTokens: 20, greedy: true }))
    ),
  );
  assert.notDeepEqual(one, other);
  assert.deepEqual(batch.load, { ...batch.load, running: 0, waiting: 0, reservedPositions: 0 });
  for (const generator of single) generator[Symbol.dispose]();
});

Deno.test("a seed draws the same tokens in any company", async () => {
  using model = adapted();
  const { weights } = model;
  await using batch = new BatchGenerator({ runtime, config, slots: [{ weights }], maxWaiting: 99 });
  const generator = batch.generator();
  const draw = (seed: number) =>
    Array.fromAsync(
      generator.generate([5, 6, 7], { maxNewTokens: 40, temperature: 1.3, topP: 0.9, seed }),
    );
  const alone = await draw(1);
  const [again, other] = await Promise.all([draw(1), draw(2), ...[3, 4, 5, 6].map(draw)]);
  assert.deepEqual(again, alone);
  assert.notDeepEqual(other, alone);
  using single = createGenerator({ runtime, config, weights });
  const options = { maxNewTokens: 40, temperature: 1.3, topP: 0.9, seed: 1 };
  assert.deepEqual(await Array.fromAsync(single.generate([5, 6, 7], options)), alone);
});

Deno.test("replies join, leave and are aborted at any step without touching the others", async () => {
  using model = adapted();
  const { weights, adapter } = model;
  const slots = [{ weights }, { weights: adapter.weights, linear: adapter.linear }];
  const single = slots.map((slot) => createGenerator({ runtime, config, ...slot }));
  await using batch = new BatchGenerator({
    runtime,
    config,
    slots,
    maxRows: 6,
    maxWaiting: 1000,
    chunk: 16,
    sharedChunk: 4,
  });
  const draw = draws(5);
  const made = new Map<number, { slot: number; prompt: number[]; ids: number[] }>();
  let left = 0;
  await Promise.all(
    prompts(120).map(async (prompt, i) => {
      for (let wait = Math.floor(draw(0, 40)); wait > 0; wait--) {
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      const slot = i % 2;
      const options = { maxNewTokens: 30, greedy: true, eosTokenIds: [] };
      const controller = new AbortController();
      const reply = batch.generator(slot).generate(prompt, {
        ...options,
        signal: controller.signal,
      });
      const stopAt = i % 3 === 0 ? Math.floor(draw(0, 30)) : Infinity;
      if (stopAt === 0) controller.abort();
      const ids: number[] = [];
      for await (const id of reply) {
        ids.push(id);
        if (ids.length !== stopAt) continue;
        left++;
        if (i % 2 === 0) controller.abort();
        else break;
      }
      assert.equal(ids.length, Math.min(stopAt, 30));
      assert.equal(reply.finishReason, stopAt < 30 ? "aborted" : "length");
      made.set(i, { slot, prompt, ids });
    }),
  );
  assert.ok(left > 20, `${left} left`);
  for (const { slot, prompt, ids } of made.values()) {
    const options = { maxNewTokens: 30, greedy: true, eosTokenIds: [] };
    const wanted = await Array.fromAsync(single[slot].generate(prompt, options));
    assert.deepEqual(ids, wanted.slice(0, ids.length));
  }
  for (const generator of single) generator[Symbol.dispose]();
});
Deno.test("a reply begins only where it fits the cache to its end", async () => {
  using model = adapted();
  const { weights } = model;
  const perPosition = cacheBytesPerPosition(config);
  await using batch = new BatchGenerator({
    runtime,
    config,
    slots: [{ weights }],
    cacheBytes: 3 * 256 * perPosition + 5,
  });
  assert.equal(batch.load.positions, 3 * 256);
  assert.equal(batch.window, 512);
  const options = { greedy: true, eosTokenIds: [] };
  const generator = batch.generator();
  const short = [1, 2, 3].map((id) => generator.generate([id], { ...options, maxNewTokens: 20 }));
  assert.deepEqual([batch.load.running, batch.load.waiting], [3, 0]);
  // 512 positions of each row: only one fits.
  const long = generator.generate([4], { ...options, maxNewTokens: 400 });
  assert.deepEqual([batch.load.running, batch.load.waiting], [3, 1]);
  for (const reply of short) assert.equal((await Array.fromAsync(reply)).length, 20);
  assert.equal((await long.next()).done, false);
  assert.deepEqual([batch.load.running, batch.load.waiting], [1, 0]);
  assert.equal((await Array.fromAsync(long)).length, 399);
  assert.throws(
    () => new BatchGenerator({ runtime, config, slots: [{ weights }], cacheBytes: 1000 }),
    /Cannot generate with 1000 bytes of cache: 256 positions take/,
  );
});

Deno.test("a reply takes whole steps of capacity, as do all beside it", async () => {
  using model = adapted();
  const { weights } = model;
  const cacheBytes = 3 * 256 * cacheBytesPerPosition(config);
  const options = { greedy: true, eosTokenIds: [] };
  for (const [needs, running] of [[[256, 256, 256], 3], [[256, 257], 1], [[20, 300], 1]] as const) {
    await using batch = new BatchGenerator({ runtime, config, slots: [{ weights }], cacheBytes });
    const generator = batch.generator();
    for (const need of needs) generator.generate([1], { ...options, maxNewTokens: need - 1 });
    assert.deepEqual(batch.load.running, running, needs.join());
  }
});

Deno.test("as many replies wait as may, and no more", async () => {
  using model = adapted();
  const { weights } = model;
  await using batch = new BatchGenerator({
    runtime,
    config,
    slots: [{ weights }],
    maxRows: 2,
    maxWaiting: 3,
  });
  const generator = batch.generator();
  const options = { maxNewTokens: 10, greedy: true, eosTokenIds: [] };
  const replies = Array.from({ length: 5 }, () => generator.generate([1, 2], options));
  assert.throws(() => generator.generate([1, 2], options), BatchFullError);
  // Who leaves the queue makes room in it.
  await replies[4].return?.();
  const late = generator.generate([1, 2], options);
  const lengths = await Promise.all(
    [...replies, late].map(async (reply) => (await Array.fromAsync(reply)).length),
  );
  assert.deepEqual(lengths, [10, 10, 10, 10, 0, 10]);
});

Deno.test("a long prompt is read between the steps of the others", async () => {
  using model = adapted();
  const { weights } = model;
  await using batch = new BatchGenerator({
    runtime,
    config,
    slots: [{ weights }],
    sharedChunk: 8,
  });
  const generator = batch.generator();
  const options = { greedy: true, eosTokenIds: [] };
  const running = generator.generate([1], { ...options, maxNewTokens: 400 });
  await running.next();
  let first = false;
  const prompt = Array.from({ length: 200 }, (_, i) => i % 60);
  const long = generator.generate(prompt, { ...options, maxNewTokens: 1 });
  const read = long.next().then(() => first = true);
  let meanwhile = 0;
  while (!first) {
    await running.next();
    meanwhile++;
  }
  await read;
  assert.ok(meanwhile >= 200 / 8 - 2, `${meanwhile} tokens while 200 were read`);
  await running.return?.();
});

Deno.test("a failed reply fails alone, and a disposed batch ends all", async () => {
  using model = adapted();
  const { weights } = model;
  const batch = new BatchGenerator({ runtime, config, slots: [{ weights }] });
  const generator = batch.generator();
  assert.throws(() => generator.generate([]), /no tokens/);
  assert.throws(() => generator.generate([64]), /id 64 is not in the vocabulary/);
  assert.throws(() => generator.generate([1], { temperature: -1 }), /temperature -1/);
  assert.throws(() => generator.generate(new Array(512).fill(1)), /512 tokens and the model 512/);
  const norm = weights.tensor("model.norm.weight").float32();
  const good = norm.slice();
  norm.fill(NaN);
  await assert.rejects(Array.fromAsync(generator.generate([1, 2])), /logit of token 0 is NaN/);
  norm.set(good);
  const reply = generator.generate([1, 2], { maxNewTokens: 500, eosTokenIds: [] });
  await reply.next();
  await batch[Symbol.asyncDispose]();
  await Array.fromAsync(reply);
  assert.equal(reply.finishReason, "aborted");
  assert.throws(() => generator.generate([1]), /disposed of/);
});

Deno.test("chat() on a slot of a batch gives the pieces it gives alone", async () => {
  await using folder = await quickstartFolder();
  const tokenizer = await loadTokenizer(`${folder.path}/models/tiny`);
  const { config, weights } = await loadModel(runtime, `${folder.path}/models/tiny`);
  using _weights = weights;
  using single = createGenerator({ runtime, config, weights });
  await using batch = new BatchGenerator({ runtime, config, slots: [{ weights }] });
  const questions = ["Hello", "头疼怎么办？", "What helps against a cough?"];
  const text = async (generator: Parameters<typeof chat>[0], content: string) => {
    const messages = [{ role: "user", content }] as const;
    const reply = chat(generator, tokenizer, { messages, maxNewTokens: 40, greedy: true });
    const pieces = await Array.fromAsync(reply);
    return { pieces, tokens: reply.newTokens, reason: reply.finishReason };
  };
  const together = await Promise.all(questions.map((each) => text(batch.generator(), each)));
  for (const [i, question] of questions.entries()) {
    assert.deepEqual(together[i], await text(single, question));
  }
});

Deno.test("assertRoom() refuses what generate() would, and takes nothing", async () => {
  using weights = randomWeights(runtime, config);
  for (const maxWaiting of [0, 2]) {
    await using batch = new BatchGenerator({
      runtime,
      config,
      slots: [{ weights }],
      maxRows: 2,
      maxWaiting,
    });
    const generator = batch.generator();
    for (let taken = 0; taken < 2 + maxWaiting; taken++) {
      batch.assertRoom();
      generator.generate([1, 2], { maxNewTokens: 400, ignoreEos: true });
    }
    assert.throws(() => batch.assertRoom(), BatchFullError);
    assert.throws(() => generator.generate([1, 2], { maxNewTokens: 400 }), BatchFullError);
    assert.deepEqual([batch.load.running, batch.load.waiting], [2, maxWaiting]);
  }
});
