/** Whole answers of every path, by the real server over scripted models. */

import assert from "node:assert/strict";
import { VERSION } from "../../internal/version.ts";
import { fakeClock } from "../../tests/support/fake_clock.ts";
import {
  type Script,
  type ScriptedServer,
  scriptedServer,
  type ScriptedServerOptions,
} from "../../tests/support/scripted_server.ts";
import { allowedOrigins } from "./cross_origin.ts";
import { createHandler } from "./handler.ts";
import { Metrics } from "./metrics.ts";

const REPLY: Script = async function* (prompt, { model }) {
  if (prompt.includes("broken")) {
    yield "some";
    throw new Error("broken");
  }
  if (prompt.includes("silent")) return;
  yield `<think>\nHm ${model}\n</think>\n\nYes.`;
};
const messages = [{ role: "user", content: "Hi" }];

/** An answer, with numbers that differ from run to run in place. */
interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly body: string;
  readonly headers: Headers;
}

/** What differs from run to run: ids, times and durations. */
function settled(text: string): string {
  return text
    .replace(/"(chatcmpl-|cmpl-|resp_|rs_|msg_)[0-9a-f]{32}"/g, '"$1#"')
    .replace(
      /"(created|created_at|completed_at)":(1\d{9})\b/g,
      // Of now, and no other time.
      (all, name, time) => Math.abs(Date.now() / 1000 - time) < 100 ? `"${name}":"#"` : all,
    )
    .replace(/"(created_at|modified_at)":"\d{4}-\d\d-\d\dT[\d:.]+Z"/g, '"$1":"#"')
    .replace(/"(total_duration|prompt_eval_duration|eval_duration)":\d+/g, '"$1":"#"');
}

async function ask(
  { url }: ScriptedServer,
  path: string,
  body?: unknown,
  { method = body === undefined ? "GET" : "POST", headers = {} }: {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...body === undefined ? {} : { "content-type": "application/json" },
      connection: "close",
      ...headers,
    },
    ...body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) },
  });
  const { status, headers: got } = response;
  return {
    status,
    type: got.get("content-type"),
    body: settled(await response.text()),
    headers: got,
  };
}

/** The JSON of an answer that is a success. */
async function json(server: ScriptedServer, path: string, body?: unknown): Promise<unknown> {
  const answer = await ask(server, path, body);
  assert.deepEqual([answer.status, answer.type], [200, "application/json"], answer.body);
  return JSON.parse(answer.body);
}

/** A test with a server. */
function test(
  name: string,
  run: (server: ScriptedServer) => Promise<void>,
  options: ScriptedServerOptions = {},
): void {
  Deno.test(name, async () => {
    await using server = await scriptedServer(REPLY, { models: ["base", "a/lora"], ...options });
    await run(server);
  });
}

// <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n, byte by byte but for the special ones.
const PROMPT_TOKENS = 1 + 5 + 2 + 1 + 1 + 1 + 10;
/** <think>, line break, Hm base, line break, </think>. */
const THINK_TOKENS = 1 + 1 + 7 + 1 + 1;
/** Counted up to the last of its text: the tag and what leads to it are no more of it. */
const REASONING_TOKENS = THINK_TOKENS - 2;
const TOKENS = THINK_TOKENS + 2 + 4;
const USAGE = {
  prompt_tokens: PROMPT_TOKENS,
  completion_tokens: TOKENS,
  total_tokens: PROMPT_TOKENS + TOKENS,
  completion_tokens_details: { reasoning_tokens: REASONING_TOKENS },
};

test("/v1/chat/completions answers with one object for all choices", async (server) => {
  const message = {
    role: "assistant",
    content: "Yes.",
    reasoning_content: "Hm base",
    reasoning: "Hm base",
    refusal: null,
  };
  const choice = { message, logprobs: null, finish_reason: "stop" };
  const asked = { model: "base", messages };
  assert.deepEqual(await json(server, "/v1/chat/completions", asked), {
    id: "chatcmpl-#",
    object: "chat.completion",
    created: "#",
    model: "base",
    choices: [{ index: 0, ...choice }],
    usage: USAGE,
  });
  // A slash at the end is none.
  const two = await json(server, "/v1/chat/completions/", { ...asked, n: 2, max_tokens: 13 });
  const cut = { ...message, content: "" };
  assert.deepEqual(two, {
    id: "chatcmpl-#",
    object: "chat.completion",
    created: "#",
    model: "base",
    choices: [0, 1].map((index) => ({
      index,
      message: cut,
      logprobs: null,
      finish_reason: "length",
    })),
    usage: {
      prompt_tokens: PROMPT_TOKENS,
      completion_tokens: 26,
      total_tokens: PROMPT_TOKENS + 26,
      completion_tokens_details: { reasoning_tokens: 2 * REASONING_TOKENS },
    },
  });
  const hidden = await json(server, "/v1/chat/completions", { ...asked, include_reasoning: false });
  assert.deepEqual((hidden as { choices: unknown[] }).choices, [{
    index: 0,
    message: { role: "assistant", content: "Yes.", refusal: null },
    logprobs: null,
    finish_reason: "stop",
  }]);
});

