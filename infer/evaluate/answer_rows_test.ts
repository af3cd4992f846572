import assert from "node:assert/strict";
import { IGNORED } from "../../data/examples/example.ts";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { randomWeights, tinyConfig } from "../../tests/support/tiny_model.ts";
import { cacheBytesPerPosition } from "../generate/batch_cache.ts";
import type { GenerateOptions, Generation } from "../generate/generation.ts";
import { parseGenerationConfig } from "../generate/generation_config.ts";
import type { Generator } from "../generate/generator.ts";
import { answerRows, type AnswerRowsOptions, type RowReply } from "./answer_rows.ts";
import { parseEvalRow } from "./asked_row.ts";
import { type EncodedRow, encodeRow, type EncodeRowOptions } from "./encode_row.ts";
import { formatKeptReply, parseKeptReply } from "./kept_reply.ts";
import { createRowGenerator, rowWindow } from "./row_generator.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());
const where = { file: "rows.jsonl", line: 3 };
const HOW: EncodeRowOptions = { tokenizer, system: "", enableThinking: undefined, window: 200 };

function encoded(row: Record<string, unknown>, how: Partial<EncodeRowOptions> = {}): EncodedRow {
  return encodeRow(parseEvalRow(row, where), { ...HOW, ...how });
}

const text = (ids: ArrayLike<number>): string => tokenizer.decode(ids);

Deno.test("encodeRow() asks a question by the template, with the reference behind it", () => {
  const { promptIds, example, key, ...rest } = encoded({ question: "Q?", think: "T", answer: "A" });
  const prompt = "<|im_start|>user\nQ?<|im_end|>\n<|im_start|>assistant\n";
  const thinking = "<think>\nT\n</think>";
  assert.equal(text(promptIds), prompt);
  assert.equal(text(example.inputIds), `${prompt}${thinking}\n\nA<|im_end|>`);
  assert.equal(example.promptLength, promptIds.length);
  assert.deepEqual(rest, {
    question: "Q?",
    opened: false,
    reference: { think: "T", answer: "A" },
    // Tags are one token each.
    thinkTokens: 5,
  });
  assert.match(key, /^[0-9a-f]{16}$/);
  const plain = encoded({ question: "Q?", answer: "A" });
  // The template writes an empty block.
  assert.deepEqual([plain.thinkTokens, plain.reference], [4, { think: "", answer: "A" }]);
});

Deno.test("encodeRow() adds the system prompt and the switch of thinking where a row has none", () => {
  const row = { question: "Q?", answer: "A" };
  const prompt = (how: Partial<EncodeRowOptions>, own = row): string =>
    text(encoded(own, how).promptIds);
  assert.match(prompt({ system: "S" }), /^<\|im_start\|>system\nS<\|im_end\|>/);
  assert.match(prompt({ enableThinking: false }), /assistant\n<think>\n\n<\/think>\n\n$/);
  assert.match(prompt({}), /assistant\n$/);
  // A template that opens the thinking by itself.
  const opening = createTokenizer({
    ...byteTokenizerFiles(),
    chatTemplate: "{% for m in messages %}[{{ m.content }}]{% endfor %}" +
      "{% if add_generation_prompt %}<think>\n{% endif %}",
  });
  assert.equal(encoded(row, { tokenizer: opening }).opened, true);
});

Deno.test("encodeRow() finds the end of thinking where the tag is text of several tokens", () => {
  const { tokenizerJson, ...files } = byteTokenizerFiles();
  const added = tokenizerJson.added_tokens as readonly { readonly content: string }[];
  const plain: Tokenizer = createTokenizer({
    ...files,
    tokenizerJson: {
      ...tokenizerJson,
      added_tokens: added.filter(({ content }) => !content.includes("think")),
    },
  });
  const count = (row: Record<string, unknown>): number =>
    encoded(row, { tokenizer: plain }).thinkTokens;
  assert.equal(count({ question: "Q", think: "T", answer: "A" }), "<think>\nT\n</think>".length);
  assert.equal(count({ question: "Q", answer: "A" }), "<think>\n\n</think>".length);
  assert.equal(count({ prompt: "Q", completion: "A" }), 0);
  const chatTemplate = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
  const without = createTokenizer({ ...byteTokenizerFiles(), chatTemplate });
  assert.equal(encoded({ question: "Q", answer: "A" }, { tokenizer: without }).thinkTokens, 0);
});

