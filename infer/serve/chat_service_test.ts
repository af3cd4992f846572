import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import { BatchFullError } from "../generate/batch_generator.ts";
import type { GenerateOptions, Generation } from "../generate/generation.ts";
import type { Generator } from "../generate/generator.ts";
import { ApiError } from "./api_error.ts";
import { parseChatRequest } from "./chat_request.ts";
import { parseTextRequest } from "./text/text_request.ts";
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

/** Log probabilities that tell the tokens apart: minus their ids. */
const told = (id: number) => ({ id, logprob: -id, top: [] });

/** What a scripted reply is: its tokens by texts, and how it ends. */
interface Scripted {
  readonly pieces: readonly string[];
  readonly finishReason?: "eos" | "length" | "aborted";
  readonly endToken?: number;
}

/** A service over scripted replies, and its figures. */
function scripted(reply: Scripted, models: readonly Partial<ServedModel>[] = [{}]) {
  const tokenizer = createTokenizer(byteTokenizerFiles());
  const asked: GenerateOptions[] = [];
  const metrics = new Metrics();
  let left = 0;
  const generator: Generator = {
    generate(promptIds: ArrayLike<number>, options: GenerateOptions = {}): Generation {
      asked.push(options);
      const ids = reply.pieces.flatMap((piece) => [...tokenizer.encode(piece)]);
      const { finishReason = "eos", endToken } = reply;
      let end: Generation["finishReason"];
      async function* tokens(): AsyncGenerator<number, void> {
        yield* ids;
        end = finishReason;
      }
      const source = tokens();
      const all = endToken === undefined ? ids : [...ids, endToken];
      const generation: Generation = {
        get finishReason() {
          return end;
        },
        get endToken() {
          return end && endToken;
        },
        ...options.topLogprobs !== undefined && { logprobs: all.map(told) },
        ...options.promptLogprobs !== undefined &&
          { promptLogprobs: Array.from(promptIds).slice(1).map(told) },
        next: () => source.next(),
        return: () => {
          left++;
          end ??= "aborted";
          return source.return();
        },
        [Symbol.asyncIterator]: () => generation,
      };
      return generation;
    },
    [Symbol.dispose]: () => {},
  };
  const service = new ChatService({
    models: models.map((each, i) => ({ id: i === 0 ? "m" : `m${i}`, generator, ...each })),
    tokenizer,
    window: 1000,
    maxNewTokens: 50,
    metrics,
  });
  return {
    service,
    asked,
    metrics,
    left: () => left,
    /** The pieces of all choices, one after another; of tokens their ids. */
    read: async (fields: Record<string, unknown>, parse = parseChatRequest) => {
      const completion = service.start(parse({ model: "m", ...fields }));
      const pieces = [];
      for (const choice of completion.choices) {
        for await (const { kind, text, tokens, prompt } of choice) {
          pieces.push([
            kind,
            text,
            ...tokens ? [tokens.map(({ id }) => id)] : [],
            ...prompt ? [[...Array.from(prompt.ids), ...prompt.logprobs.map(({ id }) => id)]] : [],
          ]);
        }
      }
      return { pieces, completion };
    },
  };
}

const said = (pieces: readonly (readonly unknown[])[], kind: string): string =>
  pieces.filter(([each]) => each === kind).map(([, text]) => text).join("");

Deno.test("a choice ends at its stop strings, at the limit, or by itself, and counts its tokens", async () => {
  const { read } = scripted({ pieces: ["<think>", "hm", "</think>", "one two"] });
  const messages = [QUESTION];
  const whole = await read({ messages });
  assert.equal(said(whole.pieces, "think"), "hm");
  assert.equal(said(whole.pieces, "answer"), "one two");
  const [choice] = whole.completion.choices;
  assert.deepEqual(
    [choice.index, choice.newTokens, choice.thinkTokens, choice.finishReason],
    [0, 11, 3, "stop"],
  );
  assert.equal(whole.completion.promptTokens, 1 + 5 + 1 + 1 + 1 + 1 + 10);
  const cut = await read({ messages, stop: ["e t"] });
  assert.equal(said(cut.pieces, "answer"), "on");
  assert.deepEqual([cut.completion.choices[0].newTokens, cut.completion.choices[0].finishReason], [
    9,
    "stop",
  ]);
  const kept = await read({ messages, stop: ["e t"], include_stop_str_in_output: true });
  assert.equal(said(kept.pieces, "answer"), "one t");
  // A stop string ends no reply that has not its least length yet.
  const least = await read({ messages, stop: ["o"], min_tokens: 7 });
  assert.equal(said(least.pieces, "answer"), "one tw");
  const hidden = await read({ messages, include_reasoning: false });
  assert.deepEqual([said(hidden.pieces, "think"), said(hidden.pieces, "answer")], ["", "one two"]);
  assert.equal(hidden.completion.choices[0].thinkTokens, 3);
  const limited = scripted({ pieces: ["abc"], finishReason: "length" });
  assert.equal((await limited.read({ messages })).completion.choices[0].finishReason, "length");
  const stopped = await limited.read({ messages, stop: "b" });
  assert.equal(stopped.completion.choices[0].finishReason, "stop");
});

