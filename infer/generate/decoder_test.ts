/** Decoders of one sequence and of several against the engine that trains, which has no cache. */

import assert from "node:assert/strict";
import type { ModelConfig } from "../../model/config.ts";
import { sequenceGrid } from "../../model/engine/batch.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import { TrainingEngine } from "../../model/engine/training_engine.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import {
  familyConfig,
  randomWeights,
  tinyConfig,
  WINDOWED,
} from "../../tests/support/tiny_model.ts";
import { BatchCache } from "./batch_cache.ts";
import { BatchDecoder } from "./batch_decoder.ts";
import { Decoder } from "./decoder.ts";

// Measured worst: 2e-6.
const ABSOLUTE = 1e-4;
const SHORT = { max_position_embeddings: 300 };

/** Ids that are all different from their neighbours, the last of the vocabulary among them. */
function idsOf(config: ModelConfig, length: number, first = 0): readonly number[] {
  return Array.from({ length }, (_, i) => (first + i * 37 + 63) % config.vocabSize);
}

/** Logits after each token of a sequence. */
async function uncached(
  runtime: Runtime,
  { config, weights }: { readonly config: ModelConfig; readonly weights: ParameterStore },
  ids: readonly number[],
): Promise<(token: number) => Float32Array> {
  using engine = new TrainingEngine(runtime, config, weights);
  const all = (await engine.logits(sequenceGrid(ids), Int32Array.from(ids.keys()))).slice();
  return (token) => all.subarray(token * config.vocabSize, (token + 1) * config.vocabSize);
}

const MODELS: readonly (readonly [string, ModelConfig])[] = [
  ["Qwen3 with a window", tinyConfig({ ...WINDOWED, ...SHORT })],
  ["Gemma 3", familyConfig("gemma3_text", SHORT)],
  ["Qwen3.5", familyConfig("qwen3_5_text", SHORT)],
];

for (const [name, config] of MODELS) {
  Deno.test(`${name}: a decoder's logits are those without a cache`, async () => {
    using runtime = new Runtime({ threads: 1 });
    using weights = randomWeights(runtime, config);
    const ids = idsOf(config, 12);
    const wanted = await uncached(runtime, { config, weights }, ids);
    for (const attention of ["fused", "plain"] as const) {
      using decoder = new Decoder(runtime, config, weights, { chunk: 3, attention });
      const same = (logits: Float32Array, token: number): void =>
        void assertClose(logits, wanted(token), {
          absolute: ABSOLUTE,
          label: `${attention} ${token}`,
        });
      assert.equal(decoder.position, 0);
      same(await decoder.prefill(ids.slice(0, 7)), 6);
      assert.equal(decoder.position, 7);
      same(await decoder.decode(ids[7]), 7);
      same(await decoder.prefill(ids.slice(8, 10)), 9);
      same(await decoder.decode(ids[10]), 10);
      same(await decoder.decode(ids[11]), 11);
      assert.equal(decoder.position, 12);
      // Another sequence in the same memory.
      decoder.reset();
      assert.equal(decoder.position, 0);
      same(await decoder.prefill(ids.slice(0, 3)), 2);
      // One that is ended leaves the sequence as it was.
      const enough = new Error("enough");
      await assert.rejects(decoder.prefill([1, 2], AbortSignal.abort(enough)), enough);
      await assert.rejects(decoder.decode(1, AbortSignal.abort(enough)), enough);
      assert.equal(decoder.position, 3);
      same(await decoder.prefill(ids.slice(3, 5)), 4);
    }
  });

  Deno.test(`${name}: rows that are run together have the logits that they have alone`, async () => {
    using runtime = new Runtime({ threads: 1 });
    using weights = randomWeights(runtime, config);
    const rows = [0, 20, 41].map((first) => idsOf(config, 9, first));
    const wanted = await Promise.all(
      rows.map((ids) => uncached(runtime, { config, weights }, ids)),
    );
    using cache = new BatchCache(runtime, config, 60);
    using batch = new BatchDecoder(runtime, config, { slots: [{ weights }], cache });
    cache.reserve(3, 12);
    const lengths = [4, 2, 3];
    for (const [row, ids] of rows.entries()) {
      const told: number[] = [];
      // The prompt in one piece or in two, its logits told or not.
      const first = row === 1 ? 0 : 1;
      if (first > 0) await batch.prefill(0, { start: row, ids: ids.slice(0, first) });
      const logits = await batch.prefill(0, {
        start: row,
        ids: ids.slice(first, lengths[row]),
        ...row === 2 && {
          onLogits: (token: number, each: Float32Array) => {
            told.push(token);
            assertClose(each, wanted[row](first + token), { absolute: ABSOLUTE, label: "told" });
          },
        },
      });
      const last = wanted[row](lengths[row] - 1);
      assertClose(logits, last, { absolute: ABSOLUTE, label: `prompt ${row}` });
      assert.deepEqual(told, row === 2 ? [0, 1] : []);
      assert.equal(cache.length(row), lengths[row]);
    }
    const step = async (start: number, count: number): Promise<void> => {
      const ids = Array.from({ length: count }, (_, i) => rows[start + i][lengths[start + i]]);
      const logits = await batch.decode(0, { start, rows: count, ids });
      assert.equal(logits.length, count * config.vocabSize);
      for (let i = 0; i < count; i++) {
        const token = lengths[start + i]++;
        const own = logits.subarray(i * config.vocabSize, (i + 1) * config.vocabSize);
        assertClose(own, wanted[start + i](token), {
          absolute: ABSOLUTE,
          label: `${start + i} of ${count}, token ${token}`,
        });
        assert.equal(cache.length(start + i), token + 1);
      }
    };
    await step(0, 3);
    await step(1, 2);
    await step(0, 1);
    const enough = new Error("enough");
    const ended = { start: 0, rows: 2, ids: [1, 1], signal: AbortSignal.abort(enough) };
    await assert.rejects(batch.decode(0, ended), enough);
    await step(0, 3);
    cache.reserve(3, 15);
    await step(2, 1);
    await step(0, 2);
  });
}