test("/v1/chat/completions streams chunks, and its usage where it is asked for", async (server) => {
  const asked = { model: "a/lora", messages, stream: true };
  const read = async (fields: Readonly<Record<string, unknown>>) => {
    const { status, type, body } = await ask(server, "/v1/chat/completions", {
      ...asked,
      ...fields,
    });
    assert.deepEqual([status, type], [200, "text/event-stream; charset=utf-8"]);
    const events = body.split("\n\n");
    assert.deepEqual(events.splice(-2), ["data: [DONE]", ""]);
    return events.map((event) => JSON.parse(event.replace(/^data: /, "")));
  };
  /** Pieces of the same kind are one, however they came. */
  const merged = (chunks: readonly { choices: { delta: Record<string, string> }[] }[]) => {
    const said = { reasoning_content: "", reasoning: "", content: "" };
    for (const { choices: [choice] } of chunks) {
      for (const [name, text] of Object.entries(choice?.delta ?? {})) {
        if (name !== "role") said[name as keyof typeof said] += text;
      }
    }
    return said;
  };
  const shared = {
    id: "chatcmpl-#",
    object: "chat.completion.chunk",
    created: "#",
    model: "a/lora",
  };
  const chunk = (delta: unknown, finish_reason: string | null, more = {}) => ({
    ...shared,
    ...more,
    choices: [{ index: 0, delta, logprobs: null, finish_reason }],
  });
  const plain = await read({});
  assert.deepEqual(plain[0], chunk({ role: "assistant", content: "" }, null));
  assert.deepEqual(plain.at(-1), chunk({}, "stop"));
  assert.deepEqual(merged(plain), {
    reasoning_content: "Hm a/lora",
    reasoning: "Hm a/lora",
    content: "Yes.",
  });
  for (const each of plain.slice(1, -1)) assert.deepEqual(each, chunk(each.choices[0].delta, null));
  const told = await read({ stream_options: { include_usage: true } });
  assert.deepEqual(told[0], chunk({ role: "assistant", content: "" }, null, { usage: null }));
  assert.deepEqual(told.at(-2), chunk({}, "stop", { usage: null }));
  const longer = "a/lora".length - "base".length;
  assert.deepEqual(told.at(-1), {
    ...shared,
    choices: [],
    usage: {
      prompt_tokens: PROMPT_TOKENS,
      completion_tokens: TOKENS + longer,
      total_tokens: PROMPT_TOKENS + TOKENS + longer,
      completion_tokens_details: { reasoning_tokens: REASONING_TOKENS + longer },
    },
  });
  const three = await read({ n: 3 });
  const indices = three.map(({ choices: [{ index }] }) => index);
  assert.deepEqual(indices.slice(0, 3), [0, 1, 2]);
  for (const index of [0, 1, 2]) {
    const own = three.filter(({ choices: [choice] }) => choice.index === index);
    assert.equal(merged(own).content, "Yes.");
    assert.equal(own.at(-1).choices[0].finish_reason, "stop");
  }
});

