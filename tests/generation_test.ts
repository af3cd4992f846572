/** Generation with a cache against Hugging Face's tokens and against the forward pass without one. */

import assert from "node:assert/strict";
import { sequenceGrid } from "../model/engine/batch.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import type { ModelConfig } from "../model/config.ts";
import { BatchCache } from "../infer/generate/batch_cache.ts";
import { BatchDecoder } from "../infer/generate/batch_decoder.ts";
import { Decoder } from "../infer/generate/decoder.ts";
import { readGenerationConfig } from "../infer/generate/generation_config.ts";
import { createGenerator } from "../infer/generate/generator.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { Tensor } from "../ort/runtime/tensor.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import {
  type FixtureModel,
  fixturePath,
  loadFixtureModel,
  readFixtureJson,
  withFixtureFile,
} from "./support/parity_fixture.ts";
import { familyConfig, randomWeights, tinyConfig, WINDOWED } from "./support/tiny_model.ts";

// Measured worst over the six models, three chunk sizes: 6.4e-6.
const LOGITS_ABSOLUTE = 1e-4;
const MODELS = await withFixtureFile("generate.json");

interface GenerateFixture {
  readonly max_new_tokens: number;
  readonly rows: readonly { readonly prompt_ids: number[]; readonly new_ids: number[] }[];
}

const runtime = new Runtime({ threads: 2 });

/** A fixture model whose files are closed and weights freed at the end of the scope. */
async function openFixture(name: string): Promise<FixtureModel & Disposable> {
  const model = await loadFixtureModel(runtime, name);
  await model.expected[Symbol.asyncDispose]();
  return { ...model, [Symbol.dispose]: () => model.weights[Symbol.dispose]() };
}

/** Logits of the sequence's tokens from `from` on, by the engine that trains. */
async function uncachedLogits(
  { config, weights }: Pick<FixtureModel, "config" | "weights">,
  ids: readonly number[],
  from: number,
): Promise<Float32Array> {
  using engine = new TrainingEngine(runtime, config, weights);
  const tokens = Int32Array.from({ length: ids.length - from }, (_, i) => from + i);
  return (await engine.logits(sequenceGrid(ids), tokens)).slice();
}

for (const name of MODELS) {
  Deno.test(`${name}: greedy tokens are Hugging Face's`, async () => {
    using model = await openFixture(name);
    const { rows, max_new_tokens: maxNewTokens } = await readFixtureJson<GenerateFixture>(
      `${name}/generate.json`,
    );
    const { config, weights } = model;
    const generation = await readGenerationConfig(fixturePath(name), { config });
    using generator = createGenerator({ runtime, config, weights, generation });
    for (const { prompt_ids, new_ids } of rows) {
      const reply = generator.generate(prompt_ids, { maxNewTokens, greedy: true });
      const ids = await Array.fromAsync(reply);
      // Hugging Face gives out the token that ended the reply, too.
      const ended = generation.eosTokenIds.includes(new_ids.at(-1)!);
      assert.deepEqual(ids, ended ? new_ids.slice(0, -1) : new_ids);
      assert.equal(reply.finishReason, ended ? "eos" : "length");
    }
  });

  Deno.test(`${name}: logits with a cache, in chunks or not, are those without one`, async () => {
    using model = await openFixture(name);
    const { config, weights } = model;
    const { rows } = await readFixtureJson<GenerateFixture>(`${name}/generate.json`);
    const { prompt_ids: prompt, new_ids: more } = rows[1];
    const ids = [...prompt, ...more];
    const wanted = await uncachedLogits(model, ids, prompt.length - 1);
    for (const chunk of [256, 16, 7]) {
      using decoder = new Decoder(runtime, config, weights, { chunk });
      let logits = await decoder.prefill(prompt);
      for (let i = 0;; i++) {
        const start = i * config.vocabSize;
        const report = assertClose(logits, wanted.subarray(start, start + config.vocabSize), {
          absolute: LOGITS_ABSOLUTE,
          label: `logits ${i}, chunk ${chunk}`,
        });
        if (Deno.env.get("ORTUNE_REPORT")) console.log(name, chunk, i, report.maxAbsolute);
        if (i === more.length) break;
        logits = await decoder.decode(more[i]);
      }
      assert.equal(decoder.position, ids.length);
    }
  });
}