Deno.test("encodeRow() takes a plain text as it is", () => {
  const { promptIds, example, ...rest } = encoded({ prompt: "Sky", completion: " blue" });
  assert.deepEqual([text(promptIds), text(example.inputIds)], ["Sky", "Sky blue<|im_end|>"]);
  assert.equal(example.promptLength, 3);
  assert.deepEqual({ ...rest, key: "" }, {
    question: "Sky",
    opened: false,
    reference: { think: "", answer: " blue" },
    thinkTokens: 0,
    key: "",
  });
});

Deno.test("encodeRow() has another key for whatever is asked or compared otherwise", () => {
  const row = { question: "Q?", think: "T", answer: "A" };
  const keys = [
    encoded(row),
    encoded({ ...row, question: "R?" }),
    encoded({ ...row, think: "U" }),
    encoded({ ...row, answer: "B" }),
    encoded(row, { system: "S" }),
    encoded({ question: "Q?", A: "1", B: "2", answer: "A" }),
    encoded({ question: "Q?", A: "1", B: "2", answer: "B" }),
  ].map(({ key }) => key);
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(encoded(row).key, keys[0]);
});

Deno.test("encodeRow() refuses prompts that leave no room, and tells the row's place", () => {
  const row = { question: "Q?", answer: "A" };
  const { length } = encoded(row).promptIds;
  encoded(row, { window: length + 1 });
  assert.throws(() => encoded(row, { window: length }), {
    name: "JsonlError",
    message:
      `rows.jsonl:3: expected a prompt that leaves room for a reply, got ${length} tokens of the ` +
      `model's ${length}; shorten or remove the row`,
  });
  const refusing = createTokenizer({
    ...byteTokenizerFiles(),
    chatTemplate: "{{ raise_exception('no chats') }}",
  });
  assert.throws(() => encoded(row, { tokenizer: refusing }), {
    name: "JsonlError",
    message: /^rows\.jsonl:3: .*no chats/,
  });
});

/** A generator that says what a test writes, and notes what it is asked. */
function saying(reply: (prompt: string, options: GenerateOptions) => string): {
  readonly generator: Generator;
  readonly asked: { readonly prompt: string; readonly options: GenerateOptions }[];
} {
  const asked: { prompt: string; options: GenerateOptions }[] = [];
  return {
    asked,
    generator: {
      generate(ids, options = {}): Generation {
        const prompt = text(ids);
        asked.push({ prompt, options });
        async function* tokens(): AsyncGenerator<number, void> {
          if (options.maxNewTokens === 0) return;
          for (const id of tokenizer.encode(reply(prompt, options))) {
            await Promise.resolve();
            if (options.signal?.aborted) return;
            yield id;
          }
        }
        return Object.assign(tokens(), {
          finishReason: "eos" as const,
          // Of the token at each place behind the first one: minus its place.
          promptLogprobs: Array.from(ids).slice(1).map((id, i) => ({
            id,
            logprob: -(i + 1),
            top: [],
          })),
        });
      },
      [Symbol.dispose]: () => {},
    },
  };
}

const numbered = (...rows: readonly EncodedRow[]) =>
  rows.map((encoded, row) => ({ row: row + 7, encoded }));

async function replies(
  rows: readonly { readonly row: number; readonly encoded: EncodedRow }[],
  options: Pick<AnswerRowsOptions, "generator"> & Partial<AnswerRowsOptions>,
): Promise<readonly RowReply[]> {
  return await Array.fromAsync(answerRows(rows, { tokenizer, how: { greedy: true }, ...options }));
}

Deno.test("answerRows() splits thinking from answer, and counts tokens", async () => {
  const row = encoded({ question: "Q?", answer: "A" });
  const { generator, asked } = saying(() => "<think>\nT\n</think>\n\nYes.<|im_end|>");
  const [reply] = await replies(numbered(row), { generator });
  assert.deepEqual(reply, {
    row: 7,
    reply: {
      think: "T",
      answer: "Yes.",
      text: "<think>\nT\n</think>\n\nYes.",
      finishReason: "eos",
      newTokens: 5 + 2 + 4 + 1,
      promptTokens: row.promptIds.length,
    },
  });
  const [{ options: { signal, ...options } }] = asked;
  assert.ok(signal instanceof AbortSignal);
  assert.deepEqual(options, { greedy: true });
  const opened = { ...row, opened: true };
  const [second] = await replies(numbered(opened), {
    generator: saying(() => "T</think>A").generator,
  });
  assert.deepEqual(
    [second.reply.think, second.reply.answer, second.reply.text],
    ["T", "A", "<think>T</think>A"],
  );
});