test("/v1/completions goes on with a prompt, whole or in chunks", async (server) => {
  const asked = { model: "base", prompt: "Q", max_tokens: 50 };
  const text = "<think>\nHm base\n</think>\n\nYes.";
  const shared = { id: "cmpl-#", object: "text_completion", created: "#", model: "base" };
  const usage = {
    prompt_tokens: 1,
    completion_tokens: TOKENS,
    total_tokens: 1 + TOKENS,
    completion_tokens_details: { reasoning_tokens: 0 },
  };
  const choice = (index: number, text: string, finish_reason: string | null) => ({
    index,
    text,
    logprobs: null,
    finish_reason,
  });
  assert.deepEqual(await json(server, "/v1/completions", asked), {
    ...shared,
    choices: [choice(0, text, "stop")],
    usage,
  });
  const several = { ...asked, prompt: ["Q", "R"], n: 2, echo: true, stop: "base" };
  assert.deepEqual(await json(server, "/v1/completions", several), {
    ...shared,
    choices: ["Q", "Q", "R", "R"].map((prompt, index) =>
      choice(index, `${prompt}<think>\nHm `, "stop")
    ),
    usage: {
      prompt_tokens: 2,
      // A stop text is made before it is cut off.
      completion_tokens: 4 * (THINK_TOKENS - 2),
      total_tokens: 2 + 4 * (THINK_TOKENS - 2),
      completion_tokens_details: { reasoning_tokens: 0 },
    },
  });
  const streamed = await ask(server, "/v1/completions", {
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  });
  const events = streamed.body.split("\n\n").slice(0, -2)
    .map((event) => JSON.parse(event.replace("data: ", "")));
  assert.deepEqual(events.at(-1), { ...shared, choices: [], usage });
  assert.deepEqual(events.at(-2), { ...shared, usage: null, choices: [choice(0, "", "stop")] });
  const pieces = events.slice(0, -2);
  assert.equal(pieces.map(({ choices: [each] }) => each.text).join(""), text);
  for (const each of pieces) {
    const expected = choice(0, each.choices[0].text, null);
    assert.deepEqual(each, { ...shared, usage: null, choices: [expected] });
  }
});

const RESPONSE = {
  id: "resp_#",
  object: "response",
  created_at: "#",
  model: "base",
  background: false,
  error: null,
  instructions: null,
  max_output_tokens: null,
  max_tool_calls: null,
  metadata: {},
  parallel_tool_calls: true,
  previous_response_id: null,
  reasoning: { effort: null, summary: null },
  store: false,
  temperature: null,
  text: { format: { type: "text" } },
  tool_choice: "auto",
  tools: [],
  top_logprobs: 0,
  top_p: null,
  truncation: "disabled",
  user: null,
};
const RESPONSE_USAGE = {
  input_tokens: PROMPT_TOKENS,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: TOKENS,
  output_tokens_details: { reasoning_tokens: REASONING_TOKENS },
  total_tokens: PROMPT_TOKENS + TOKENS,
};
const THOUGHT = {
  id: "rs_#",
  type: "reasoning",
  status: "completed",
  summary: [],
  content: [{ type: "reasoning_text", text: "Hm base" }],
};
const SAID = {
  id: "msg_#",
  type: "message",
  status: "completed",
  role: "assistant",
  content: [{ type: "output_text", text: "Yes.", annotations: [], logprobs: [] }],
};

test("/v1/responses answers with items, and repeats what was asked", async (server) => {
  assert.deepEqual(await json(server, "/v1/responses", { model: "base", input: "Hi" }), {
    ...RESPONSE,
    status: "completed",
    incomplete_details: null,
    output: [THOUGHT, SAID],
    usage: RESPONSE_USAGE,
    completed_at: "#",
  });
  const asked = {
    instructions: "Be brief.",
    max_output_tokens: 14,
    max_tool_calls: 3,
    metadata: { a: "b" },
    parallel_tool_calls: false,
    reasoning: { effort: "low" },
    temperature: 0.5,
    text: { format: { type: "text" }, verbosity: "medium" },
    tool_choice: "none",
    top_logprobs: 0,
    top_p: 0.9,
    user: "me",
  };
  const cut = await json(server, "/v1/responses", { model: "base", input: "Hi", ...asked });
  const system = 1 + 7 + 9 + 1 + 1;
  assert.deepEqual(cut, {
    ...RESPONSE,
    ...asked,
    reasoning: { effort: "low", summary: null },
    status: "incomplete",
    incomplete_details: { reason: "max_output_tokens" },
    output: [THOUGHT, {
      ...SAID,
      status: "incomplete",
      content: [{ type: "output_text", text: "Y", annotations: [], logprobs: [] }],
    }],
    usage: {
      ...RESPONSE_USAGE,
      input_tokens: PROMPT_TOKENS + system,
      output_tokens: 14,
      total_tokens: PROMPT_TOKENS + system + 14,
    },
    completed_at: null,
  });
  const silent = await json(server, "/v1/responses", { model: "base", input: "silent" });
  assert.deepEqual((silent as { output: unknown }).output, []);
});

