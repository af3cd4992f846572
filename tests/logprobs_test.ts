/** Log probabilities that the server tells: those of the model's own softmax, for the answer's tokens. */

import assert from "node:assert/strict";
import { BatchGenerator } from "../infer/generate/batch_generator.ts";
import { createGenerator } from "../infer/generate/generator.ts";
import { parseGenerationConfig } from "../infer/generate/generation_config.ts";
import { Decoder } from "../infer/generate/decoder.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { readAll } from "../ort/tensor/tensor_source.ts";
import { fixtureServer } from "./support/fixture_server.ts";
import { loadFixtureModel } from "./support/parity_fixture.ts";

const messages = [{ role: "user", content: "What is a fever?" }];

interface Told {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[];
  readonly top_logprobs: readonly Told[];
}

/** What the model itself gives for each new token of a greedy text. */
async function expected(
  promptIds: ArrayLike<number>,
  count: number,
): Promise<{ readonly ids: number[]; readonly logprobs: number[][] }> {
  using runtime = new Runtime({ threads: 2 });
  const { config, weights, expected } = await loadFixtureModel(runtime, "qwen3");
  await expected[Symbol.asyncDispose]();
  using _weights = weights;
  using decoder = new Decoder(runtime, config, weights);
  const ids: number[] = [];
  const logprobs: number[][] = [];
  let logits = await decoder.prefill(promptIds);
  for (let i = 0; i < count; i++) {
    const highest = Math.max(...logits);
    const whole = highest +
      Math.log(logits.reduce((sum, each) => sum + Math.exp(each - highest), 0));
    const row = Array.from(logits, (each) => each - whole);
    logprobs.push(row);
    ids.push(row.indexOf(Math.max(...row)));
    logits = await decoder.decode(ids[i]);
  }
  return { ids, logprobs };
}

Deno.test("completions tell the log probabilities of the model's own softmax", async () => {
  await using server = await fixtureServer();
  const prompt = "A fever is";
  const count = 12;
  const { ids, logprobs } = await expected(server.tokenizer.encode(prompt), count);
  const fields = { prompt, temperature: 0, max_tokens: count, logprobs: 3, ignore_eos: true };
  const { choices: [choice] } = await server.json("/v1/completions", fields);
  const { tokens, token_logprobs, top_logprobs } = choice.logprobs;
  assert.equal(tokens.length, count);
  let worst = 0;
  for (let i = 0; i < count; i++) {
    worst = Math.max(worst, Math.abs(token_logprobs[i] - logprobs[i][ids[i]]));
    const [best] = Object.values(top_logprobs[i]) as number[];
    assert.ok(best >= token_logprobs[i]);
    assert.ok(Object.keys(top_logprobs[i]).length <= 4);
  }
  // Measured: 0 alone in its batch; in company matrix products round otherwise.
  assert.ok(worst < 1e-5, `${worst}`);
});

/**
 * The log probabilities of each row's tokens from the second one on, and of the likeliest token there,
 * by the logits of transformers.
 */
async function fromTransformers(): Promise<{
  readonly ids: number[];
  readonly logprobs: number[];
  readonly best: number[];
}[]> {
  using runtime = new Runtime({ threads: 1 });
  const { weights, expected } = await loadFixtureModel(runtime, "qwen3");
  using _weights = weights;
  await using file = expected;
  const [rows, length, vocab] = file.info("logits").shape;
  const ints = async (name: string) => new BigInt64Array((await readAll(file, name)).buffer);
  const [inputIds, mask] = [await ints("input_ids"), await ints("attention_mask")];
  const logits = new Float32Array((await readAll(file, "logits")).buffer);
  return Array.from({ length: rows }, (_, row) => {
    const at = Array.from({ length }, (_, i) => row * length + i).filter((each) => mask[each]);
    const ids = at.map((each) => Number(inputIds[each]));
    const told = at.slice(0, -1).map((each, i) => {
      const values = [...logits.subarray(each * vocab, (each + 1) * vocab)];
      const whole = Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
      return { own: values[ids[i + 1]] - whole, best: Math.max(...values) - whole };
    });
    return { ids, logprobs: told.map(({ own }) => own), best: told.map(({ best }) => best) };
  });
}