Deno.test("answerRows() gives each row a seed of its own", async () => {
  const row = encoded({ question: "Q?", answer: "A" });
  const seeds = async (seed: number | undefined): Promise<unknown> => {
    const { generator, asked } = saying(() => "x");
    await replies(numbered(row, row), { generator, how: { seed } });
    return asked.map(({ options }) => options.seed);
  };
  assert.deepEqual(await seeds(5), [12, 13]);
  assert.deepEqual(await seeds(2 ** 32 - 7), [0, 1]);
  assert.deepEqual(await seeds(undefined), [undefined, undefined]);
});

Deno.test("answerRows() sums the loss of the reference, of thinking and of the answer apart", async () => {
  const loss = async (row: EncodedRow): Promise<unknown> => {
    const { generator, asked } = saying(() => "x");
    const [reply] = await replies(numbered(row), { generator, losses: true });
    const { prompt, options: { signal: _, ...options } } = asked[1];
    assert.deepEqual([prompt, options], [text(row.example.inputIds), {
      maxNewTokens: 0,
      promptLogprobs: 0,
    }]);
    return reply.loss;
  };
  /** The loss of the tokens at some places: each costs its place. */
  const of = (from: number, to: number) => {
    const places = Array.from({ length: to - from }, (_, i) => from + i);
    return { sum: places.reduce((sum, at) => sum + at, 0), tokens: places.length };
  };
  const none = { sum: 0, tokens: 0 };
  const thinking = encoded({ question: "Q?", think: "T", answer: "A" });
  const [start, end] = [thinking.example.promptLength, thinking.example.inputIds.length];
  assert.deepEqual(await loss(thinking), {
    think: of(start, start + 5),
    answer: of(start + 5, end),
  });
  // An empty block is neither.
  const plain = encoded({ question: "Q?", answer: "A" });
  const answer = plain.example.promptLength + 4;
  assert.deepEqual(await loss(plain), {
    think: none,
    answer: of(answer, plain.example.inputIds.length),
  });
  // Nor is what is not learned, or the first token of a text without a prompt.
  const labels = plain.example.labels.slice();
  labels[answer] = IGNORED;
  assert.deepEqual(await loss({ ...plain, example: { ...plain.example, labels } }), {
    think: none,
    answer: of(answer + 1, plain.example.inputIds.length),
  });
  const { inputIds } = plain.example;
  const whole = { inputIds, labels: inputIds, promptLength: 0 } as EncodedRow["example"];
  assert.deepEqual(await loss({ ...plain, example: whole, thinkTokens: 0 }), {
    think: none,
    answer: of(1, inputIds.length),
  });
  assert.deepEqual(await loss({ ...plain, thinkTokens: 2 }), {
    think: none,
    answer: of(plain.example.promptLength + 2, plain.example.inputIds.length),
  });
});

Deno.test("answerRows() makes as many replies at once as asked for, and gives each as it is there", async () => {
  const row = encoded({ question: "Q?", answer: "A" });
  let [running, most] = [0, 0];
  const ends = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const generator: Generator = {
    generate(): Generation {
      const end = ends[running] ?? ends[1];
      most = Math.max(most, ++running);
      async function* none(): AsyncGenerator<number, void> {
        await end.promise;
        running--;
        yield* [];
      }
      return Object.assign(none(), { finishReason: "eos" as const });
    },
    [Symbol.dispose]: () => {},
  };
  ends[1].resolve();
  const seen: number[] = [];
  const rows = numbered(row, row, row);
  for await (const { row } of answerRows(rows, { tokenizer, generator, how: {}, concurrency: 2 })) {
    // The first one waits for the last.
    if (seen.push(row) === 2) ends[0].resolve();
  }
  assert.deepEqual([seen, most, running], [[8, 9, 7], 2, 0]);
  const alone: number[] = [];
  for await (const { row } of answerRows(rows, { tokenizer, generator, how: {} })) alone.push(row);
  assert.deepEqual([alone, most], [[7, 8, 9], 2]);
});

