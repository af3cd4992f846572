import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import { BatchFullError } from "../generate/batch_generator.ts";
import type { GenerateOptions, Generation } from "../generate/generation.ts";
import type { Generator } from "../generate/generator.ts";
import { ApiError } from "./api_error.ts";
import { parseChatRequest } from "./chat_request.ts";
import { ChatService, type ServedModel } from "./chat_service.ts";
import { Metrics } from "./metrics.ts";

const QUESTION = { role: "user", content: "Q" };

/** A service that notes what a generator is asked and replies with nothing. */
function serviceOf(
  chatTemplate?: string,
  taught: Pick<ServedModel, "system" | "enableThinking"> = {},
): {
  readonly asked: { readonly prompt: string; readonly options: GenerateOptions }[];
  start(fields: Record<string, unknown>): void;
} {
  const files = byteTokenizerFiles();
  const tokenizer = createTokenizer(
    chatTemplate === undefined ? files : { ...files, chatTemplate },
  );
  const asked: { prompt: string; options: GenerateOptions }[] = [];
  const generator: Generator = {
    generate(promptIds: ArrayLike<number>, options: GenerateOptions = {}): Generation {
      asked.push({ prompt: tokenizer.decode(promptIds), options });
      async function* none(): AsyncGenerator<number, void> {}
      return Object.assign(none(), { finishReason: "eos" as const });
    },
    [Symbol.dispose]: () => {},
  };
  const service = new ChatService({
    models: [{ id: "m", generator, ...taught }],
    tokenizer,
    window: 1000,
    maxNewTokens: 50,
    metrics: new Metrics(),
  });
  return {
    asked,
    start: (fields) => {
      service.start(parseChatRequest({ model: "m", messages: [QUESTION], ...fields })).abort();
    },
  };
}

Deno.test("ChatService bounds a reply by its own limit, and leaves the rest to request and model", () => {
  const { asked, start } = serviceOf();
  start({});
  start({ max_tokens: 7, min_p: 0.1, ignore_eos: true, stop_token_ids: [5] });
  const [plain, full] = asked.map(({ options: { signal: _, ...options } }) => options);
  assert.deepEqual(plain, { atMostNewTokens: 50 });
  assert.deepEqual(full, {
    maxNewTokens: 7,
    minP: 0.1,
    stopTokenIds: [5],
    ignoreEos: true,
    atMostNewTokens: 50,
  });
});

Deno.test("ChatService asks a model as it was trained, unless a request says otherwise", () => {
  const { asked, start } = serviceOf(undefined, { system: "Be brief.", enableThinking: false });
  const system = (content: string) => ({ messages: [{ role: "system", content }, QUESTION] });
  start({});
  start(system("Be long."));
  start(system(""));
  start({ enable_thinking: true });
  const [own, other, none] = ["Be brief.", "Be long.", undefined].map((text) =>
    (text === undefined ? "" : `<|im_start|>system\n${text}<|im_end|>\n`) +
    "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"
  );
  const silent = "<think>\n\n</think>\n\n";
  assert.deepEqual(asked.map(({ prompt }) => prompt), [
    own + silent,
    other + silent,
    none + silent,
    own,
  ]);
});

Deno.test("ChatService refuses to turn thinking off where the chat template has no switch", () => {
  const without = serviceOf("{% for m in messages %}{{ m.content }}{% endfor %}<think>");
  const ways = [{ enable_thinking: false }, { reasoning_effort: "none" }, { think: false }];
  for (const fields of ways) {
    assert.throws(() => without.start(fields), (error: unknown) => {
      assert.ok(error instanceof ApiError);
      assert.deepEqual([error.status, error.param], [400, "enable_thinking"]);
      assert.match(error.message, /no switch enable_thinking.*leave/);
      return true;
    });
  }
  for (const fields of [{}, { enable_thinking: true }, { reasoning_effort: "medium" }]) {
    without.start(fields);
  }
  const { asked, start } = serviceOf();
  for (const fields of ways) start(fields);
  assert.ok(asked.every(({ prompt }) => prompt.endsWith("<think>\n\n</think>\n\n")));
});

Deno.test("ChatService refuses to go on with a message that the template does not show", () => {
  const { start } = serviceOf("{% for m in messages %}{{ m.role }}{% endfor %}");
  assert.throws(
    () => start({ messages: [QUESTION, QUESTION], continue_final_message: true }),
    (error: unknown) =>
      error instanceof ApiError && error.status === 400 &&
      /continue_final_message/.test(error.message),
  );
});

Deno.test("ChatService makes one prompt of several choices, and looks at queue and length before", async () => {
  const made = { rendered: 0, encoded: 0, generated: [] as number[][] };
  const own = createTokenizer(byteTokenizerFiles());
  const tokenizer: typeof own = {
    ...own,
    render: (...args) => (made.rendered++, own.render(...args)),
    encode: (text) => (made.encoded++, own.encode(text)),
    encodeInSlices: (text) => (made.encoded++, own.encodeInSlices(text)),
  };
  const generator: Generator = {
    generate(promptIds: ArrayLike<number>): Generation {
      made.generated.push(Array.from(promptIds));
      async function* none(): AsyncGenerator<number, void> {}
      return Object.assign(none(), { finishReason: "eos" as const });
    },
    [Symbol.dispose]: () => {},
  };
  let full = false;
  const service = new ChatService({
    models: [{ id: "m", generator }],
    tokenizer,
    window: 1000,
    maxNewTokens: 50,
    metrics: new Metrics(),
    assertRoom: () => {
      if (full) throw new BatchFullError("Cannot take in another reply");
    },
  });
  const request = parseChatRequest({ model: "m", messages: [QUESTION], n: 8 });
  service.start(request, await service.prepare(request)).abort();
  assert.deepEqual([made.rendered, made.encoded, made.generated.length], [1, 1, 8]);
  assert.equal(new Set(made.generated.map(String)).size, 1);
  service.start(request).abort();
  assert.deepEqual([made.rendered, made.encoded, made.generated.length], [2, 2, 16]);

  full = true;
  await assert.rejects(service.prepare(request), { status: 429, code: "queue_full" });
  assert.throws(() => service.start(request), { status: 429 });
  full = false;
  const long = parseChatRequest({
    model: "m",
    messages: [{ role: "user", content: "x".repeat(16_001) }],
  });
  await assert.rejects(service.prepare(long), { status: 400, code: "context_length_exceeded" });
  service.close();
  await assert.rejects(service.prepare(request), { status: 503 });
  assert.deepEqual([made.rendered, made.encoded, made.generated.length], [2, 2, 16]);
});