Deno.test("tokens go with the text that they begin, which a stop string may hold back", async () => {
  const { read } = scripted({ pieces: ["<think>", "x", "</think>", "abcd"] });
  const fields = { messages: [QUESTION], logprobs: true, top_logprobs: 0 };
  const [a, b, c, d] = [..."abcd"].map((each) => each.charCodeAt(0));
  const plain = await read(fields);
  assert.deepEqual(plain.pieces.filter(([kind]) => kind === "answer"), [
    ["answer", "a", [a]],
    ["answer", "b", [b]],
    ["answer", "c", [c]],
    ["answer", "d", [d]],
  ]);
  const held = await read({ ...fields, stop: ["bx"] });
  assert.deepEqual(held.pieces.filter(([kind]) => kind === "answer"), [
    ["answer", "a", [a]],
    ["answer", "bc", [b, c]],
    ["answer", "d", [d]],
  ]);
  const cut = await read({ ...fields, stop: ["cd"] });
  assert.deepEqual(cut.pieces.filter(([kind]) => kind === "answer"), [
    ["answer", "a", [a]],
    ["answer", "b", [b]],
  ]);
});

Deno.test("a text begins with its prompt where it is asked for, and ends with the tokens without text", async () => {
  const text = (
    fields: Record<string, unknown>,
    reply: Scripted = { pieces: ["ab"], endToken: 258 },
  ) => scripted(reply).read({ prompt: "Qr", ...fields }, parseTextRequest);
  const [a, b, q, r] = [..."abQr"].map((each) => each.charCodeAt(0));
  assert.deepEqual((await text({})).pieces, [["answer", "a"], ["answer", "b"]]);
  assert.deepEqual((await text({ echo: true })).pieces, [["answer", "Qr"], ["answer", "a"], [
    "answer",
    "b",
  ]]);
  assert.deepEqual((await text({ logprobs: 0 })).pieces, [
    ["answer", "a", [a]],
    ["answer", "b", [b]],
    ["answer", "", [258]],
  ]);
  // The prompt's tokens, and the log probabilities of all but the first.
  assert.deepEqual((await text({ logprobs: 0, echo: true })).pieces, [
    ["answer", "Qr", [q, r, r]],
    ["answer", "a", [a]],
    ["answer", "b", [b]],
    ["answer", "", [258]],
  ]);
  const nothing = { pieces: [], finishReason: "length" as const };
  assert.deepEqual((await text({ logprobs: 0, echo: true, max_tokens: 0 }, nothing)).pieces, [
    ["answer", "Qr", [q, r, r]],
  ]);
  // Of several prompts each choice has its own, be they texts or tokens.
  const several = await text({ prompt: ["Q", [r, a]], n: 2, echo: true }, { pieces: [] });
  assert.deepEqual(several.pieces.map(([, text]) => text), ["Q", "Q", "ra", "ra"]);
  assert.equal(several.completion.promptTokens, 3);
});

Deno.test("an answer that goes on with a message begins with it where that is asked for", async () => {
  const { read } = scripted({ pieces: ["!"] });
  const messages = [QUESTION, { role: "assistant", content: "So" }];
  const goOn = { messages, continue_final_message: true };
  assert.equal(said((await read(goOn)).pieces, "answer"), "!");
  assert.equal(said((await read({ ...goOn, echo: true })).pieces, "answer"), "So!");
  // It is of another's words that a turn does not begin with.
  const asked = await read({ messages: [QUESTION], echo: true });
  assert.equal(said(asked.pieces, "answer"), "!");
});