test("/v1/responses streams events by their names, numbered from 0", async (server) => {
  const { type, body } = await ask(server, "/v1/responses", {
    model: "base",
    input: "Hi",
    stream: true,
  });
  assert.equal(type, "text/event-stream; charset=utf-8");
  const events = body.split("\n\n").slice(0, -1).map((event) => {
    const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(event)!;
    const value = JSON.parse(data);
    assert.equal(value.type, name);
    return value;
  });
  // Deltas of one item are one, however they came.
  const joined: Record<string, unknown>[] = [];
  for (const [number, { sequence_number, ...event }] of events.entries()) {
    assert.equal(sequence_number, number);
    const before = joined.at(-1);
    if (before && before.type === event.type && "delta" in event) before.delta += event.delta;
    else joined.push(event);
  }
  const started = {
    ...RESPONSE,
    status: "in_progress",
    incomplete_details: null,
    output: [],
    usage: null,
  };
  const at = (item_id: string, output_index: number) => ({ item_id, output_index });
  const [thinking, message] = [{ ...at("rs_#", 0), content_index: 0 }, {
    ...at("msg_#", 1),
    content_index: 0,
  }];
  assert.deepEqual(joined, [
    { type: "response.created", response: started },
    { type: "response.in_progress", response: started },
    {
      type: "response.output_item.added",
      output_index: 0,
      item: { ...THOUGHT, status: "in_progress", content: [] },
    },
    {
      type: "response.content_part.added",
      ...thinking,
      part: { type: "reasoning_text", text: "" },
    },
    { type: "response.reasoning_text.delta", ...thinking, delta: "Hm base" },
    { type: "response.reasoning_text.done", ...thinking, text: "Hm base" },
    { type: "response.content_part.done", ...thinking, part: THOUGHT.content[0] },
    { type: "response.output_item.done", output_index: 0, item: THOUGHT },
    {
      type: "response.output_item.added",
      output_index: 1,
      item: { ...SAID, status: "in_progress", content: [] },
    },
    {
      type: "response.content_part.added",
      ...message,
      part: { ...SAID.content[0], text: "" },
    },
    { type: "response.output_text.delta", ...message, delta: "Yes.", logprobs: [] },
    { type: "response.output_text.done", ...message, text: "Yes.", logprobs: [] },
    { type: "response.content_part.done", ...message, part: SAID.content[0] },
    { type: "response.output_item.done", output_index: 1, item: SAID },
    {
      type: "response.completed",
      response: {
        ...RESPONSE,
        status: "completed",
        incomplete_details: null,
        output: [THOUGHT, SAID],
        usage: RESPONSE_USAGE,
        completed_at: "#",
      },
    },
  ]);
});

const OLLAMA_END = {
  done: true,
  done_reason: "stop",
  total_duration: "#",
  load_duration: 0,
  prompt_eval_count: PROMPT_TOKENS,
  prompt_eval_duration: "#",
  eval_count: TOKENS,
  eval_duration: "#",
};

Deno.test("Ollama's answers tell how long the prompt took, and how long the reply", async () => {
  using clock = fakeClock();
  const timed: Script = async function* (prompt) {
    clock.pass(30);
    if (prompt.includes("silent")) return;
    yield "<think>\n\n</think>\n\nYes";
    clock.pass(50);
    yield ".";
  };
  await using server = await scriptedServer(timed);
  const durations = async (content: string): Promise<readonly number[]> => {
    const asked = { model: "base:latest", stream: false, messages: [{ role: "user", content }] };
    const answer = await fetch(`${server.url}/api/chat`, {
      method: "POST",
      headers: { "content-type": "application/json", connection: "close" },
      body: JSON.stringify(asked),
    });
    const told = await answer.json();
    return [told.total_duration, told.prompt_eval_duration, told.eval_duration];
  };
  assert.deepEqual(await durations("Hi"), [80e6, 30e6, 50e6]);
  assert.deepEqual(await durations("silent"), [30e6, 30e6, 0]);
});

