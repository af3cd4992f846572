import assert from "node:assert/strict";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import { assertPrompt } from "./assert_prompt.ts";
import { copyRows } from "./copy_rows.ts";
import type { GenerateOptions, Generation } from "./generation.ts";
import type { GenerationConfig } from "./generation_config.ts";
import { decoderGenerator, type Generator, type TokenDecoder } from "./generator.ts";

const VOCAB = 8;
const config = tinyConfig({ vocab_size: VOCAB, max_position_embeddings: 10, eos_token_id: 7 });

/** Logits of which one is the largest: a softmax gives it e² ÷ (e² + 7). */
function logitsOf(id: number): Float32Array {
  return new Float32Array(VOCAB).fill(0, 0).with(id, 2);
}

/** A decoder that counts on from the last token of what it is given, and notes its calls. */
function counting(): { readonly decoder: TokenDecoder; readonly calls: string[] } {
  const calls: string[] = [];
  const answer = (name: string, ids: ArrayLike<number>, signal?: AbortSignal) => {
    calls.push(`${name} ${Array.from(ids)}`);
    if (signal?.aborted) return Promise.reject(signal.reason);
    return Promise.resolve(logitsOf((ids[ids.length - 1] + 1) % VOCAB));
  };
  return {
    calls,
    decoder: {
      prefill: (ids, signal) => answer("prefill", ids, signal),
      decode: (id, signal) => answer("decode", [id], signal),
      reset: () => void calls.push("reset"),
      [Symbol.dispose]: () => void calls.push("dispose"),
    },
  };
}

function generatorOf(generation: Partial<GenerationConfig> = {}): Generator & { calls: string[] } {
  const { decoder, calls } = counting();
  const made = decoderGenerator(decoder, {
    config,
    generation: { eosTokenIds: [7], sampling: { greedy: true }, notes: [], ...generation },
  });
  return { ...made, calls };
}

/** All that a reply gives. */
async function whole(reply: Generation): Promise<readonly unknown[]> {
  const ids = await Array.fromAsync(reply);
  return [ids, reply.finishReason, reply.endToken];
}

Deno.test("generate() reads the prompt at once and then token by token, up to an end, which is kept apart", async () => {
  const generator = generatorOf();
  assert.deepEqual(await whole(generator.generate([1, 4])), [[5, 6], "eos", 7]);
  assert.deepEqual(generator.calls, ["reset", "prefill 1,4", "decode 5", "decode 6"]);
});

Deno.test("generate() ends at a limit without reading the last token", async () => {
  const cases: readonly (readonly [GenerateOptions, readonly number[], readonly string[]])[] = [
    [{ maxNewTokens: 0 }, [], []],
    [{ maxNewTokens: 1 }, [1], []],
    [{ maxNewTokens: 3 }, [1, 2, 3], ["decode 1", "decode 2"]],
  ];
  for (const [options, ids, calls] of cases) {
    const generator = generatorOf();
    assert.deepEqual(await whole(generator.generate([0], options)), [ids, "length", undefined]);
    assert.deepEqual(generator.calls, ["reset", "prefill 0", ...calls]);
  }
  // The model's last position.
  const all = await whole(generatorOf().generate([0, 0, 0, 0, 0, 0, 0, 0]));
  assert.deepEqual(all, [[1, 2], "length", undefined]);
});

Deno.test("generate() tells log probabilities of the reply and of the prompt", async () => {
  const generator = generatorOf();
  const reply = generator.generate([1, 2, 5], { topLogprobs: 1, promptLogprobs: 0 });
  assert.deepEqual(await whole(reply), [[6], "eos", 7]);
  // The prompt's are asked for token by token.
  assert.deepEqual(generator.calls, ["reset", "decode 1", "decode 2", "decode 5", "decode 6"]);
  const rounded = (list: Generation["logprobs"]) =>
    list?.map(({ id, logprob, top }) => [id, logprob.toFixed(4), top.map((each) => each.id)]);
  const [likely, other] = [2, 0].map((each) => (each - Math.log(Math.exp(2) + 7)).toFixed(4));
  assert.deepEqual(rounded(reply.promptLogprobs), [[2, likely, []], [5, other, []]]);
  assert.deepEqual(rounded(reply.logprobs), [[6, likely, [6]], [7, likely, [7]]]);
  const plain = generatorOf().generate([1]);
  assert.deepEqual([plain.logprobs, plain.promptLogprobs], [undefined, undefined]);
  assert.deepEqual([plain.finishReason, plain.endToken], [undefined, undefined]);
});

