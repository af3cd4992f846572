/** Ollama's API to the letter: lines of JSON, names, options and what is refused. */

import assert from "node:assert/strict";
import { fixtureServer } from "./support/fixture_server.ts";
import { type Script, scriptedServer } from "./support/scripted_server.ts";

const REPLY: Script = async function* () {
  yield "<think>\nHm\n</think>\n\nLie down.";
};

/** Sends a body as curl does without being told a type. */
function post(url: string, path: string, body: unknown, headers = {}): Promise<Response> {
  return fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
    body: JSON.stringify(body),
  });
}

/** Reads the lines of a stream to the letter. */
async function lines(response: Response): Promise<Record<string, unknown>[]> {
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/x-ndjson");
  const text = await response.text();
  assert.ok(text.endsWith("}\n"));
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

const messages = [{ role: "user", content: "Hi" }];

Deno.test("/api/chat streams lines: thinking, content, and at last why it ended and what it took", async () => {
  await using server = await scriptedServer(REPLY);
  const all = await lines(await post(server.url, "/api/chat", { model: "base", messages }));
  const said = all.map(({ message }) => message as Record<string, string>);
  assert.equal(said.map(({ thinking = "" }) => thinking).join(""), "Hm");
  assert.equal(said.map(({ content }) => content).join(""), "Lie down.");
  assert.ok(said.every(({ role }) => role === "assistant"));
  assert.deepEqual(all.map(({ done }) => done), [...all.slice(1).map(() => false), true]);
  for (const { model, created_at } of all) {
    assert.equal(model, "base");
    assert.equal(new Date(created_at as string).toISOString(), created_at);
  }
  const last = all.at(-1)!;
  assert.equal(last.done_reason, "stop");
  assert.equal(last.eval_count, "<think>\nHm\n</think>\n\nLie down.".length - 13);
  assert.ok((last.prompt_eval_count as number) > 10);
  for (const name of ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"]) {
    assert.ok(Number.isSafeInteger(last[name]), name);
  }
});

Deno.test("/api/chat and /api/generate answer whole where stream is false, and end at num_predict", async () => {
  await using server = await scriptedServer(REPLY);
  const chat =
    await (await post(server.url, "/api/chat", { model: "base", messages, stream: false }))
      .json();
  assert.deepEqual(chat.message, { role: "assistant", content: "Lie down.", thinking: "Hm" });
  assert.deepEqual([chat.done, chat.done_reason], [true, "stop"]);
  const generated = await (await post(server.url, "/api/generate", {
    model: "base:latest",
    prompt: "Hi",
    system: "S",
    stream: false,
    keep_alive: "5m",
    options: { num_predict: 16, num_ctx: 4096, seed: 1, top_k: 5, stop: [] },
  })).json();
  assert.deepEqual(
    [generated.model, generated.response, generated.thinking, generated.done_reason],
    ["base:latest", "Lie down.".slice(0, 16 - 8), "Hm", "length"],
  );
  const loaded = await (await post(server.url, "/api/chat", { model: "base" })).json();
  assert.deepEqual([loaded.done, loaded.done_reason, loaded.message.content], [true, "load", ""]);
});

Deno.test("/api/generate with raw goes on with the prompt as it is; else it is a user's message", async () => {
  const prompts: string[] = [];
  await using server = await scriptedServer(async function* (prompt) {
    prompts.push(prompt);
    yield "<think>x";
  });
  const ask = async (fields: Record<string, unknown>): Promise<Record<string, unknown>> =>
    await (await post(server.url, "/api/generate", {
      model: "base",
      prompt: "Q",
      stream: false,
      ...fields,
    })).json();
  assert.equal((await ask({ raw: true })).response, "<think>x");
  assert.equal((await ask({ system: "S", think: false })).response, "");
  assert.deepEqual(prompts, [
    "Q",
    "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n" +
    "<think>\n\n</think>\n\n",
  ]);
});

Deno.test("options change what a sampler is asked for", async () => {
  const asked: unknown[] = [];
  await using server = await scriptedServer(async function* (_, options) {
    const { signal: _signal, model: _model, atMostNewTokens: _most, ...rest } = options;
    asked.push(rest);
    yield "x";
  });
  const options = {
    ...{ temperature: 0.5, top_k: 3, top_p: 0.9, min_p: 0.1, typical_p: 0.8, seed: 7 },
    ...{ repeat_penalty: 1.2, num_predict: 5, num_ctx: 2048, num_thread: 4 },
  };
  await lines(await post(server.url, "/api/chat", { model: "base", messages, options }));
  await lines(
    await post(server.url, "/api/chat", {
      model: "base",
      messages,
      options: { temperature: 0, num_predict: -1 },
    }),
  );
  assert.deepEqual(asked, [{
    maxNewTokens: 5,
    temperature: 0.5,
    topK: 3,
    topP: 0.9,
    minP: 0.1,
    typicalP: 0.8,
    repetitionPenalty: 1.2,
    seed: 7,
  }, { maxNewTokens: Number.MAX_SAFE_INTEGER, greedy: true }]);
});

Deno.test("Ollama's clients find the models, their template and a version", async () => {
  await using server = await scriptedServer(REPLY, { models: ["base", "lora/checkpoint-4"] });
  const read = async (path: string): Promise<Record<string, unknown>> =>
    await (await fetch(server.url + path)).json();
  const { models } = await read("/api/tags") as { models: Record<string, unknown>[] };
  assert.deepEqual(models.map(({ name }) => name), ["base", "lora/checkpoint-4"]);
  for (const { digest, modified_at, details } of models) {
    assert.match(digest as string, /^[0-9a-f]{64}$/);
    assert.ok(!Number.isNaN(Date.parse(modified_at as string)));
    assert.equal((details as Record<string, unknown>).format, "safetensors");
  }
  assert.equal(((await read("/api/ps")).models as unknown[]).length, 2);
  assert.match((await read("/api/version/")).version as string, /^\d+\.\d+\.\d+$/);
  const shown = await (await post(server.url, "/api/show", { model: "base:latest" })).json();
  assert.match(shown.template, /im_start/);
  assert.deepEqual(shown.capabilities, ["completion", "thinking"]);
});

Deno.test("refusals are Ollama's, by name; a browser's form is refused whatever it holds", async () => {
  await using server = await scriptedServer(REPLY);
  const chat = { model: "base", messages };
  const wrong: readonly (readonly [string, unknown, number, RegExp])[] = [
    ["/api/chat", { ...chat, model: "other" }, 404, /"other" does not exist; there is: base/],
    ["/api/chat", { model: "other" }, 404, /"other" does not exist/],
    ["/api/chat", { messages }, 400, /must provide a model/],
    ["/api/chat", { ...chat, tools: [{}] }, 400, /^tools is /],
    ["/api/chat", { ...chat, nonsense: 1 }, 400, /nonsense/],
    ["/api/chat", { ...chat, options: { mirostat: 2 } }, 400, /^options\.mirostat is 2/],
    ["/api/chat", { ...chat, options: { repeat_last_n: 64 } }, 400, /^options\.repeat_last_n/],
    ["/api/chat", { ...chat, options: { num_predict: 0 } }, 400, /num_predict must be/],
    ["/api/chat", { ...chat, options: { nonsense: 1 } }, 400, /options\.nonsense/],
    ["/api/chat", { ...chat, format: "xml" }, 400, /format must be json or/],
    ["/api/chat", { ...chat, think: "lots" }, 400, /think must be/],
    [
      "/api/chat",
      { ...chat, messages: [{ ...messages[0], images: ["x"] }] },
      400,
      /messages\[0\]\.images/,
    ],
    ["/api/generate", { model: "base", prompt: "x", suffix: "y" }, 400, /^suffix is /],
    ["/api/generate", { model: "base", prompt: "x", context: [1] }, 400, /^context is /],
    ["/api/generate", { model: "base", prompt: "x", raw: true, format: "json" }, 400, /raw/],
    ["/api/embed", { model: "base", input: "x" }, 404, /no embeddings.*\/api\/chat/],
    ["/api/pull", { model: "base" }, 404, /started with/],
  ];
  for (const [path, body, status, message] of wrong) {
    const response = await post(server.url, path, body);
    const { error } = await response.json();
    assert.equal(response.status, status, JSON.stringify(body));
    assert.match(error, message);
  }
  const form = await post(server.url, "/api/chat", chat, { referer: "http://evil.example/" });
  assert.equal(form.status, 415);
  await form.body?.cancel();
  const get = await fetch(`${server.url}/api/chat`);
  assert.deepEqual([get.status, typeof (await get.json()).error], [405, "string"]);
  assert.equal(server.made, 0);
});

Deno.test("a reply that fails midway ends Ollama's stream with an error, and a tool's history is rendered", async () => {
  const prompts: string[] = [];
  await using server = await scriptedServer(async function* (prompt) {
    prompts.push(prompt);
    yield "some ";
    throw new Error("broken");
  });
  const history = [
    ...messages,
    {
      role: "assistant",
      content: "",
      tool_calls: [{ function: { name: "weather", arguments: { city: "Paris" } } }],
    },
    { role: "tool", tool_name: "weather", content: "11 degrees" },
  ];
  const all = await lines(
    await post(server.url, "/api/chat", { model: "base", messages: history }),
  );
  assert.match(all.at(-1)!.error as string, /its log says why/);
  assert.ok(prompts[0].includes("<|im_start|>tool\n11 degrees<|im_end|>"));
});

Deno.test("log probabilities come with Ollama's lines", async () => {
  await using server = await fixtureServer();
  const body = { messages, logprobs: true, top_logprobs: 1, options: { num_predict: 8, seed: 3 } };
  const whole = await server.json("/api/chat", { ...body, stream: false });
  assert.ok(whole.logprobs.length > 0);
  assert.equal(whole.logprobs[0].top_logprobs.length, 1);
  const streamed = await lines(await server.post("/api/chat", body));
  assert.deepEqual(streamed.flatMap(({ logprobs = [] }) => logprobs), whole.logprobs);
});