test("Ollama's paths answer whole or in lines, and load what is loaded", async (server) => {
  const head = { model: "base:latest", created_at: "#" };
  const asked = { model: "base:latest", stream: false };
  const cases: readonly (readonly [string, unknown, unknown, unknown])[] = [
    [
      "/api/chat",
      { ...asked, messages },
      { message: { role: "assistant", content: "Yes.", thinking: "Hm base" } },
      { message: { role: "assistant", content: "" } },
    ],
    ["/api/generate", { ...asked, prompt: "Hi" }, { response: "Yes.", thinking: "Hm base" }, {
      response: "",
    }],
  ];
  for (const [path, body, said, nothing] of cases) {
    assert.deepEqual(await json(server, path, body), { ...head, ...said as object, ...OLLAMA_END });
    assert.deepEqual(await json(server, path, asked), {
      ...head,
      ...nothing as object,
      done: true,
      done_reason: "load",
    });
    const streamed = await ask(server, path, { ...body as object, stream: true });
    assert.equal(streamed.type, "application/x-ndjson");
    const lines = streamed.body.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.pop(), { ...head, ...nothing as object, ...OLLAMA_END });
    let [thinking, answer] = ["", ""];
    for (const { message, response, thinking: own, ...rest } of lines) {
      assert.deepEqual(rest, { ...head, done: false });
      thinking += message?.thinking ?? own ?? "";
      answer += message?.content ?? response;
    }
    assert.deepEqual([thinking, answer], ["Hm base", "Yes."]);
  }
  const refused = await ask(server, "/api/chat", { model: "other", messages });
  assert.deepEqual([refused.status, JSON.parse(refused.body)], [404, {
    error: 'The model "other" does not exist; there is: base, a/lora',
  }]);
});

test("Ollama's clients find models, their description and a version", async (server) => {
  const details = (parent: string) => ({
    parent_model: parent,
    format: "safetensors",
    family: "ortune",
    families: ["ortune"],
    parameter_size: "",
    quantization_level: "",
  });
  const model = (name: string, digest: string, parent = "") => ({
    name,
    model: name,
    modified_at: "#",
    size: 0,
    digest,
    details: details(parent),
    context_length: 1 << 20,
  });
  const digests = await Promise.all(["base", "a/lora"].map(async (name) => {
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
    return new Uint8Array(hash).toHex();
  }));
  const list = { models: [model("base", digests[0]), model("a/lora", digests[1], "base")] };
  assert.deepEqual(await json(server, "/api/tags"), list);
  assert.deepEqual(await json(server, "/api/ps"), list);
  assert.deepEqual(await json(server, "/api/version"), {
    version: "0.12.11",
    server: `ortune ${VERSION}`,
  });
  for (const body of [{ model: "a/lora:latest" }, { name: "a/lora" }]) {
    const shown = await json(server, "/api/show", body) as Record<string, unknown>;
    const { template, ...rest } = shown;
    assert.match(template as string, /enable_thinking/);
    assert.deepEqual(rest, {
      system: "Be brief.",
      parameters: "",
      details: details("base"),
      model_info: { "general.architecture": "ortune", "ortune.context_length": 1 << 20 },
      capabilities: ["completion", "thinking"],
      modified_at: "#",
    });
  }
  const wrong: readonly (readonly [unknown, number, string])[] = [
    [{}, 400, "model is required: one of GET /api/tags"],
    [[], 400, "The body must be a JSON object"],
    [{ model: "x" }, 404, 'The model "x" does not exist; there is: base, a/lora'],
    [{ model: "base", other: 1 }, 400, "Unrecognized request argument supplied: other"],
  ];
  for (const [body, status, error] of wrong) {
    const answer = await ask(server, "/api/show", body);
    assert.deepEqual([answer.status, JSON.parse(answer.body)], [status, { error }]);
  }
}, { systems: { "a/lora": "Be brief." } });