Deno.test("answerRows() drops replies that are under way where it is ended", async () => {
  const row = encoded({ question: "Q?", answer: "A" });
  const controller = new AbortController();
  const enough = new Error("enough");
  const { generator, asked } = saying(() => "word ".repeat(1000));
  const answering = replies(numbered(row, row), {
    generator,
    concurrency: 2,
    signal: controller.signal,
  });
  controller.abort(enough);
  await assert.rejects(answering, enough);
  // A reader that leaves ends the others.
  const { generator: other, asked: others } = saying((_, { signal }) => signal ? "x" : "");
  for await (
    const _ of answerRows(numbered(row, row, row), {
      tokenizer,
      generator: other,
      how: {},
      concurrency: 2,
    })
  ) break;
  assert.ok(others.every(({ options }) => options.signal!.aborted));
  assert.ok(asked.every(({ options }) => options.signal!.aborted));
  await assert.rejects(
    replies(numbered(row), { generator, signal: AbortSignal.abort(enough) }),
    enough,
  );
});

Deno.test("kept replies are read back, and others are none", () => {
  const kept = {
    row: 3,
    key: "abc",
    reply: {
      think: "T",
      answer: "A",
      text: "<think>\nT\n</think>\n\nA",
      finishReason: "eos" as const,
      newTokens: 5,
      promptTokens: 9,
    },
  };
  const loss = { think: { sum: 1.5, tokens: 2 }, answer: { sum: 0, tokens: 0 } };
  const { think: _think, answer: _answer, ...written } = kept.reply;
  const plain = { row: 3, key: "abc", reply: written };
  assert.deepEqual(formatKeptReply(kept), plain);
  assert.deepEqual(formatKeptReply({ ...kept, loss }), { ...plain, loss });
  assert.deepEqual(parseKeptReply(plain), kept);
  assert.deepEqual(parseKeptReply({ ...plain, loss }), { ...kept, loss });
  for (const finishReason of ["eos", "stop", "length"]) {
    const reply = { ...written, finishReason };
    assert.equal(parseKeptReply({ ...plain, reply })!.reply.finishReason, finishReason);
  }
  const reply = (change: object) => ({ ...plain, reply: { ...written, ...change } });
  const losing = (change: object) => ({ ...plain, loss: { ...loss, ...change } });
  const wrong = [
    { ...plain, row: -1 },
    { ...plain, row: "3" },
    { ...plain, key: 5 },
    { ...plain, reply: null },
    reply({ text: 5 }),
    reply({ finishReason: "aborted" }),
    reply({ newTokens: 1.5 }),
    reply({ promptTokens: undefined }),
    { ...plain, loss: null },
    losing({ think: 5 }),
    losing({ answer: { sum: "1", tokens: 1 } }),
    losing({ think: { sum: 1, tokens: -1 } }),
  ];
  for (const each of wrong) assert.equal(parseKeptReply(each), undefined, JSON.stringify(each));
});

Deno.test("a generator of rows is a batch, in a window that its memory has", async () => {
  const config = tinyConfig({ max_position_embeddings: 600, eos_token_id: 63 });
  using runtime = new Runtime({ threads: 1 });
  using weights = randomWeights(runtime, config);
  const bytes = 256 * cacheBytesPerPosition(config);
  assert.deepEqual(
    [undefined, bytes, 2 * bytes - 1, 2 * bytes, 3 * bytes].map((each) =>
      rowWindow(runtime, config, each)
    ),
    [600, 256, 256, 512, 600],
  );
  const cuda = { device: { kind: "cuda" } } as unknown as Runtime;
  assert.equal(rowWindow(cuda, config, bytes), 600);
  await using rows = createRowGenerator(runtime, {
    config,
    slot: { weights },
    generation: parseGenerationConfig({}, { config }),
    batchSize: 3,
    cacheBytes: 3 * bytes,
  });
  assert.equal(rows.concurrency, 3);
  const options = { maxNewTokens: 2, greedy: true, eosTokenIds: [] };
  const lengths = await Promise.all(
    [1, 2, 3, 4, 5, 6].map(async (id) =>
      (await Array.fromAsync(rows.generator.generate([id], options))).length
    ),
  );
  assert.deepEqual(lengths, [2, 2, 2, 2, 2, 2]);
  // As many wait as are made at once.
  const waiting = [1, 2, 3, 4, 5, 6].map((id) => rows.generator.generate([id], options));
  assert.throws(() => rows.generator.generate([7], options), /3 are being made and 3 wait/);
  for (const reply of waiting) await reply.return!();
});
