/** Replies made together against the same replies made alone, and who has to wait. */

import assert from "node:assert/strict";
import { EventTurns } from "../../model/engine/event_turns.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { draws } from "../../tests/support/random.ts";
import { randomWeights, tinyConfig } from "../../tests/support/tiny_model.ts";
import { cacheBytesPerPosition } from "./batch_cache.ts";
import {
  BatchFullError,
  BatchGenerator,
  type BatchGeneratorOptions,
  type BatchLoad,
} from "./batch_generator.ts";
import { createGenerator } from "./generator.ts";
import type { Generation } from "./generation.ts";

const config = tinyConfig({
  num_hidden_layers: 1,
  max_position_embeddings: 512,
  eos_token_id: 63,
});
const FREE = { greedy: true, eosTokenIds: [] };

/** A runtime with two sets of weights, and batches on them. */
function models() {
  const stack = new DisposableStack();
  const runtime = stack.use(new Runtime({ threads: 1 }));
  const slots = [1, 2].map((seed) => ({
    weights: stack.use(randomWeights(runtime, config, seed)),
  }));
  return {
    runtime,
    slots,
    batch: (options: Partial<BatchGeneratorOptions> = {}) =>
      new BatchGenerator({ runtime, config, slots, ...options }),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

const busy = ({ running, waiting, reservedPositions }: BatchLoad) => [
  running,
  waiting,
  reservedPositions,
];

Deno.test("replies join, leave and are aborted at any step and are what they are alone", async () => {
  using made = models();
  const { runtime, slots } = made;
  const alone = slots.map((slot) => createGenerator({ runtime, config, ...slot }));
  await using batch = made.batch({ maxRows: 4, maxWaiting: 99, chunk: 16, sharedChunk: 4 });
  const draw = draws(5);
  const whole = (low: number, high: number): number => Math.floor(draw(low, high));
  const jobs = Array.from({ length: 40 }, (_, i) => ({
    slot: i % 3 === 1 ? 1 : 0,
    prompt: Array.from({ length: whole(1, 40) }, () => whole(0, 63)),
    /** How many steps it comes later, how long it is, and what is read of it. */
    wait: whole(0, 20),
    maxNewTokens: whole(1, 25),
    stopAt: i % 4 === 0 ? whole(0, 20) : Infinity,
    aborts: i % 8 === 0,
    drawn: i % 5 === 0,
  }));
  const options = ({ maxNewTokens, drawn }: typeof jobs[number]) =>
    drawn ? { maxNewTokens, temperature: 1.5, seed: 3 } : { maxNewTokens, greedy: true };
  const together = await Promise.all(jobs.map(async (job) => {
    for (let wait = job.wait; wait > 0; wait--) {
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const controller = new AbortController();
    const reply = batch.generator(job.slot).generate(job.prompt, {
      ...options(job),
      signal: controller.signal,
    });
    if (job.stopAt === 0) controller.abort();
    const ids: number[] = [];
    for await (const id of reply) {
      ids.push(id);
      if (ids.length !== job.stopAt) continue;
      if (job.aborts) controller.abort();
      else break;
    }
    return { ids, end: [reply.finishReason, reply.endToken] };
  }));
  const ends = new Set<unknown>();
  for (const [i, job] of jobs.entries()) {
    const reply = alone[job.slot].generate(job.prompt, options(job));
    const ids = await Array.fromAsync(reply);
    const left = job.stopAt === 0 || job.stopAt <= ids.length;
    assert.deepEqual(together[i].ids, left ? ids.slice(0, job.stopAt) : ids, `reply ${i}`);
    const [reason, token] = together[i].end;
    ends.add(reason);
    if (!left) assert.deepEqual([reason, token], [reply.finishReason, reply.endToken], `${i}`);
  }
  assert.deepEqual(ends, new Set(["length", "eos", "aborted"]));
  // Rows of replies that were left are free at the next step.
  while (batch.load.running > 0) await new Promise((resolve) => setTimeout(resolve, 0));
  assert.deepEqual(busy(batch.load), [0, 0, 0]);
  for (const generator of alone) generator[Symbol.dispose]();
});

Deno.test("a batch's defaults are 16 rows, 8 that wait, and a GiB", async () => {
  using made = models();
  const first = made.batch();
  const perPosition = cacheBytesPerPosition(config);
  // As many positions as 16 replies can take.
  assert.deepEqual(first.load, {
    running: 0,
    waiting: 0,
    reservedPositions: 0,
    positions: 16 * 512,
    steps: 0,
  });
  assert.ok(16 * 512 * perPosition < 2 ** 30);
  assert.equal(first.window, 512);
  const generator = first.generator();
  const replies = Array.from({ length: 16 }, () => generator.generate([1, 2], FREE));
  assert.deepEqual(busy(first.load), [16, 0, 16 * 512]);
  first.assertRoom();
  for (let i = 0; i < 8; i++) replies.push(generator.generate([1], FREE));
  assert.deepEqual(busy(first.load), [16, 8, 16 * 512]);
  const full = new BatchFullError(
    "Cannot take in another reply: 16 are being made and 8 wait; try again later",
  );
  assert.throws(() => generator.generate([1], FREE), full);
  assert.throws(() => first.assertRoom(), full);
  assert.equal(full.name, "BatchFullError");
  await first[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  for (const reply of replies) {
    assert.deepEqual([await Array.fromAsync(reply), reply.finishReason], [[], "aborted"]);
  }
  const gone = new ReferenceError("Cannot generate: the batch was disposed of");
  assert.throws(() => generator.generate([1]), gone);
});

Deno.test("a batch takes options of its own, and says what is wrong with them", async () => {
  using made = models();
  for (const name of ["maxRows", "chunk", "sharedChunk"]) {
    for (const value of [0, -1, 1.5, NaN]) {
      assert.throws(
        () => made.batch({ [name]: value }),
        new RangeError(`Cannot generate with ${name} ${value}: expected a whole number from 1`),
      );
    }
  }
  const perPosition = cacheBytesPerPosition(config);
  const small = 256 * perPosition;
  assert.throws(
    () => made.batch({ cacheBytes: small - 1 }),
    new RangeError(
      `Cannot generate with ${small - 1} bytes of cache: 256 positions take ${small}`,
    ),
  );
  const sizes = async (options: Partial<BatchGeneratorOptions>) => {
    await using batch = made.batch(options);
    return [batch.load.positions, batch.window];
  };
  assert.deepEqual(await sizes({ cacheBytes: small }), [256, 256]);
  assert.deepEqual(await sizes({ cacheBytes: 2 * small - 1 }), [256, 256]);
  assert.deepEqual(await sizes({ cacheBytes: 3 * small }), [768, 512]);
  assert.deepEqual(await sizes({ maxRows: 1 }), [512, 512]);
  // 1024 bytes a position: a GiB has room for half of what 16 replies could take.
  const large = tinyConfig({
    ...config.raw,
    num_hidden_layers: 8,
    max_position_embeddings: 2 ** 17,
  });
  const weights = randomWeights(made.runtime, large);
  assert.deepEqual(await sizes({ config: large, slots: [{ weights }] }), [2 ** 20, 2 ** 17]);
  weights[Symbol.dispose]();
  const odd = tinyConfig({ ...config.raw, max_position_embeddings: 300 });
  assert.deepEqual(await sizes({ config: odd, maxRows: 2 }), [1024, 300]);
  await using batch = made.batch({ maxRows: 1, maxWaiting: 0 });
  assert.throws(() => batch.generator(2), new RangeError("Cannot generate on slot 2"));
  const one = batch.generator(1).generate([1, 2], { maxNewTokens: 2, ...FREE });
  assert.throws(() => batch.generator().generate([1]), BatchFullError);
  assert.throws(() => batch.assertRoom(), BatchFullError);
  assert.equal((await Array.fromAsync(one)).length, 2);
  batch.assertRoom();
});

Deno.test("a batch says what is wrong with a prompt before it takes it in", async () => {
  using made = models();
  await using batch = made.batch();
  const generator = batch.generator();
  assert.throws(() => generator.generate([]), /the prompt has no tokens/);
  assert.throws(() => generator.generate([64]), /id 64 is not in the vocabulary of 64/);
  assert.throws(() => generator.generate([1], { temperature: -1 }), /temperature -1/);
  assert.throws(
    () => generator.generate(Array(512).fill(1)),
    /the prompt has 512 tokens and the model 512 positions/,
  );
  assert.deepEqual(busy(batch.load), [0, 0, 0]);
  generator[Symbol.dispose]();
  assert.equal((await Array.fromAsync(generator.generate([1], { maxNewTokens: 1 }))).length, 1);
});

Deno.test("a reply begins where it fits beside the others to its end, first come, first served", async () => {
  using made = models();
  const cacheBytes = 3 * 256 * cacheBytesPerPosition(config);
  const running = async (...needs: readonly number[]) => {
    await using batch = made.batch({ cacheBytes });
    const generator = batch.generator();
    for (const need of needs) generator.generate([1], { ...FREE, maxNewTokens: need - 1 });
    return busy(batch.load);
  };
  assert.deepEqual(await running(256, 256, 256), [3, 0, 768]);
  assert.deepEqual(await running(256, 256, 256, 2), [3, 1, 768]);
  assert.deepEqual(await running(256, 257), [1, 1, 256]);
  assert.deepEqual(await running(257, 2), [1, 1, 257]);
  // Whoever comes later waits behind who waits.
  assert.deepEqual(await running(20, 300, 20), [1, 2, 20]);
  await using batch = made.batch({ cacheBytes });
  const generator = batch.generator();
  const short = generator.generate([1], { ...FREE, maxNewTokens: 3 });
  const long = generator.generate([1], { ...FREE, maxNewTokens: 300 });
  const last = generator.generate([1], { ...FREE, maxNewTokens: 2 });
  assert.equal((await Array.fromAsync(short)).length, 3);
  await long.next();
  assert.deepEqual(busy(batch.load), [1, 1, 301]);
  // Who leaves makes room.
  await long.return!();
  assert.equal((await Array.fromAsync(last)).length, 2);
});

Deno.test("replies that fill the cache to its last position end one after another", async () => {
  using made = models();
  await using batch = made.batch({ cacheBytes: 3 * 256 * cacheBytesPerPosition(config) });
  const replies = [2, 9, 5].map((maxNewTokens, slot) =>
    batch.generator(slot % 2).generate([slot, 1], { ...FREE, maxNewTokens })
  );
  const lengths = await Promise.all(
    replies.map(async (reply) => (await Array.fromAsync(reply)).length),
  );
  assert.deepEqual(lengths, [2, 9, 5]);
});

Deno.test("a reply that is left after it was made keeps its end, and gives nothing more", async () => {
  using made = models();
  await using batch = made.batch();
  const reply = batch.generator().generate([1], { ...FREE, maxNewTokens: 3 });
  await Array.fromAsync(batch.generator().generate([2], { ...FREE, maxNewTokens: 9 }));
  assert.equal(reply.finishReason, undefined);
  await reply.return!();
  assert.equal(reply.finishReason, "length");
  assert.deepEqual(await reply.next(), { done: true, value: undefined });
});

Deno.test("who leaves the queue, or comes with a signal that is aborted, takes no room", async () => {
  using made = models();
  await using batch = made.batch({ maxRows: 1, maxWaiting: 1 });
  const generator = batch.generator();
  const options = { ...FREE, maxNewTokens: 4 };
  const aborted = generator.generate([1], { ...options, signal: AbortSignal.abort() });
  assert.equal(aborted.finishReason, "aborted");
  assert.deepEqual(busy(batch.load), [0, 0, 0]);
  const first = generator.generate([1], options);
  const controller = new AbortController();
  const second = generator.generate([1], { ...options, signal: controller.signal });
  assert.throws(() => generator.generate([1], options), BatchFullError);
  assert.throws(() => batch.assertRoom(), BatchFullError);
  controller.abort();
  assert.deepEqual(busy(batch.load), [1, 0, 5]);
  batch.assertRoom();
  const third = generator.generate([1], options);
  await third.return!();
  batch.assertRoom();
  assert.deepEqual(busy(batch.load), [1, 0, 5]);
  const lengths = await Promise.all(
    [aborted, first, second, third].map(async (reply) => (await Array.fromAsync(reply)).length),
  );
  assert.deepEqual(lengths, [0, 4, 0, 0]);
  assert.deepEqual(
    [first, second, third].map(({ finishReason }) => finishReason),
    ["length", "aborted", "aborted"],
  );
});

/** Turns that note how busy a batch is at each step. */
class CountedTurns extends EventTurns {
  readonly seen: BatchLoad[] = [];
  batch: BatchGenerator | undefined;

  override async take(): Promise<void> {
    await super.take();
    if (this.batch) this.seen.push(this.batch.load);
  }
}

Deno.test("each step makes a token of every reply and reads a chunk of a prompt", async () => {
  using made = models();
  const turns = new CountedTurns();
  await using batch = made.batch({ chunk: 10, sharedChunk: 4, turns });
  turns.batch = batch;
  const generator = batch.generator();
  const prompt = Array.from({ length: 25 }, (_, i) => i);
  // Alone: three chunks of a prompt, of which the last gives the first token, and two tokens more.
  assert.equal(
    (await Array.fromAsync(generator.generate(prompt, { ...FREE, maxNewTokens: 3 }))).length,
    3,
  );
  // In the step of the first token the second one is made too.
  assert.equal(batch.load.steps, 4);
  const long = generator.generate([1], { ...FREE, maxNewTokens: 60 });
  await long.next();
  const before = batch.load.steps;
  const other = generator.generate(prompt, { ...FREE, maxNewTokens: 1 });
  assert.equal((await Array.fromAsync(other)).length, 1);
  // Seven chunks of four, beside the first reply.
  const steps = batch.load.steps - before;
  assert.ok(steps >= 7 && steps <= 9, `${steps}`);
  await long.return!();
});

Deno.test("a reply's ids come before its end, and log probabilities with them", async () => {
  using made = models();
  const { runtime, slots } = made;
  using alone = createGenerator({ runtime, config, ...slots[0] });
  await using batch = made.batch({ chunk: 3 });
  const prompt = [1, 2, 3, 4, 5];
  const options = { ...FREE, maxNewTokens: 4, topLogprobs: 2, promptLogprobs: 1 };
  const reply = batch.generator().generate(prompt, options);
  const single = alone.generate(prompt, options);
  const wanted = await Array.fromAsync(single);
  const beside = batch.generator().generate([9], { ...FREE, maxNewTokens: 30 });
  await Array.fromAsync(beside);
  // It is made by now, and not read.
  assert.equal(reply.finishReason, undefined);
  assert.deepEqual(await Array.fromAsync(reply), wanted);
  assert.equal(reply.finishReason, "length");
  const rounded = (list: Generation["logprobs"]) =>
    list!.map(({ id, logprob, top }) => [id, logprob.toFixed(3), top.map((each) => each.id)]);
  assert.equal(reply.logprobs!.length, 4);
  assert.equal(reply.promptLogprobs!.length, 4);
  assert.deepEqual(rounded(reply.logprobs), rounded(single.logprobs));
  assert.deepEqual(rounded(reply.promptLogprobs), rounded(single.promptLogprobs));
  assert.deepEqual([beside.logprobs, beside.promptLogprobs], [undefined, undefined]);
  // The prompt alone.
  const read = batch.generator().generate(prompt, { maxNewTokens: 0, promptLogprobs: 0 });
  assert.deepEqual([await Array.fromAsync(read), read.finishReason], [[], "length"]);
  assert.equal(read.promptLogprobs!.length, 4);
});

Deno.test("a reply whose logits are wrong fails alone", async () => {
  using made = models();
  await using batch = made.batch();
  const norm = made.slots[1].weights.tensor("model.norm.weight").float32();
  const right = batch.generator(0).generate([1], { ...FREE, maxNewTokens: 9 });
  norm.fill(NaN);
  const wrong = batch.generator(1).generate([1], { ...FREE, maxNewTokens: 9 });
  await assert.rejects(Array.fromAsync(wrong), /logit of token 0 is NaN/);
  assert.equal(wrong.finishReason, "aborted");
  // It is told once.
  assert.deepEqual(await wrong.next(), { done: true, value: undefined });
  assert.equal((await Array.fromAsync(right)).length, 9);
});

Deno.test("all replies fail with an error that is none's own, and the next one is made", async () => {
  using made = models();
  class FailingTurns extends EventTurns {
    fails = false;
    override async take(): Promise<void> {
      await super.take();
      if (this.fails) throw new Error("no memory");
    }
  }
  const turns = new FailingTurns();
  await using batch = made.batch({ turns, maxRows: 2 });
  const generator = batch.generator();
  const replies = [1, 2, 3].map((id) => generator.generate([id], { ...FREE, maxNewTokens: 50 }));
  await replies[0].next();
  turns.fails = true;
  for (const reply of replies) {
    await assert.rejects(Array.fromAsync(reply), new Error("no memory"));
    assert.equal(reply.finishReason, "aborted");
  }
  assert.deepEqual(busy(batch.load), [0, 0, 0]);
  turns.fails = false;
  assert.equal(
    (await Array.fromAsync(generator.generate([1], { ...FREE, maxNewTokens: 5 }))).length,
    5,
  );
});
