/**
 * Every field of a chat completion request, OpenAI's and vLLM's: set to something that is not its
 * default, it changes the reply of a real model as it should, or is refused by its name, or is one
 * of those that are known to change nothing.
 */

import assert from "node:assert/strict";
import type OpenAI from "openai";
import type { Message } from "../data/text/message.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { BatchGenerator } from "../infer/generate/batch_generator.ts";
import {
  type GenerationConfig,
  parseGenerationConfig,
} from "../infer/generate/generation_config.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { ChatService } from "../infer/serve/chat_service.ts";
import { createHandler } from "../infer/serve/handler.ts";
import { Metrics } from "../infer/serve/metrics.ts";
import { BODY_FIELDS } from "../infer/serve/request_fields.ts";
import { fixturePath, loadFixtureModel } from "./support/parity_fixture.ts";

type Fields = Readonly<Record<string, unknown>>;

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly type: string;
  readonly choices: readonly {
    readonly message: {
      readonly role: string;
      readonly content: string;
      readonly reasoning?: string;
    };
    readonly finish_reason: string;
    readonly logprobs: {
      readonly content: readonly {
        readonly token: string;
        readonly top_logprobs: readonly unknown[];
      }[];
    } | null;
  }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
  readonly error: { readonly message: string; readonly param: string | null };
}

/** What a test of a field is given. */
interface Server {
  /** Asks with fields over a plain question. */
  ask(fields: Fields): Promise<Answer>;
  /** The first choice's content; fails where the request is refused. */
  say(fields: Fields): Promise<string>;
  readonly plain: Answer;
  /** The tokens of the plain reply, each as text, and their ids. */
  readonly words: readonly string[];
  readonly ids: readonly number[];
  /** What the model never says. */
  readonly odd: readonly number[];
}

const QUESTION: Message = { role: "user", content: "What is a fever?" };
const LIMIT = 20;
const tokenizer = await loadTokenizer(fixturePath("tokenizer"));

/** The generation_config.json of the server's model: readable words, and no word twice. */
function generationJson(vocabSize: number): Fields {
  const text = (id: number): string => id < 296 ? tokenizer.decode([id]) : "\ufffd";
  const readable = (id: number): boolean => /^[ -~]+$/.test(text(id));
  const ids = Array.from({ length: vocabSize }, (_, id) => id);
  return {
    eos_token_id: 298,
    no_repeat_ngram_size: 1,
    suppress_tokens: ids.filter((id) => !readable(id) && id !== 298),
    sequence_bias: ids.filter((id) => id >= 256 && readable(id)).map((id) => [[id], 3]),
    max_new_tokens: LIMIT,
  };
}

const IMPATIENT = { role: "assistant", content: "<think>\nSo" };
/** The same with draws from nearly all of the vocabulary. */
const HOT = { temperature: 2, seed: 7, top_k: 0 };

function sameAsGreedy(fields: Fields): (server: Server) => Promise<void> {
  return async ({ say, plain }) => {
    assert.notEqual(await say(HOT), plain.text);
    assert.equal(await say({ ...HOT, ...fields }), plain.text);
  };
}

function changesDraws(fields: Fields): (server: Server) => Promise<void> {
  return async ({ say }) => {
    const draws = await Promise.all([1, 2, 3].map(async (seed) => [
      await say({ ...HOT, seed }),
      await say({ ...HOT, seed, ...fields }),
    ]));
    assert.ok(draws.some(([without, with_]) => without !== with_));
  };
}

/** The template's empty thinking block is in the prompt. */
function turnsThinkingOff(fields: Fields): (server: Server) => Promise<void> {
  return async ({ ask, plain }) => {
    const { prompt_tokens } = (await ask(fields)).usage;
    const block = tokenizer.encode("<think>\n\n</think>\n\n").length;
    assert.equal(prompt_tokens, plain.usage.prompt_tokens + block);
  };
}

function lengthWithoutTurn(messages: readonly Message[]): number {
  return tokenizer.encode(tokenizer.render(messages, { addGenerationPrompt: false })).length;
}

