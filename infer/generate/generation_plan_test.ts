import assert from "node:assert/strict";
import type { GenerationConfig } from "./generation_config.ts";
import { planGeneration } from "./generation_plan.ts";
import type { GenerateOptions } from "./generation.ts";
import { TokenSequence } from "../sampling/token_sequence.ts";

const plan = (
  options: GenerateOptions,
  generation: Partial<GenerationConfig> = {},
  promptLength = 10,
) =>
  planGeneration(options, {
    promptLength,
    positions: 5000,
    generation: { eosTokenIds: [2], sampling: { greedy: true }, notes: [], ...generation },
  });

Deno.test("planGeneration() takes the call's limit, then the model's, then 2048", () => {
  assert.equal(plan({}).limit, 2048);
  assert.equal(plan({}, { maxNewTokens: 7 }).limit, 7);
  assert.equal(plan({}, { maxLength: 17 }).limit, 7);
  assert.equal(plan({}, { maxLength: 17, maxNewTokens: 9 }).limit, 9);
  assert.equal(plan({ maxNewTokens: 5 }, { maxLength: 3, maxNewTokens: 9 }).limit, 5);
  assert.equal(plan({ maxNewTokens: 50_000 }).limit, 4990);
  assert.equal(plan({ atMostNewTokens: 6 }).limit, 6);
  assert.equal(plan({ atMostNewTokens: 6 }, { maxNewTokens: 4 }).limit, 4);
  assert.equal(plan({ atMostNewTokens: 6, maxNewTokens: 8 }).limit, 6);
  assert.throws(() => plan({}, { maxLength: 10 }), /prompt has 10 tokens.*max_length 10/);
  assert.throws(() => plan({ atMostNewTokens: 0 }), /generate 0 tokens/);
  assert.throws(() => plan({ maxNewTokens: -1 }), /generate -1 tokens/);
  // A prompt that fills all positions can be read, and nothing added to it.
  assert.equal(plan({ maxNewTokens: 0 }, {}, 5000).limit, 0);
  // What leaves one position gives one token, whatever is asked for.
  assert.equal(plan({}, {}, 4999).limit, 1);
  assert.equal(plan({ maxNewTokens: 9 }, {}, 4999).limit, 1);
  assert.throws(() => plan({}, {}, 5000), /prompt has 5000 tokens/);
  assert.throws(() => plan({ maxNewTokens: 1 }, {}, 5000), /prompt has 5000 tokens/);
  assert.throws(() => plan({ maxNewTokens: 0 }, {}, 5001), /prompt has 5001 tokens/);
});

Deno.test("planGeneration() ends a reply at the model's tokens and the call's", () => {
  const ends = (options: GenerateOptions) => [...plan(options).ends];
  assert.deepEqual(ends({}), [2]);
  assert.deepEqual(ends({ eosTokenIds: [3] }), [3]);
  assert.deepEqual(ends({ stopTokenIds: [4, 5] }), [2, 4, 5]);
  assert.deepEqual(ends({ stopTokenIds: [4], ignoreEos: true }), [4]);
  // Both kinds are ruled out before a reply has its least length, also where one is ignored.
  const logits = Float32Array.of(1, 2, 9, 3, 8);
  for (const ignoreEos of [false, true]) {
    const { sample } = plan({ minNewTokens: 1, stopTokenIds: [4], ignoreEos });
    const sequence = new TokenSequence([0]);
    assert.equal(sample(logits, sequence), 3);
    sequence.push(3);
    assert.equal(sample(logits, sequence), 2);
  }
});

Deno.test("planGeneration() draws where a call asks for draws, by what it leaves to the model", () => {
  const logits = Float32Array.of(0, 1, 0.9, 0);
  const seen = (options: GenerateOptions, generation?: Partial<GenerationConfig>) => {
    const { sample } = plan({ seed: 1, ...options }, generation);
    return new Set(Array.from({ length: 200 }, () => sample(logits))).size;
  };
  assert.equal(seen({}), 1);
  assert.equal(seen({ minP: 0.8 }), 2);
  assert.equal(seen({ temperature: 2 }), 4);
  assert.equal(seen({}, { sampling: { temperature: 2, topK: 2 } }), 2);
  assert.equal(seen({ topK: 0 }, { sampling: { temperature: 2, topK: 2 } }), 4);
  assert.equal(seen({ minP: undefined }, { sampling: { minP: 0.8 } }), 2);
  // A file without do_sample: what else it says counts for who asks for draws.
  const quiet = { sampling: { greedy: true }, drawing: { temperature: 2, topK: 2 } };
  assert.equal(seen({}, quiet), 1);
  assert.equal(seen({ greedy: false }, quiet), 2);
  assert.equal(seen({ temperature: 3 }, quiet), 2);
  assert.equal(seen({ topK: 0 }, quiet), 4);
  assert.equal(seen({ greedy: true, temperature: 3 }, quiet), 1);
  assert.equal(seen({ greedy: true }, { sampling: { temperature: 2 } }), 1);
});

Deno.test("planGeneration() keeps the model's processors beside the call's options", () => {
  const logits = Float32Array.of(1, 2, 3, 4);
  const model = { sampling: { greedy: true, suppressTokens: [3] } };
  assert.equal(plan({}, model).sample(logits), 2);
  assert.equal(plan({ greedy: true, repetitionPenalty: 2 }, model).sample(logits), 2);
  assert.equal(plan({ suppressTokens: [2] }, model).sample(logits), 3);
});