test("models are listed and found, health and settings told", async (server) => {
  const model = (id: string, parent: string | null) => ({
    id,
    object: "model",
    created: "#",
    owned_by: "ortune",
    parent,
    max_model_len: 1 << 20,
  });
  const [base, lora] = [model("base", null), model("a/lora", "base")];
  assert.deepEqual(await json(server, "/v1/models"), { object: "list", data: [base, lora] });
  for (const name of ["a/lora", "a%2Flora"]) {
    assert.deepEqual(await json(server, `/v1/models/${name}`), lora);
  }
  assert.deepEqual(await json(server, "/v1/models/base/"), base);
  const unknown = await ask(server, "/v1/models/%zz");
  assert.deepEqual([unknown.status, JSON.parse(unknown.body)], [404, {
    error: {
      message: 'The model "%zz" does not exist; there is: base, a/lora',
      type: "invalid_request_error",
      param: "model",
      code: "model_not_found",
    },
  }]);
  assert.deepEqual(await json(server, "/health"), { status: "ok" });
  assert.deepEqual(await json(server, "/settings.json"), {
    system: "",
    systems: { base: "", "a/lora": "Be brief." },
    examples: ["Why?"],
  });
  server.service.close();
  const stopping = {
    error: {
      message: "The server is stopping",
      type: "service_unavailable_error",
      param: null,
      code: "stopping",
    },
  };
  for (const [path, body] of [["/health"], ["/v1/chat/completions", { model: "base", messages }]]) {
    const answer = await ask(server, path as string, body);
    assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "5"]);
    assert.deepEqual(JSON.parse(answer.body), stopping);
  }
}, { systems: { "a/lora": "Be brief." }, examples: ["Why?"] });

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** Headers of an answer but for those of the connection. */
function headersOf({ headers }: Answer): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...headers].filter(([name]) => !["date", "connection", "vary", "keep-alive"].includes(name)),
  );
}

test("answers bear the same headers, the page another policy", async (server) => {
  const health = await ask(server, "/health");
  assert.deepEqual(headersOf(health), {
    ...HEADERS,
    "content-type": "application/json",
    "content-length": "15",
  });
  const asked = { model: "base", messages, stream: true };
  const stream = await ask(server, "/v1/chat/completions", asked);
  const { "transfer-encoding": _chunked, ...others } = headersOf(stream);
  assert.deepEqual(others, {
    ...HEADERS,
    "content-type": "text/event-stream; charset=utf-8",
    "x-accel-buffering": "no",
  });
  const page = await ask(server, "/");
  assert.deepEqual([page.status, page.type], [200, "text/html; charset=utf-8"]);
  assert.match(page.headers.get("content-security-policy")!, /script-src/);
  // HEAD has no body.
  const head = await ask(server, "/health", undefined, { method: "HEAD" });
  assert.deepEqual([head.status, head.body], [200, ""]);
});

test("a method that a path has not is refused with those that it has", async (server) => {
  const wrong: readonly (readonly [string, string, string])[] = [
    ["/v1/chat/completions", "GET", "POST"],
    ["/v1/completions", "DELETE", "POST"],
    ["/v1/models", "DELETE", "GET, HEAD"],
    ["/health", "DELETE", "GET, HEAD"],
    ["/", "OPTIONS", "GET, HEAD"],
  ];
  for (const [path, method, allow] of wrong) {
    const answer = await ask(server, path, undefined, { method });
    assert.deepEqual([answer.status, answer.headers.get("allow")], [405, allow], path);
    assert.deepEqual(JSON.parse(answer.body), {
      error: {
        message: `The method must be ${allow.replace(", ", " or ")}`,
        type: "invalid_request_error",
        param: null,
        code: null,
      },
    });
  }
  const ollama = await ask(server, "/api/tags", undefined, { method: "DELETE" });
  assert.deepEqual([ollama.status, JSON.parse(ollama.body)], [405, {
    error: "The method must be GET or HEAD",
  }]);
});

test("a reply that fails says so, whole or midway, and is the server's own fault", async (server) => {
  const message = "Cannot answer: the server failed; its log says why";
  const error = { message, type: "server_error", param: null, code: null };
  const asked = { model: "base", messages: [{ role: "user", content: "broken" }] };
  const whole = await ask(server, "/v1/chat/completions", asked);
  assert.deepEqual([whole.status, JSON.parse(whole.body)], [500, { error }]);
  const streamed = await ask(server, "/v1/chat/completions", { ...asked, stream: true });
  assert.deepEqual(streamed.body.split("\n\n").slice(-3), [
    `data: ${JSON.stringify({ error })}`,
    "data: [DONE]",
    "",
  ]);
  const lines = await ask(server, "/api/chat", asked);
  assert.equal(lines.body.trimEnd().split("\n").at(-1), JSON.stringify({ error: message }));
  const events = await ask(server, "/v1/responses", {
    model: "base",
    input: "broken",
    stream: true,
  });
  assert.match(
    events.body.split("\n\n").at(-2)!,
    /^event: error\ndata: \{"type":"error","sequence_number":\d+,"code":"server_error","message":"Cannot answer.*","param":null\}$/,
  );
  assert.deepEqual(server.errors.map(String), Array(4).fill("Error: broken"));
});