/** Fields that change the reply, and how. */
const HONOURED: Readonly<Record<string, (server: Server) => Promise<void>>> = {
  model: async ({ ask }) => {
    const { status, error } = await ask({ model: "other" });
    assert.deepEqual([status, error.param], [404, "model"]);
  },
  messages: async ({ ask, plain }) => {
    const { usage } = await ask({
      messages: [QUESTION, { ...QUESTION, role: "assistant" }, QUESTION],
    });
    assert.ok(usage.prompt_tokens > plain.usage.prompt_tokens + 10);
  },
  stream: async ({ ask }) => {
    assert.match((await ask({ stream: true })).type, /^text\/event-stream/);
  },
  stream_options: async ({ ask }) => {
    const fields = { stream: true, stream_options: { include_usage: true } };
    assert.match((await ask(fields)).text, /"completion_tokens":20/);
    assert.doesNotMatch((await ask({ stream: true })).text, /completion_tokens/);
    const refused = await ask({ stream_options: { include_usage: true } });
    assert.deepEqual([refused.status, refused.error.param], [400, "stream_options"]);
  },
  n: async ({ ask }) => assert.equal((await ask({ n: 3 })).choices.length, 3),
  stop: async ({ ask, words }) => {
    const { text, choices: [{ finish_reason }] } = await ask({ stop: words[5] + words[6] });
    assert.deepEqual([text, finish_reason], [words.slice(0, 5).join(""), "stop"]);
  },
  seed: async ({ say }) => {
    assert.equal(await say(HOT), await say(HOT));
    assert.notEqual(await say(HOT), await say({ ...HOT, seed: 8 }));
  },
  max_tokens: async ({ ask, words }) => {
    const { text, usage, choices: [{ finish_reason }] } = await ask({ max_tokens: 5 });
    assert.deepEqual(
      [text, usage.completion_tokens, finish_reason],
      [words.slice(0, 5).join(""), 5, "length"],
    );
    // The server's own limit is 30, and the model's default, 20, binds nobody who asks.
    assert.equal((await ask({ max_tokens: 25 })).usage.completion_tokens, 25);
    assert.equal((await ask({ max_tokens: 500 })).usage.completion_tokens, 30);
  },
  max_completion_tokens: async ({ ask }) => {
    const { usage } = await ask({ max_completion_tokens: 4, max_tokens: 6 });
    assert.equal(usage.completion_tokens, 4);
  },
  min_tokens: async ({ ask, ids }) => {
    const end = { stop_token_ids: [ids[4]] };
    assert.equal((await ask(end)).usage.completion_tokens, 4);
    assert.ok((await ask({ ...end, min_tokens: 9 })).usage.completion_tokens >= 9);
    const { status, error } = await ask({ min_tokens: 9, max_tokens: 8 });
    assert.deepEqual([status, error.param], [400, "min_tokens"]);
  },
  temperature: async ({ say, plain }) => {
    assert.equal(await say({ temperature: 0 }), plain.text);
    assert.notEqual(await say(HOT), plain.text);
  },
  top_p: sameAsGreedy({ top_p: 1e-4 }),
  top_k: sameAsGreedy({ top_k: 1 }),
  min_p: sameAsGreedy({ min_p: 0.999 }),
  top_h: sameAsGreedy({ top_h: 1e-4 }),
  epsilon_cutoff: sameAsGreedy({ epsilon_cutoff: 0.999 }),
  typical_p: changesDraws({ typical_p: 0.1 }),
  eta_cutoff: changesDraws({ eta_cutoff: 0.9 }),
  repetition_penalty: async ({ say }) => {
    const [without, with_] = [
      await say({ no_repeat_ngram_size: 0 }),
      await say({ no_repeat_ngram_size: 0, repetition_penalty: 3 }),
    ];
    assert.ok(new Set(with_).size > new Set(without).size);
  },
  no_repeat_ngram_size: async ({ say, plain }) => {
    // The model's own default is 1.
    assert.notEqual(await say({ no_repeat_ngram_size: 0 }), plain.text);
    const text = await say({ no_repeat_ngram_size: 3 });
    assert.notEqual(text, await say({ no_repeat_ngram_size: 0 }));
  },
  ignore_eos: async ({ ask, plain }) => {
    const server = { eos: true };
    const short = await ask(server);
    assert.deepEqual([short.usage.completion_tokens, short.choices[0].finish_reason], [5, "stop"]);
    const long = await ask({ ...server, ignore_eos: true });
    assert.deepEqual([long.text, long.choices[0].finish_reason], [plain.text, "length"]);
  },
  stop_token_ids: async ({ ask, ids, words }) => {
    const { text, choices: [{ finish_reason }] } = await ask({ stop_token_ids: [ids[7], ids[9]] });
    assert.deepEqual([text, finish_reason], [words.slice(0, 7).join(""), "stop"]);
  },
  include_stop_str_in_output: async ({ say, ids, words }) => {
    const include_stop_str_in_output = true;
    const seven = words.slice(0, 7).join("");
    assert.equal(await say({ stop: words[6], include_stop_str_in_output }), seven);
    assert.equal(await say({ stop_token_ids: [ids[6]], include_stop_str_in_output }), seven);
  },
  skip_special_tokens: async ({ say }) => {
    const special = { special: true };
    assert.doesNotMatch(await say(special), /im_start/);
    assert.match(await say({ ...special, skip_special_tokens: false }), /<\|im_start\|>/);
  },
  suppress_tokens: async ({ say, ids, words, odd }) => {
    const text = await say({ suppress_tokens: [...odd, ids[0]] });
    assert.ok(!text.startsWith(words[0]));
  },
  bad_words: async ({ say, words }) => {
    const text = await say({ bad_words: [words[2]] });
    assert.ok(text.startsWith(words[0] + words[1]));
    assert.ok(!text.startsWith(words[0] + words[1] + words[2]));
  },
  chat_template_kwargs: turnsThinkingOff({ chat_template_kwargs: { enable_thinking: false } }),
  enable_thinking: turnsThinkingOff({ enable_thinking: false }),
  reasoning_effort: turnsThinkingOff({ reasoning_effort: "none" }),
  reasoning: turnsThinkingOff({ reasoning: { enabled: false } }),
  think: turnsThinkingOff({ think: false }),
  thinking: turnsThinkingOff({ thinking: { type: "disabled" } }),
  include_reasoning: async ({ ask }) => {
    const fields = { messages: [QUESTION, IMPATIENT], continue_final_message: true };
    const shown = (await ask(fields)).choices[0].message;
    assert.ok(shown.reasoning!.length > 5);
    const hidden = (await ask({ ...fields, include_reasoning: false })).choices[0].message;
    assert.deepEqual([hidden.reasoning, hidden.content], [undefined, shown.content]);
  },
  continue_final_message: async ({ ask }) => {
    const messages: Message[] = [QUESTION, { role: "assistant", content: "A fever is" }];
    const fields = { messages, continue_final_message: true, add_generation_prompt: false };
    const { usage, text } = await ask(fields);
    const prompt = tokenizer.render(messages, { addGenerationPrompt: false });
    const cut = prompt.slice(0, prompt.lastIndexOf("<|im_end|>"));
    assert.ok(cut.endsWith("A fever is"));
    assert.equal(usage.prompt_tokens, tokenizer.encode(cut).length);
    const another = await ask({ messages });
    assert.notEqual(another.text, text);
    const both = await ask({ ...fields, add_generation_prompt: true });
    assert.deepEqual([both.status, both.error.param], [400, "continue_final_message"]);
  },
  add_generation_prompt: async ({ ask }) => {
    const { usage, choices: [{ message }] } = await ask({ add_generation_prompt: false });
    assert.equal(usage.prompt_tokens, lengthWithoutTurn([QUESTION]));
    assert.equal(message.role, "user");
  },
  echo: async ({ say, plain }) => {
    const messages: Message[] = [QUESTION, { role: "assistant", content: "A fever is" }];
    const fields = { messages, continue_final_message: true };
    assert.equal(await say({ ...fields, echo: true }), "A fever is" + await say(fields));
    assert.equal(await say({ echo: true }), plain.text);
  },
  response_format: async ({ ask, plain }) => {
    assert.equal((await ask({ response_format: { type: "text" } })).text, plain.text);
    const { text } = await ask({ response_format: { type: "json_object" } });
    assert.match(text, /^\s{0,42}\{/);
    const schema = { enum: ["yes", "no"] };
    const response_format = { type: "json_schema", json_schema: { name: "n", schema } };
    assert.match((await ask({ response_format })).text, /^\s*"(yes|no)"$/);
    const { status, error } = await ask({ response_format: { type: "xml" } });
    assert.deepEqual([status, error.param], [400, "response_format"]);
  },
  logprobs: async ({ ask, plain, words }) => {
    const { text, choices: [{ logprobs }] } = await ask({ logprobs: true });
    assert.equal(text, plain.text);
    assert.deepEqual(logprobs!.content.map(({ token }) => token), words);
    assert.ok(logprobs!.content.every(({ top_logprobs }) => top_logprobs.length === 0));
  },
  top_logprobs: async ({ ask }) => {
    const { choices: [{ logprobs }] } = await ask({ logprobs: true, top_logprobs: 4 });
    assert.ok(logprobs!.content.every(({ top_logprobs }) => top_logprobs.length === 4));
    for (const fields of [{ top_logprobs: 4 }, { logprobs: true, top_logprobs: 21 }]) {
      const { status, error } = await ask(fields);
      assert.deepEqual([status, error.param], [400, "top_logprobs"]);
    }
  },
};

/** Fields that are refused at these values, and not at those that ask for nothing. */
const REFUSED: Readonly<Record<string, readonly [refused: unknown, ...harmless: unknown[]]>> = {
  tools: [[{ type: "function", function: { name: "f" } }], []],
  tool_choice: ["required", "none", "auto"],
  functions: [[{ name: "f" }], []],
  function_call: [{ name: "f" }, "none"],
  prompt_logprobs: [0],
  logprob_token_ids: [[5]],
  logit_bias: [{ "50256": -100 }, {}],
  frequency_penalty: [0.5, 0],
  presence_penalty: [-0.5, 0],
  allowed_token_ids: [[5]],
  guided_json: [{ type: "object" }],
  guided_json_object: [true, false],
  guided_regex: ["[a-z]+"],
  guided_choice: [["yes", "no"]],
  guided_grammar: ["root ::= x"],
  structural_tag: ["x"],
  structured_outputs: [{ json: {} }],
  best_of: [2, 1],
  use_beam_search: [true, false],
  length_penalty: [2, 1],
  early_stopping: [true, false],
  audio: [{ voice: "alloy", format: "mp3" }],
  modalities: [["text", "audio"], ["text"]],
  mm_processor_kwargs: [{ num_crops: 4 }, {}],
  media_io_kwargs: [{ video: {} }, {}],
  prediction: [{ type: "content", content: "x" }],
  web_search_options: [{}],
  moderation: [{ model: "x" }],
  verbosity: ["low", "medium"],
  thinking_token_budget: [100],
  truncate_prompt_tokens: [10],
  add_special_tokens: [true, false],
  documents: [[{ title: "t", text: "x" }], []],
  chat_template: ["{{ messages }}"],
  priority: [1, 0],
  kv_transfer_params: [{ do_remote_decode: true }, {}],
  ec_transfer_params: [{ x: 1 }, {}],
  vllm_xargs: [{ x: 1 }, {}],
  logits_processors: [["x"], []],
  repetition_detection: [{ max_pattern_size: 5 }],
  watermarking: [true, false],
  return_token_ids: [true, false],
  return_prompt_text: [true, false],
  routed_experts_prompt_start: [1, 0],
};

/** Fields that change no reply; `infer/serve/request_fields.ts` says why. */
const WITHOUT_EFFECT: Fields = {
  user: "someone",
  safety_identifier: "someone",
  store: true,
  metadata: { any: "thing" },
  service_tier: "flex",
  request_id: "r-1",
  session_id: "s-1",
  prompt_cache_key: "k",
  prompt_cache_options: { mode: "x" },
  prompt_cache_retention: "24h",
  cache_salt: "salt",
  parallel_tool_calls: false,
  guided_decoding_backend: "xgrammar",
  guided_whitespace_pattern: "\\s",
  truncation_side: "left",
  return_tokens_as_token_ids: true,
  spaces_between_special_tokens: false,
  return_token_offsets: true,
  return_mm_kwargs: false,
  stream_interval: 5,
};

/** The compiler sees to it that none is left out. */
const OPENAI_FIELDS: Readonly<
  Record<keyof OpenAI.ChatCompletionCreateParamsNonStreaming, true>
> = {
  messages: true,
  model: true,
  audio: true,
  frequency_penalty: true,
  function_call: true,
  functions: true,
  logit_bias: true,
  logprobs: true,
  max_completion_tokens: true,
  max_tokens: true,
  metadata: true,
  modalities: true,
  moderation: true,
  n: true,
  parallel_tool_calls: true,
  prediction: true,
  presence_penalty: true,
  prompt_cache_key: true,
  prompt_cache_options: true,
  prompt_cache_retention: true,
  reasoning_effort: true,
  response_format: true,
  safety_identifier: true,
  seed: true,
  service_tier: true,
  stop: true,
  store: true,
  stream: true,
  stream_options: true,
  temperature: true,
  tool_choice: true,
  tools: true,
  top_logprobs: true,
  top_p: true,
  user: true,
  verbosity: true,
  web_search_options: true,
};

/** Opens the server and asks the plain question. */
async function openServer(): Promise<Server & AsyncDisposable> {
  const resources = new AsyncDisposableStack();
  const runtime = resources.use(new Runtime({ threads: 2 }));
  const { config, weights, expected } = await loadFixtureModel(runtime, "qwen3");
  await expected[Symbol.asyncDispose]();
  resources.use(weights);
  const json = generationJson(config.vocabSize);

  const handlerOf = (generation: GenerationConfig): (request: Request) => Promise<Response> => {
    const slots = [{ weights }];
    const batch = resources.use(new BatchGenerator({ runtime, config, slots, generation }));
    const metrics = new Metrics();
    return createHandler({
      service: new ChatService({
        models: [{ id: "base", generator: batch.generator() }],
        tokenizer,
        window: batch.window,
        maxNewTokens: 30,
        metrics,
      }),
      metrics,
      isOwnHost: () => true,
      load: () => batch.load,
      onError: (cause) => assert.fail(String(cause)),
    });
  };
  const askOf = (fields: Fields) => {
    const handler = handlerOf(parseGenerationConfig({ ...json, ...fields }, { config, tokenizer }));
    return async (more: Fields): Promise<Answer> => {
      const response = await handler(
        new Request("http://server/v1/chat/completions", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ model: "base", messages: [QUESTION], ...more }),
        }),
      );
      const type = response.headers.get("content-type")!;
      const text = await response.text();
      const body = type === "application/json" ? JSON.parse(text) : {};
      const [choice] = body.choices ?? [];
      return { status: response.status, type, ...body, text: choice?.message.content ?? text };
    };
  };
  const usual = askOf({});
  const plain = await usual({});
  const ids = [...tokenizer.encode(plain.text)];
  const words = ids.map((id) => tokenizer.decode([id]));
  // What is told by two tokens may be told by one, and then the test is of nothing.
  assert.deepEqual([ids.length, plain.usage.completion_tokens], [LIMIT, LIMIT]);
  const odd = json.suppress_tokens as readonly number[];
  const ended = askOf({ eos_token_id: [298, ids[5]] });
  const special = askOf({
    suppress_tokens: odd.filter((id) => id !== 297),
    sequence_bias: [[[297], 99]],
    no_repeat_ngram_size: 0,
  });
  const ask = ({ eos, special: more, ...fields }: Fields): Promise<Answer> =>
    (eos ? ended : more ? special : usual)(fields);
  return {
    ask,
    async say(fields): Promise<string> {
      const answer = await ask(fields);
      assert.equal(answer.status, 200, answer.error?.message);
      return answer.text;
    },
    plain,
    words,
    ids,
    odd,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

Deno.test("each field of OpenAI's and of vLLM's requests is honoured, refused, or known to change nothing", async () => {
  const tested = [HONOURED, REFUSED, WITHOUT_EFFECT].flatMap((each) => Object.keys(each));
  assert.equal(new Set(tested).size, tested.length);
  assert.deepEqual(tested.toSorted(), BODY_FIELDS.known.toSorted());
  const url = new URL("fixtures/chat_requests/vllm.json", import.meta.url);
  const { current, former }: Record<string, string[]> = JSON.parse(await Deno.readTextFile(url));
  for (const name of [...Object.keys(OPENAI_FIELDS), ...current, ...former]) {
    assert.ok(tested.includes(name), name);
  }
});

Deno.test("fields that are honoured change a real model's reply as they should", async (test) => {
  await using server = await openServer();
  for (const [field, holds] of Object.entries(HONOURED)) {
    await test.step(field, () => holds(server));
  }
});

Deno.test("fields that are not honoured are refused by name, and not where they ask for nothing", async () => {
  await using server = await openServer();
  for (const [field, [refused, ...harmless]] of Object.entries(REFUSED)) {
    const { status, error } = await server.ask({ [field]: refused });
    assert.deepEqual([status, error?.param], [400, field], field);
    assert.ok(error.message.startsWith(`${field} is `), error.message);
    for (const value of [null, ...harmless]) {
      assert.equal(await server.say({ [field]: value }), server.plain.text, field);
    }
  }
});

Deno.test("fields without effect change no reply", async () => {
  await using server = await openServer();
  for (const [field, value] of Object.entries(WITHOUT_EFFECT)) {
    assert.equal(await server.say({ [field]: value }), server.plain.text, field);
  }
});

Deno.test("a field in no list is refused by its name", async () => {
  await using server = await openServer();
  const unknown: readonly (readonly [Fields, string])[] = [
    [{ nonsense: 1 }, "nonsense"],
    [{ temprature: 0.5 }, "temprature"],
    [{ mirostat: 2 }, "mirostat"],
    [{ keep_alive: "5m" }, "keep_alive"],
    [{ stream: true, stream_options: { every: 1 } }, "stream_options.every"],
    [{ chat_template_kwargs: { effort: "low" } }, "chat_template_kwargs.effort"],
    [{ reasoning: { depth: 1 } }, "reasoning.depth"],
    [{ thinking: { type: "enabled", depth: 1 } }, "thinking.depth"],
    [{ response_format: { type: "text", strict: true } }, "response_format.strict"],
    [{ messages: [{ ...QUESTION, id: "m-1" }] }, "messages[0].id"],
    [{ messages: [{ ...QUESTION, reasoning_content: "x" }] }, "messages[0].reasoning_content"],
    [
      { messages: [{ role: "user", content: [{ type: "text", text: "x", lang: "en" }] }] },
      "messages[0].content[0].lang",
    ],
    [JSON.parse('{"__proto__": 5}'), "__proto__"],
  ];
  for (const [fields, param] of unknown) {
    const { status, error } = await server.ask(fields);
    assert.deepEqual([status, error?.param], [400, param]);
    assert.equal(error.message, `Unrecognized request argument supplied: ${param}`);
  }
  const both = await server.ask({ aa: 1, bb: 2 });
  assert.equal(both.error.message, "Unrecognized request arguments supplied: aa, bb");
});

Deno.test("tools that are not to be called are none", async () => {
  await using server = await openServer();
  const tools = [{ type: "function", function: { name: "f" } }];
  assert.equal(await server.say({ tools, tool_choice: "none" }), server.plain.text);
  const { status, error } = await server.ask({ tools, tool_choice: "auto" });
  assert.deepEqual([status, error.param], [400, "tools"]);
});