const SHORT = { max_position_embeddings: 32 };
const CACHED: Readonly<Record<string, ModelConfig>> = {
  "with windows": tinyConfig({ ...WINDOWED, ...SHORT }),
  "with states": familyConfig("qwen3_5_text", SHORT),
};
for (const [title, config] of Object.entries(CACHED)) {
  Deno.test(`${title}, logits with a cache are those without one, of one sequence or of several`, async () => {
    using weights = randomWeights(runtime, config);
    const ids = Array.from({ length: 20 }, (_, i) => (i * 37) % config.vocabSize);
    const wanted = await uncachedLogits({ config, weights }, ids, 11);
    const row = (i: number) => wanted.subarray(i * config.vocabSize, (i + 1) * config.vocabSize);
    for (const attention of ["fused", "plain"] as const) {
      using decoder = new Decoder(runtime, config, weights, { chunk: 5, attention });
      for (let i = 0; i < 9; i++) {
        const logits = await decoder.prefill(i === 0 ? ids.slice(0, 12) : [ids[11 + i]]);
        assertClose(logits, row(i), { absolute: LOGITS_ABSOLUTE, label: `${attention} ${i}` });
      }
    }
    using cache = new BatchCache(runtime, config, 64);
    cache.reserve(2, 32);
    using batch = new BatchDecoder(runtime, config, { slots: [{ weights }], cache });
    const prompts = [12, 9];
    for (const [start, length] of prompts.entries()) {
      await batch.prefill(0, { start, ids: ids.slice(0, length) });
    }
    for (let i = 0; i < 8; i++) {
      const next = prompts.map((length) => ids[length + i]);
      const logits = await batch.decode(0, { start: 0, rows: 2, ids: next });
      const first = logits.subarray(0, config.vocabSize);
      assertClose(first, row(i + 1), { absolute: LOGITS_ABSOLUTE, label: `row ${i}` });
      if (i < 3) continue;
      const second = logits.subarray(config.vocabSize);
      assertClose(second, row(i - 2), { absolute: LOGITS_ABSOLUTE, label: `other row ${i}` });
    }
  });
}

Deno.test("Decoder writes each position of the cache once", async () => {
  for (const name of ["qwen3", "smollm"]) {
    using model = await openFixture(name);
    const { config, weights } = model;
    using decoder = new Decoder(runtime, config, weights);
    await decoder.prefill([1, 2, 3, 4, 5]);
    const { capacity } = decoder.cache;
    for (let id = 10; id < 20; id++) {
      const position = decoder.position;
      const before = snapshot(decoder);
      await decoder.decode(id);
      const after = snapshot(decoder);
      before.forEach((values, tensor) => {
        const width = values.length / capacity / config.kvHeads;
        const changed = new Set<number>();
        values.forEach((value, i) => {
          if (!Object.is(value, after[tensor][i])) changed.add(Math.floor(i / width) % capacity);
        });
        assert.deepEqual([...changed], [position]);
      });
    }
  }
});

function snapshot({ cache, config }: Decoder): Float32Array[] {
  return Array.from({ length: config.layers }, (_, layer) => {
    const { key, value } = cache.layer(layer)!;
    return [key.float32().slice(), value.float32().slice()];
  }).flat();
}

Deno.test("Decoder keeps the sequence when its cache grows", async () => {
  using model = await openFixture("qwen3");
  const { config, weights } = model;
  const ids = Array.from({ length: 300 }, (_, i) => (i * 37) % config.vocabSize);
  const wanted = await uncachedLogits(model, ids, ids.length - 1);
  using decoder = new Decoder(runtime, config, weights);
  await decoder.prefill(ids.slice(0, 250));
  const { capacity } = decoder.cache;
  let logits = new Float32Array();
  for (const id of ids.slice(250)) logits = Float32Array.from(await decoder.decode(id));
  assert.ok(decoder.cache.capacity > capacity);
  assertClose(logits, wanted, { absolute: LOGITS_ABSOLUTE, label: "logits" });
});