Deno.test("generate() ends as aborted where its signal is, and throws what else is wrong", async () => {
  const generator = generatorOf();
  const controller = new AbortController();
  const reply = generator.generate([0], { signal: controller.signal });
  assert.deepEqual(await reply.next(), { done: false, value: 1 });
  assert.equal(reply.finishReason, undefined);
  controller.abort();
  assert.deepEqual(await reply.next(), { done: true, value: undefined });
  assert.deepEqual([reply.finishReason, reply.endToken], ["aborted", undefined]);
  assert.deepEqual(await reply.next(), { done: true, value: undefined });
  const { decoder } = counting();
  const broken = decoderGenerator(
    { ...decoder, decode: () => Promise.reject(new Error("no memory")) },
    { config, generation: { eosTokenIds: [7], sampling: { greedy: true }, notes: [] } },
  );
  const fails = broken.generate([0], { signal: controller.signal });
  await assert.rejects(Array.fromAsync(broken.generate([0])), new Error("no memory"));
  assert.deepEqual(await whole(fails), [[], "aborted", undefined]);
  // An error of another kind after an abort is no abort.
  const late = new AbortController();
  const other = broken.generate([0], { signal: late.signal });
  await other.next();
  late.abort();
  await assert.rejects(other.next(), new Error("no memory"));
});

Deno.test("generate() makes one reply at a time, and is free after each way to end one", async () => {
  const generator = generatorOf();
  const reply = generator.generate([0]);
  await reply.next();
  await assert.rejects(
    generator.generate([0]).next(),
    new Error(
      "Cannot generate: this generator is making another reply; read that one to its end first, or " +
        "make a second generator",
    ),
  );
  assert.deepEqual(await reply.return!(), { done: true, value: undefined });
  assert.equal(reply.finishReason, "aborted");
  assert.deepEqual(await whole(generator.generate([5])), [[6], "eos", 7]);
  const ended = generator.generate([5]);
  await Array.fromAsync(ended);
  await ended.return!();
  assert.equal(ended.finishReason, "eos");
  for await (const id of generator.generate([0])) if (id === 2) break;
  assert.deepEqual(await whole(generator.generate([6])), [[], "eos", 7]);
});

Deno.test("a generator disposes of its decoder, and reads nothing before a reply is read", () => {
  const generator = generatorOf();
  generator.generate([0]);
  assert.deepEqual(generator.calls, []);
  generator[Symbol.dispose]();
  assert.deepEqual(generator.calls, ["dispose"]);
});

Deno.test("assertPrompt() names the first id that is not in the vocabulary", () => {
  assertPrompt([0, 7], 8);
  assertPrompt(Int32Array.of(7), 8);
  assert.throws(
    () => assertPrompt([], 8),
    new RangeError("Cannot decode: the prompt has no tokens"),
  );
  for (const id of [8, -1, 1.5, NaN]) {
    assert.throws(
      () => assertPrompt([0, id, 9], 8),
      new RangeError(
        `Cannot decode token 1 of 3: id ${id} is not in the vocabulary of 8; use the tokenizer of ` +
          "this model",
      ),
    );
  }
});

Deno.test("copyRows() writes the row of each id, scaled where the model scales it", () => {
  const from = Float32Array.of(1, 2, 3, 4, 5, 6);
  const rows = (embeddingScale: number): Float32Array => {
    const to = new Float32Array(8).fill(-1);
    copyRows({ ...config, hiddenSize: 2, embeddingScale }, { from, to, ids: [2, 0, 2] });
    return to;
  };
  assert.deepEqual(rows(1), Float32Array.of(5, 6, 1, 2, 5, 6, -1, -1));
  assert.deepEqual(rows(0.5), Float32Array.of(2.5, 3, 0.5, 1, 2.5, 3, -1, -1));
});