Deno.test("a prompt's log probabilities are transformers', whole or in chunks, alone or in company", async () => {
  using runtime = new Runtime({ threads: 2 });
  const { config, weights, expected } = await loadFixtureModel(runtime, "qwen3");
  await expected[Symbol.asyncDispose]();
  using _weights = weights;
  const rows = await fromTransformers();
  const slots = [{ weights }];
  const generation = parseGenerationConfig({ eos_token_id: 298 }, { config });
  await using whole = new BatchGenerator({ runtime, config, slots, generation });
  await using chunks = new BatchGenerator({
    runtime,
    config,
    slots,
    generation,
    chunk: 40,
    sharedChunk: 7,
  });
  using single = createGenerator({ runtime, config, weights, generation });
  let worst = 0;
  for (const generator of [whole.generator(), chunks.generator(), single]) {
    const options = { maxNewTokens: 3, ignoreEos: true, greedy: true, promptLogprobs: 1 };
    // One after another of the generator of one reply, else all at once.
    const replies = rows.map(({ ids }) => generator.generate(ids, options));
    const made: number[][] = [];
    if (generator === single) {
      for (const reply of replies) made.push(await Array.fromAsync(reply));
    } else made.push(...await Promise.all(replies.map((reply) => Array.fromAsync(reply))));
    for (const [row, { ids, logprobs, best }] of rows.entries()) {
      const told = replies[row].promptLogprobs!;
      assert.deepEqual(told.map(({ id }) => id), ids.slice(1));
      assert.equal(made[row].length, 3);
      assert.equal(replies[row].logprobs, undefined);
      for (const [i, { logprob, top }] of told.entries()) {
        worst = Math.max(worst, Math.abs(logprob - logprobs[i]));
        worst = Math.max(worst, Math.abs(top[0].logprob - best[i]));
      }
    }
  }
  // Measured: 1.9e-6; transformers' own float32 logits differ from its float64 by 2.8e-6.
  assert.ok(worst < 1e-5, `${worst}`);

  const onlyRead = whole.generator().generate(rows[0].ids, { maxNewTokens: 0, promptLogprobs: 0 });
  assert.deepEqual(await Array.fromAsync(onlyRead), []);
  assert.deepEqual([onlyRead.finishReason, onlyRead.promptLogprobs!.length], [
    "length",
    rows[0].ids.length - 1,
  ]);
  assert.throws(() => single.generate([1], { promptLogprobs: 0.5 }), RangeError);
});

Deno.test("a chat's log probabilities are those of its answer's tokens, whole and streamed", async () => {
  await using server = await fixtureServer();
  const fields = { messages, max_tokens: 30, seed: 4, logprobs: true, top_logprobs: 2 };
  const { choices: [choice] } = await server.json("/v1/chat/completions", fields);
  const told: readonly Told[] = choice.logprobs.content;
  const bytes = new Uint8Array(told.flatMap((each) => each.bytes));
  const answer = new TextDecoder().decode(bytes);
  assert.equal(answer, choice.message.content);
  for (const { logprob, top_logprobs } of told) {
    assert.equal(top_logprobs.length, 2);
    assert.ok(logprob <= top_logprobs[0].logprob && top_logprobs[0].logprob <= 0);
  }
  const response = await server.post("/v1/chat/completions", { ...fields, stream: true });
  const events = (await response.text()).split("\n\n").filter((each) => /^data: \{/.test(each));
  const streamed = events.flatMap((each) => {
    const { choices: [{ delta, logprobs }] } = JSON.parse(each.slice("data: ".length));
    return delta.content ? logprobs.content : [];
  });
  assert.deepEqual(streamed.map(({ token }: Told) => token), told.map(({ token }) => token));
});

Deno.test("tokens of the thinking and of what a stop string cuts off are not among them", async () => {
  await using server = await fixtureServer({ suppress_tokens: [] });
  const { tokenizer } = server;
  const close = tokenizer.tokenToId("</think>");
  assert.ok(close !== undefined);
  const thinking = [...messages, { role: "assistant", content: "<think>\nSo" }];
  const fields = { messages: thinking, continue_final_message: true, max_tokens: 40, seed: 1 };
  const bias = { logprobs: true, top_logprobs: 0, ...fields };
  const { choices: [{ message, logprobs }] } = await server.json("/v1/chat/completions", bias);
  const text = logprobs.content.map(({ bytes }: Told) => bytes).flat();
  assert.equal(new TextDecoder().decode(new Uint8Array(text)), message.content);

  const free = { messages, max_tokens: 30, seed: 4, logprobs: true };
  const whole = (await server.json("/v1/chat/completions", free)).choices[0];
  const stop = [...whole.message.content].slice(8, 10).join("");
  const cut = (await server.json("/v1/chat/completions", { ...free, stop })).choices[0];
  assert.ok(cut.logprobs.content.length < whole.logprobs.content.length);
  assert.ok(cut.logprobs.content.length > 0);
});

Deno.test("without being asked for no log probability is told, and a generator has none", async () => {
  await using server = await fixtureServer();
  const { choices: [{ logprobs }] } = await server.json("/v1/chat/completions", {
    messages,
    max_tokens: 3,
  });
  assert.equal(logprobs, null);
  using runtime = new Runtime({ threads: 1 });
  const { config, weights, expected } = await loadFixtureModel(runtime, "qwen3");
  await expected[Symbol.asyncDispose]();
  using _weights = weights;
  const generation = parseGenerationConfig({ eos_token_id: 298 }, { config });
  using generator = createGenerator({ runtime, config, weights, generation });
  const plain = generator.generate([1, 2, 3], { maxNewTokens: 2, ignoreEos: true });
  await Array.fromAsync(plain);
  assert.equal(plain.logprobs, undefined);
  const told = generator.generate([1, 2, 3], { maxNewTokens: 2, ignoreEos: true, topLogprobs: 1 });
  const ids = await Array.fromAsync(told);
  assert.deepEqual(told.logprobs!.map(({ id }) => id), ids);
  assert.throws(() => generator.generate([1], { topLogprobs: -1 }), RangeError);
});