Deno.test("Decoder goes on after an aborted chunk as if it had not begun", async () => {
  using model = await openFixture("qwen2");
  const { config, weights } = model;
  using decoder = new Decoder(runtime, config, weights, { chunk: 4 });
  const first = Float32Array.from(await decoder.prefill([1, 2, 3, 4, 5, 6]));
  decoder.reset();
  await decoder.prefill([1, 2, 3]);
  const aborted = AbortSignal.abort(new Error("enough"));
  await assert.rejects(decoder.prefill([9, 9], aborted), /enough/);
  assert.equal(decoder.position, 3);
  const logits = await decoder.prefill([4, 5, 6]);
  assertClose(logits, first, { absolute: LOGITS_ABSOLUTE, label: "logits" });
});

Deno.test("Decoder takes a prompt of exactly its last position, and no token more", async () => {
  using model = await openFixture("llama");
  const { config, weights } = model;
  using decoder = new Decoder(runtime, config, weights);
  const logits = await decoder.prefill(new Array(config.maxPositions).fill(1));
  assert.ok(logits.every(Number.isFinite));
  assert.equal(decoder.position, config.maxPositions);
  await assert.rejects(decoder.decode(1), /model has 512 positions/);
});

Deno.test("scores of hundreds see no later token, in training's attention and in generation's", async () => {
  const config = tinyConfig();
  using weights = randomWeights(runtime, config);
  for (const name of weights.names()) {
    // Norms of queries and keys: their product is up to 30² · headDim.
    if (/[qk]_norm/.test(name)) weights.tensor(name).float32().fill(30);
  }
  const ids = Array.from({ length: 12 }, (_, i) => (i * 37 + 5) % config.vocabSize);
  using engine = new TrainingEngine(runtime, config, weights);
  const all = (await engine.logits(sequenceGrid(ids), Int32Array.from(ids.keys()))).slice();
  using plain = new Decoder(runtime, config, weights, { attention: "plain" });
  for (let length = 1; length <= ids.length; length++) {
    const row = all.subarray((length - 1) * config.vocabSize, length * config.vocabSize);
    const alone = await uncachedLogits({ config, weights }, ids.slice(0, length), length - 1);
    // Measured 0: products of other sizes might round otherwise.
    assertClose(row, alone, { absolute: 1e-2, label: `training, ${length} tokens` });
    plain.reset();
    const cached = await plain.prefill(ids.slice(0, length));
    assertClose(cached, alone, { absolute: 1e-2, label: `generation, ${length} tokens` });
  }
});

for (const attention of ["fused", "plain"] as const) {
  Deno.test(`Decoder with ${attention} attention reads nothing that memory held before`, async () => {
    const config = tinyConfig();
    using weights = randomWeights(runtime, config);
    const ids = Array.from({ length: 250 }, (_, i) => (i * 37) % config.vocabSize);
    // Beyond the first capacity of 256, so that the cache is copied.
    const run = async (): Promise<number[]> => {
      using decoder = new Decoder(runtime, config, weights, { attention, chunk: 100 });
      const logits = [...await decoder.prefill(ids)];
      for (let id = 0; id < 10; id++) logits.push(...await decoder.decode(id));
      return logits;
    };
    const wanted = await run();
    using _poison = poisonedMemory();
    assert.ok(wanted.every(Number.isFinite));
    assert.deepEqual(await run(), wanted);
  });
}

/** Fills tensors with NaN where they are allocated, until it is disposed of. */
function poisonedMemory(): Disposable {
  const { allocate } = Tensor;
  Object.assign(Tensor, {
    allocate(...args: Parameters<typeof Tensor.allocate>): Tensor {
      const tensor = allocate(...args);
      if (tensor.dtype === "float32") tensor.float32().fill(NaN);
      return tensor;
    },
  });
  return { [Symbol.dispose]: () => void Object.assign(Tensor, { allocate }) };
}