test("a key is asked for, but not of who asks for leave or health", async (server) => {
  const bearer = { headers: { authorization: "Bearer s3cret" } };
  const wrong = await ask(server, "/v1/models");
  assert.deepEqual([wrong.status, wrong.headers.get("www-authenticate")], [401, "Bearer"]);
  assert.deepEqual(JSON.parse(wrong.body).error.type, "authentication_error");
  assert.equal((await ask(server, "/v1/models", undefined, bearer)).status, 200);
  for (const path of ["/health", "/", "/settings.json"]) {
    const expected = path === "/settings.json" ? 401 : 200;
    assert.equal((await ask(server, path)).status, expected, path);
  }
  const origin = "http://page.example";
  const leave = await ask(server, "/v1/chat/completions", undefined, {
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "POST" },
  });
  assert.deepEqual([leave.status, leave.headers.get("access-control-allow-methods")], [
    204,
    "POST",
  ]);
  assert.equal(leave.headers.get("access-control-allow-origin"), origin);
  // What asks for no leave is answered, and may be read.
  const headers = { origin, authorization: "Bearer s3cret" };
  const listed = await ask(server, "/v1/models", undefined, { headers });
  const cors = ({ headers: got }: Answer) => [
    got.get("access-control-allow-origin"),
    got.get("cross-origin-resource-policy"),
    got.get("vary"),
  ];
  assert.deepEqual([listed.status, cors(listed)], [200, [origin, "cross-origin", "Origin"]]);
  assert.deepEqual(cors(wrong), [null, "same-origin", "Origin"]);
  const asks = await ask(server, "/health", undefined, { method: "OPTIONS", headers });
  assert.deepEqual([asks.status, asks.headers.get("allow")], [405, "GET, HEAD"]);
}, { apiKey: "s3cret", allowOrigin: allowedOrigins(["http://page.example"]) });

test("metrics count requests by route and status", async (server) => {
  await ask(server, "/health");
  await ask(server, "/health");
  await ask(server, "/nothing");
  await json(server, "/v1/chat/completions", { model: "base", messages });
  const { type, body } = await ask(server, "/metrics");
  assert.equal(type, "text/plain; version=0.0.4; charset=utf-8");
  const lines = body.split("\n").filter((line) => !/_seconds|^#/.test(line));
  assert.deepEqual(lines, [
    'ortune_http_requests_total{route="health",status="200"} 2',
    'ortune_http_requests_total{route="other",status="404"} 1',
    'ortune_http_requests_total{route="chat",status="200"} 1',
    `ortune_completion_tokens_total{model="base"} ${TOKENS}`,
    `ortune_prompt_tokens_total{model="base"} ${PROMPT_TOKENS}`,
    "ortune_replies_running 0",
    "ortune_replies_waiting 0",
    "ortune_cache_reserved_positions 0",
    `ortune_cache_positions ${1 << 20}`,
    "ortune_decoding_steps_total 0",
    "",
  ]);
  const counted = body.split("\n").filter((line) => /_seconds_count/.test(line));
  assert.deepEqual(counted, [
    'ortune_first_text_seconds_count{model="base"} 1',
    'ortune_request_seconds_count{model="base"} 1',
  ]);
});

test("models are said to be made when the server began, or at a given time", async (server) => {
  const times = async (now?: Date): Promise<unknown> => {
    const handler = createHandler({
      service: server.service,
      metrics: new Metrics(),
      isOwnHost: () => true,
      load: () => assert.fail(),
      onError: () => assert.fail(),
      now,
    });
    const read = async (path: string) => (await handler(new Request(`http://a${path}`))).json();
    const [{ data: [{ created }] }, { models: [{ modified_at }] }] = [
      await read("/v1/models"),
      await read("/api/tags"),
    ];
    return now ? [created, modified_at] : created;
  };
  assert.deepEqual(await times(new Date(1_700_000_000_999)), [
    1_700_000_000,
    "2023-11-14T22:13:20.000Z",
  ]);
  assert.ok(Math.abs(await times() as number - Date.now() / 1000) < 100);
});
