/** Replies made together on WebGPU: the tokens that each has alone, and logits as the CPU's. */

import assert from "node:assert/strict";
import { BatchCache } from "../../infer/generate/batch_cache.ts";
import { BatchDecoder } from "../../infer/generate/batch_decoder.ts";
import { BatchGenerator } from "../../infer/generate/batch_generator.ts";
import { Decoder } from "../../infer/generate/decoder.ts";
import type { Generation } from "../../infer/generate/generation.ts";
import { createGenerator } from "../../infer/generate/generator.ts";
import { loadAdapter } from "../../lora/load_adapter.ts";
import { cpu } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { fixturePath, loadFixtureModel } from "../support/parity_fixture.ts";
import { runtime } from "../support/webgpu_runtime.ts";

const host = new Runtime({ threads: 2, device: cpu });

// Times the largest logit. Measured on lavapipe: see ORTUNE_REPORT.
const LOGITS = 2e-5;

async function open(on: Runtime, name: string) {
  const model = await loadFixtureModel(on, name);
  await model.expected[Symbol.asyncDispose]();
  return { ...model, [Symbol.dispose]: () => model.weights[Symbol.dispose]() };
}

Deno.test("logits of ragged rows are those of each row alone on the CPU, in any layout and order", async () => {
  using onDevice = await open(runtime, "qwen3");
  using onHost = await open(host, "qwen3");
  const { config, weights } = onDevice;
  using cache = new BatchCache(runtime, config, 4 * 256);
  using batch = new BatchDecoder(runtime, config, { slots: [{ weights }, { weights }], cache });
  cache.reserve(3, 256);
  const rows = [3, 41, 17].map((length, row) =>
    Array.from({ length }, (_, i) => (i * 7 + row * 13 + 1) % config.vocabSize)
  );
  const alone = rows.map(() => new Decoder(host, config, onHost.weights));
  for (const [row, ids] of rows.entries()) {
    await alone[row].prefill(ids);
    for (let at = 0; at < ids.length; at += 16) {
      await batch.prefill(0, { start: row, ids: ids.slice(at, at + 16) });
    }
  }
  let worst = 0;
  for (let step = 0; step < 10; step++) {
    const ids = rows.map((_, row) => (step * 5 + row) % config.vocabSize);
    // The first row of one slot and the others of another, or all of one.
    const runs = step % 2 === 0 ? [[0, 3]] : [[0, 1], [1, 2]];
    const together: Float32Array[] = [];
    for (const [slot, [start, count]] of runs.entries()) {
      const run = { start, rows: count, ids: ids.slice(start, start + count) };
      const logits = await batch.decode(slot, run);
      for (let row = 0; row < count; row++) {
        together.push(logits.slice(row * config.vocabSize, (row + 1) * config.vocabSize));
      }
    }
    for (const [row, id] of ids.entries()) {
      const wanted = await alone[row].decode(id);
      const options = { relativeToMax: LOGITS, label: `step ${step}, row ${row}` };
      worst = Math.max(worst, assertClose(together[row], wanted, options).maxAbsolute);
    }
    if (step === 3) cache.reserve(3, 300);
    if (step === 5) cache.reserve(3, 64);
    if (step === 7) {
      cache.swap(0, 1);
      [alone[0], alone[1]] = [alone[1], alone[0]];
    }
  }
  if (Deno.env.get("ORTUNE_REPORT")) console.log("worst absolute error", worst);
  for (const decoder of alone) decoder[Symbol.dispose]();
});

Deno.test("greedy replies that join and leave have the tokens that they have alone, on base and adapter", async () => {
  using model = await open(runtime, "qwen3");
  const { config, weights: base } = model;
  const path = fixturePath("../lora/qwen3/trained_adapter");
  using adapted = await loadAdapter(runtime, path, { config, base });
  const { weights, linear } = adapted;
  const slots = [{ weights: base }, { weights, linear }];
  const single = slots.map((slot) => createGenerator({ runtime, config, ...slot }));
  await using batch = new BatchGenerator({ runtime, config, slots, maxWaiting: 99, maxRows: 4 });
  const jobs = Array.from({ length: 10 }, (_, i) => ({
    prompt: Array.from(
      { length: 1 + (i * 37) % 60 },
      (_, j) => (i * 11 + j * 7) % config.vocabSize,
    ),
    slot: i % 3 === 1 ? 1 : 0,
    options: { maxNewTokens: 3 + (i * 29) % 20, greedy: true },
  }));
  const together = await Promise.all(
    jobs.map(({ prompt, slot, options }) =>
      Array.fromAsync(batch.generator(slot).generate(prompt, options))
    ),
  );
  for (const [i, { prompt, slot, options }] of jobs.entries()) {
    const ids = await Array.fromAsync(single[slot].generate(prompt, options));
    assert.deepEqual(together[i], ids, `reply ${i}`);
  }
  for (const generator of single) generator[Symbol.dispose]();
});

Deno.test("a prompt's log probabilities are the CPU's, in chunks and in company", async () => {
  using onDevice = await open(runtime, "qwen3");
  using onHost = await open(host, "qwen3");
  const { config, weights } = onDevice;
  const slots = [{ weights }];
  await using batch = new BatchGenerator({ runtime, config, slots, chunk: 40, sharedChunk: 7 });
  using single = createGenerator({ runtime: host, config, weights: onHost.weights });
  const options = { maxNewTokens: 2, greedy: true, ignoreEos: true, promptLogprobs: 1 };
  const told = async (reply: Generation): Promise<Float32Array> => {
    assert.equal((await Array.fromAsync(reply)).length, 2);
    return Float32Array.from(reply.promptLogprobs!, ({ logprob }) => logprob);
  };
  const prompts = [90, 5].map((length) =>
    Array.from({ length }, (_, i) => (i * 7 + length) % config.vocabSize)
  );
  const together = await Promise.all(
    prompts.map((ids) => told(batch.generator().generate(ids, options))),
  );
  for (const [i, ids] of prompts.entries()) {
    const wanted = await told(single.generate(ids, options));
    assert.equal(together[i].length, ids.length - 1);
    assertClose(together[i], wanted, { relativeToMax: LOGITS, label: `prompt ${i}` });
  }
});