Deno.test("Decoder says what is wrong with its tokens", async () => {
  using model = await openFixture("llama");
  const { config, weights } = model;
  const decoder = new Decoder(runtime, config, weights);
  await assert.rejects(decoder.prefill([]), /no tokens/);
  await assert.rejects(decoder.prefill([1, config.vocabSize]), /token 1 of 2: id .* vocabulary/);
  await assert.rejects(
    decoder.prefill(new Array(config.maxPositions + 1).fill(1)),
    /model has 512 positions/,
  );
  decoder[Symbol.dispose]();
  await assert.rejects(decoder.decode(1), /disposed of/);
});

Deno.test("generate() draws the same tokens with the same seed, and others with another", async () => {
  using model = await openFixture("qwen3");
  const { config, weights } = model;
  using generator = createGenerator({ runtime, config, weights });
  const draw = (seed: number): Promise<number[]> =>
    Array.fromAsync(
      generator.generate([5, 6, 7], { maxNewTokens: 20, temperature: 1.5, topP: 0.95, seed }),
    );
  const [first, again, other] = [await draw(1), await draw(1), await draw(2)];
  assert.deepEqual(first, again);
  assert.notDeepEqual(first, other);
});

Deno.test("generate() ends within a token of an abort", async () => {
  using model = await openFixture("qwen3");
  const { config, weights } = model;
  using generator = createGenerator({ runtime, config, weights });
  const controller = new AbortController();
  const options = { maxNewTokens: 50, eosTokenIds: [], signal: controller.signal };
  const reply = generator.generate([5, 6, 7], options);
  const ids: number[] = [];
  for await (const id of reply) if (ids.push(id) === 3) controller.abort();
  assert.equal(ids.length, 3);
  assert.equal(reply.finishReason, "aborted");
  // The generator is free for the next reply.
  const next = generator.generate([5, 6, 7], { maxNewTokens: 3, eosTokenIds: [] });
  assert.deepEqual(await Array.fromAsync(next), ids);
});

Deno.test("generate() is over when its reader leaves", async () => {
  using model = await openFixture("qwen3");
  const { config, weights } = model;
  using generator = createGenerator({ runtime, config, weights });
  const reply = generator.generate([5, 6, 7], { maxNewTokens: 50, eosTokenIds: [] });
  for await (const _ of reply) break;
  assert.equal(reply.finishReason, "aborted");
  assert.equal((await Array.fromAsync(generator.generate([5], { maxNewTokens: 1 }))).length, 1);
});

Deno.test("generate() makes one reply at a time", async () => {
  using model = await openFixture("qwen3");
  const { config, weights } = model;
  using generator = createGenerator({ runtime, config, weights });
  const reply = generator.generate([5, 6, 7], { maxNewTokens: 2, eosTokenIds: [] });
  await reply.next();
  await assert.rejects(generator.generate([5]).next(), /making another reply/);
  assert.equal((await Array.fromAsync(reply)).length, 1);
});

Deno.test("generate() ends at the model's last position", async () => {
  using model = await openFixture("qwen3");
  const { config, weights } = model;
  using generator = createGenerator({ runtime, config, weights });
  const prompt = new Array(config.maxPositions - 2).fill(7);
  const reply = generator.generate(prompt, { maxNewTokens: 10, eosTokenIds: [] });
  assert.equal((await Array.fromAsync(reply)).length, 2);
  assert.equal(reply.finishReason, "length");
  assert.throws(
    () => generator.generate([...prompt, 1, 2]),
    /prompt has 512 tokens and the model 512/,
  );
});

Deno.test("generate() checks its options before any work", async () => {
  using model = await openFixture("qwen3");
  const { config, weights } = model;
  using generator = createGenerator({ runtime, config, weights });
  assert.throws(() => generator.generate([1], { maxNewTokens: -1 }), /generate -1 tokens/);
  assert.throws(() => generator.generate([1], { temperature: 0 }), /temperature 0/);
  assert.throws(() => generator.generate([1], { seed: -1 }), /seed/);
});