Deno.test("a decoder goes on where its cache grows, up to the model's positions", async () => {
  const config = tinyConfig(SHORT);
  using runtime = new Runtime({ threads: 1 });
  using weights = randomWeights(runtime, config);
  const ids = idsOf(config, 300);
  const wanted = await uncached(runtime, { config, weights }, ids);
  for (const attention of ["fused", "plain"] as const) {
    using decoder = new Decoder(runtime, config, weights, { attention });
    await decoder.prefill(ids.slice(0, 255));
    assert.equal(decoder.cache.capacity, 256);
    for (const token of [255, 256, 257]) {
      const logits = await decoder.decode(ids[token]);
      assertClose(logits, wanted(token), { absolute: ABSOLUTE, label: `${token}` });
    }
    assert.equal(decoder.cache.capacity, 300);
    const logits = await decoder.prefill(ids.slice(258));
    assertClose(logits, wanted(299), { absolute: ABSOLUTE, label: "the last one" });
    await assert.rejects(
      decoder.decode(1),
      new RangeError(
        "Cannot hold 301 tokens: the model has 300 positions; shorten the prompt or generate fewer tokens",
      ),
    );
  }
});

Deno.test("each slot of a batch has its own weights", async () => {
  const config = tinyConfig(SHORT);
  using runtime = new Runtime({ threads: 1 });
  using one = randomWeights(runtime, config, 1);
  using other = randomWeights(runtime, config, 2);
  const ids = idsOf(config, 40);
  using cache = new BatchCache(runtime, config, 100);
  const slots = [{ weights: one }, { weights: other }];
  using batch = new BatchDecoder(runtime, config, { slots, cache });
  cache.reserve(2, 50);
  for (const [slot, { weights }] of slots.entries()) {
    const wanted = await uncached(runtime, { config, weights }, ids);
    // More tokens than the head takes at once.
    const told: number[] = [];
    const onLogits = (token: number, logits: Float32Array): void => {
      told.push(token);
      assertClose(logits, wanted(token), { absolute: ABSOLUTE, label: `slot ${slot} ${token}` });
    };
    await batch.prefill(slot, { start: slot, ids: ids.slice(0, 39), onLogits });
    assert.deepEqual(told, Array.from({ length: 39 }, (_, token) => token));
    const logits = await batch.decode(slot, { start: slot, ids: [ids[39]] });
    assertClose(logits, wanted(39), { absolute: ABSOLUTE, label: `slot ${slot}` });
  }
});

Deno.test("a decoder says what is wrong with its options and tokens, and that it is gone", async () => {
  const config = tinyConfig(SHORT);
  using runtime = new Runtime({ threads: 1 });
  using weights = randomWeights(runtime, config);
  for (const chunk of [0, -1, 1.5, NaN]) {
    assert.throws(
      () => new Decoder(runtime, config, weights, { chunk }),
      new RangeError(`Cannot decode in chunks of ${chunk} tokens: expected 1 or more`),
    );
  }
  const decoder = new Decoder(runtime, config, weights, { chunk: 1 });
  await assert.rejects(decoder.prefill([]), /the prompt has no tokens/);
  await assert.rejects(decoder.prefill([1, 64]), /token 1 of 2: id 64 is not in the vocabulary/);
  await assert.rejects(decoder.decode(64), /id 64 is not in the vocabulary/);
  assert.equal(decoder.position, 0);
  await decoder.prefill([1, 2]);
  decoder[Symbol.dispose]();
  decoder[Symbol.dispose]();
  const gone = new ReferenceError("Cannot decode: the decoder was disposed of");
  await assert.rejects(decoder.prefill([1]), gone);
  await assert.rejects(decoder.decode(1), gone);
});