Deno.test("a service has figures of each request, when all of its choices are over", async () => {
  const { read, service, metrics } = scripted({ pieces: ["ab"] });
  const lines = (): readonly string[] =>
    metrics.toString().split("\n").filter((line) => /_total\{|_count\{/.test(line));
  const completion = service.start(parseChatRequest({ model: "m", messages: [QUESTION], n: 2 }));
  assert.equal(service.running, 1);
  await Array.fromAsync(completion.choices[0]);
  assert.equal(service.running, 1);
  assert.deepEqual(lines(), [
    'ortune_first_text_seconds_count{model="m"} 1',
    'ortune_completion_tokens_total{model="m"} 2',
  ]);
  await Array.fromAsync(completion.choices[1]);
  assert.equal(service.running, 0);
  assert.deepEqual(lines(), [
    'ortune_first_text_seconds_count{model="m"} 1',
    'ortune_completion_tokens_total{model="m"} 4',
    'ortune_prompt_tokens_total{model="m"} 20',
    'ortune_request_seconds_count{model="m"} 1',
  ]);
  await read({ messages: [QUESTION] });
  assert.ok(lines().includes('ortune_request_seconds_count{model="m"} 2'));
});

Deno.test("each choice has a seed of its own, and the model's name leads to its own tokenizer", async () => {
  const own = createTokenizer({ ...byteTokenizerFiles(), chatTemplate: "own" });
  const { read, asked, service } = scripted({ pieces: [] }, [{}, { tokenizer: own }]);
  await read({ messages: [QUESTION], n: 3, seed: 2 ** 32 - 2 });
  assert.deepEqual(asked.map(({ seed }) => seed), [2 ** 32 - 2, 2 ** 32 - 1, 0]);
  assert.equal(service.tokenizerOf(service.model("m1")), own);
  assert.notEqual(service.tokenizerOf(service.model("m")), own);
  assert.throws(() => service.model("x".repeat(101)), {
    status: 404,
    code: "model_not_found",
    param: "model",
    message: `The model "${"x".repeat(100)}" does not exist; there is: m, m1`,
  });
});

Deno.test("what is too long is refused before it is read, chats and texts by their own limits", () => {
  const { service } = scripted({ pieces: [] });
  const refuses = (request: ReturnType<typeof parseChatRequest>, param: string, message: string) =>
    assert.throws(() => service.start(request), {
      status: 400,
      code: "context_length_exceeded",
      param,
      message,
    });
  const letters = (count: number): string => "x".repeat(count);
  const chat = (message: object) => parseChatRequest({ model: "m", messages: [message] });
  // 16 characters for each of a thousand positions.
  const long = "The messages have 16001 characters; there may be 16000: shorten it";
  service.start(chat({ role: "user", content: letters(16_000) })).abort();
  refuses(chat({ role: "user", content: letters(16_001) }), "messages", long);
  const thinking = { role: "assistant", content: letters(8000), reasoning_content: letters(8001) };
  refuses(chat(thinking), "messages", long);
  const call = (count: number) => ({
    role: "assistant",
    content: "",
    tool_calls: [{ type: "function", function: { name: "f", arguments: { a: letters(count) } } }],
  });
  // {"a": "…"} and the name.
  service.start(chat(call(16_000 - 10 + 1 - 2))).abort();
  refuses(chat(call(16_001 - 9 - 1)), "messages", long);
  const text = (prompt: unknown) => parseTextRequest({ model: "m", prompt });
  refuses(
    text(["a", letters(16_001)]),
    "prompt",
    "The prompt has 16001 characters; there may be 16000: shorten it",
  );
  service.start(text(Array(8).fill(letters(16_000)))).abort();
  refuses(
    text([...Array(8).fill(letters(16_000)), letters(3073)]),
    "prompt",
    "The prompt has 131073 characters; there may be 131072: shorten it",
  );
});

Deno.test("a service that stops refuses what is new, and may end what runs", async () => {
  const { service } = scripted({ pieces: ["abc"], finishReason: "aborted" });
  const request = parseChatRequest({ model: "m", messages: [QUESTION] });
  const stopping = { name: "ApiError", status: 503, code: "stopping" };
  const running = service.start(request);
  assert.equal(service.closed, false);
  service.close();
  assert.equal(service.closed, true);
  assert.throws(() => service.start(request), stopping);
  await assert.rejects(service.prepare(request), stopping);
  assert.equal(service.running, 1);
  service.abort();
  await assert.rejects(Array.fromAsync(running.choices[0]), stopping);
  assert.equal(service.running, 0);
});

Deno.test("a completion that is left ends all of its choices once", async () => {
  const { service, left } = scripted({ pieces: ["abc"] });
  const completion = service.start(parseChatRequest({ model: "m", messages: [QUESTION], n: 3 }));
  await completion.choices[0].next();
  completion.abort();
  completion.abort();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(service.running, 0);
  assert.ok(left() >= 3);
  assert.deepEqual(await completion.choices[1].next(), { done: true, value: undefined });
});

Deno.test("a format is made once for its schema, and eight of them are kept", async () => {
  const { service, asked } = scripted({ pieces: [] });
  const constraint = async (name: string) => {
    const schema = { type: "object", properties: { [name]: { type: "null" } } };
    const format = { type: "json_schema", json_schema: { name: "n", schema } };
    const request = parseChatRequest({
      model: "m",
      messages: [QUESTION],
      response_format: format,
      enable_thinking: false,
    });
    service.start(request, await service.prepare(request)).abort();
    const scores = new Float32Array(261);
    asked.at(-1)!.constraint!(new Set([258])).apply(scores);
    return [...scores.keys()].filter((id) => scores[id] === 0);
  };
  const brace = "{".charCodeAt(0);
  for (const name of ["a", "a", "b", "c", "d", "e", "f", "g", "h", "i", "a"]) {
    const may = await constraint(name);
    // A blank, a line end or the object.
    assert.deepEqual(may, [10, 32, brace]);
  }
});
