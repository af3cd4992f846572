/** The server: what it answers and refuses, what it leaves at once, and that it bounds everything. */

import assert from "node:assert/strict";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { loadModel } from "../model/engine/load_model.ts";
import { BatchGenerator } from "../infer/generate/batch_generator.ts";
import { chat } from "../infer/chat/chat.ts";
import { createGenerator } from "../infer/generate/generator.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { ownHosts } from "../infer/serve/access.ts";
import { toApiError } from "../infer/serve/api_error.ts";
import { ChatService } from "../infer/serve/chat_service.ts";
import { eventStream } from "../infer/serve/event_stream.ts";
import { createHandler } from "../infer/serve/handler.ts";
import { listen } from "../infer/serve/listen.ts";
import { Metrics } from "../infer/serve/metrics.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { startDeno } from "./support/process.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath, runDeno } from "./support/run_script.ts";
import { type Script, scriptedServer } from "./support/scripted_server.ts";
import { tempFolder } from "./support/temp_folder.ts";

const JSON_TYPE = { "content-type": "application/json" };

interface Delta {
  readonly role?: string;
  readonly content?: string;
  readonly reasoning_content?: string;
  readonly reasoning?: string;
}

interface Chunk {
  readonly id: string;
  readonly object: string;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: Delta;
    readonly finish_reason: string | null;
  }[];
  readonly usage?: Record<string, unknown> | null;
  readonly error?: { readonly message: string; readonly code: string };
}

/** Asks for a completion; the fields go over a plain question. */
function ask(
  url: string,
  fields: Record<string, unknown> = {},
  init: RequestInit = {},
): Promise<Response> {
  const messages = [{ role: "user", content: "Hi" }];
  const body = JSON.stringify({ model: "base", messages, ...fields });
  return fetch(`${url}/v1/chat/completions`, { method: "POST", body, headers: JSON_TYPE, ...init });
}

/** Reads a stream to the letter: events apart by one empty line, each one line of data. */
async function readEvents(response: Response): Promise<Chunk[]> {
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  const events = (await response.text()).split("\n\n");
  assert.equal(events.pop(), "", "the last event ends with an empty line");
  assert.equal(events.pop(), "data: [DONE]");
  return events.filter((event) => !event.startsWith(":")).map((event) => {
    assert.match(event, /^data: [^\n]*$/);
    return JSON.parse(event.slice("data: ".length));
  });
}

/** A reply that does not depend on the prompt. */
function says(...pieces: readonly string[]): Script {
  return async function* () {
    yield* pieces;
  };
}

/** A reply without an end. */
const endless: Script = async function* (_, { signal }) {
  while (!signal!.aborted) {
    yield "word ";
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const THINKING = "<think>\n休息。\n</think>\n\nLie **down**.";

Deno.test("a stream has one id, a role first, thinking apart, a finish and a usage of its own", async () => {
  await using server = await scriptedServer(says(THINKING));
  const fields = { stream: true, stream_options: { include_usage: true } };
  const chunks = await readEvents(await ask(server.url, fields));
  assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
  assert.match(chunks[0].id, /^chatcmpl-[0-9a-f]{32}$/);
  for (const { object, model } of chunks) {
    assert.deepEqual([object, model], ["chat.completion.chunk", "base"]);
  }
  const usage = chunks.pop()!;
  assert.deepEqual(usage.choices, []);
  const { prompt_tokens, completion_tokens, total_tokens, completion_tokens_details } = usage
    .usage as Record<string, number> & { completion_tokens_details: Record<string, number> };
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
  assert.ok(completion_tokens_details.reasoning_tokens > 5);
  assert.ok(completion_tokens_details.reasoning_tokens < completion_tokens);
  assert.ok(chunks.every((chunk) => chunk.usage === null));
  assert.ok(chunks.every(({ choices }) => choices.length === 1 && choices[0].index === 0));
  const deltas = chunks.map(({ choices }) => choices[0].delta);
  assert.deepEqual(deltas[0], { role: "assistant", content: "" });
  assert.deepEqual(deltas.at(-1), {});
  assert.deepEqual(
    chunks.map(({ choices }) => choices[0].finish_reason).filter((each) => each !== null),
    ["stop"],
  );
  const thought = deltas.filter((delta) => delta.reasoning_content !== undefined);
  assert.equal(thought.map((delta) => delta.reasoning_content).join(""), "休息。");
  assert.ok(thought.every((delta) => delta.reasoning === delta.reasoning_content));
  assert.equal(deltas.map(({ content = "" }) => content).join(""), "Lie **down**.");
  const firstAnswer = deltas.findIndex(({ content = "" }) => content !== "");
  assert.ok(deltas.slice(firstAnswer).every((delta) => delta.reasoning_content === undefined));
});

Deno.test("a stream has no usage unless it was asked for", async () => {
  await using server = await scriptedServer(says("Hi"));
  const chunks = await readEvents(await ask(server.url, { stream: true }));
  assert.ok(chunks.every((chunk) => !("usage" in chunk) && chunk.choices.length === 1));
});

Deno.test("a completion is one object with the same", async () => {
  await using server = await scriptedServer(says(THINKING));
  const response = await ask(server.url);
  assert.equal(response.headers.get("content-type"), "application/json");
  const { id, object, choices, usage } = await response.json();
  assert.match(id, /^chatcmpl-/);
  assert.equal(object, "chat.completion");
  assert.deepEqual(choices, [{
    index: 0,
    message: {
      role: "assistant",
      content: "Lie **down**.",
      reasoning_content: "休息。",
      reasoning: "休息。",
      refusal: null,
    },
    logprobs: null,
    finish_reason: "stop",
  }]);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
});

Deno.test("several choices come in one stream, each by its index, with seeds one apart", async () => {
  const seeds: unknown[] = [];
  await using server = await scriptedServer(async function* (_, { seed }) {
    seeds.push(seed);
    yield `reply ${seed}`;
  });
  const chunks = await readEvents(await ask(server.url, { stream: true, n: 3, seed: 2 ** 32 - 1 }));
  const text = (wanted: number): string =>
    chunks.flatMap(({ choices }) => choices).filter(({ index }) => index === wanted)
      .map(({ delta }) => delta.content ?? "").join("");
  assert.deepEqual([0, 1, 2].map(text), ["reply 4294967295", "reply 0", "reply 1"]);
  const ends = chunks.flatMap(({ choices }) => choices).filter((each) => each.finish_reason);
  assert.deepEqual(ends.map(({ index }) => index).toSorted(), [0, 1, 2]);
  const { choices } = await (await ask(server.url, { n: 2, seed: 5 })).json();
  assert.deepEqual(
    choices.map(({ message }: { message: { content: string } }) => message.content),
    ["reply 5", "reply 6"],
  );
});

Deno.test("a reply ends at a stop string or at the limit of tokens, and says which", async () => {
  await using server = await scriptedServer(says("<think>END is near</think>one END two"));
  for (const stream of [false, true]) {
    const answer = async (fields: Record<string, unknown>): Promise<[string, string]> => {
      const response = await ask(server.url, { stream, ...fields });
      if (!stream) {
        const [{ message, finish_reason }] = (await response.json()).choices;
        return [message.content, finish_reason];
      }
      const chunks = await readEvents(response);
      return [
        chunks.map(({ choices }) => choices[0].delta.content ?? "").join(""),
        chunks.at(-1)!.choices[0].finish_reason!,
      ];
    };
    // Stop strings are looked for in the answer: thinking may well mention them.
    assert.deepEqual(await answer({ stop: "END" }), ["one ", "stop"]);
    assert.deepEqual(await answer({ stop: ["two", " END"] }), ["one", "stop"]);
    assert.deepEqual(await answer({ stop: "absent" }), ["one END two", "stop"]);
    assert.deepEqual(await answer({ max_tokens: 16 }), ["one", "length"]);
  }
});

Deno.test("nothing more is made after a stop string", async () => {
  await using server = await scriptedServer(endless);
  for (const stream of [false, true]) {
    const signal = AbortSignal.timeout(10_000);
    const response = await ask(server.url, { stream, stop: "d word" }, { signal });
    assert.match(await response.text(), /"finish_reason":"stop"/);
  }
  assert.equal(server.left, 2);
  assert.ok(server.made < 100, `${server.made} tokens`);
});

Deno.test("a client that leaves before its completion is counted as 499, and as no error", async () => {
  await using server = await scriptedServer(endless);
  const made = server.made;
  for (let i = 0; i < 5; i++) {
    const leave = new AbortController();
    const asked = ask(server.url, {}, { signal: leave.signal });
    await until(() => server.made > made + i, "a token");
    await until(() => server.service.running === 1, "running");
    leave.abort();
    await assert.rejects(asked, { name: "AbortError" });
    await until(() => server.service.running === 0, "left");
  }
  let text = "";
  for (let i = 0; i < 50 && !text.includes('status="499"} 5'); i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    text = await (await fetch(`${server.url}/metrics`)).text();
  }
  const chats = text.split("\n").filter((line) =>
    line.startsWith('ortune_http_requests_total{route="chat"')
  );
  assert.deepEqual(chats, ['ortune_http_requests_total{route="chat",status="499"} 5']);
  assert.deepEqual(server.errors, []);
});

Deno.test("models are listed, and found by names with slashes", async () => {
  await using server = await scriptedServer(says("x"), { models: ["base", "lora/checkpoint-4"] });
  const list = await (await fetch(`${server.url}/v1/models`)).json();
  assert.equal(list.object, "list");
  assert.deepEqual(
    list.data.map(({ id, parent }: Record<string, unknown>) => [id, parent]),
    [["base", null], ["lora/checkpoint-4", "base"]],
  );
  for (const name of ["lora/checkpoint-4", "lora%2Fcheckpoint-4"]) {
    const model = await (await fetch(`${server.url}/v1/models/${name}`)).json();
    assert.deepEqual([model.id, model.object], ["lora/checkpoint-4", "model"]);
  }
  assert.equal((await fetch(`${server.url}/v1/models/%E0%A4%A`)).status, 404);
});

Deno.test("the prompt is the template's, and the template's switch is passed on", async () => {
  const prompts: string[] = [];
  await using server = await scriptedServer(async function* (prompt) {
    prompts.push(prompt);
    yield "x";
  });
  const messages = [
    { role: "developer", content: "S" },
    { role: "user", content: [{ type: "text", text: "Q" }] },
  ];
  await ask(server.url, { messages, chat_template_kwargs: { enable_thinking: false } });
  assert.deepEqual(prompts, [
    "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n" +
    "<|im_start|>assistant\n<think>\n\n</think>\n\n",
  ]);
});

interface Refusal {
  readonly error: { readonly message: string; readonly type: string; readonly code: string };
}

Deno.test("refusals have OpenAI's shape and the right status", async () => {
  await using server = await scriptedServer(says("x"), { body: { maxBytes: 2000 } });
  const post = (body: BodyInit, headers: HeadersInit = JSON_TYPE) =>
    fetch(`${server.url}/v1/chat/completions`, { method: "POST", body, headers });
  const cases: readonly (readonly [Promise<Response>, number, string | null])[] = [
    [post("{"), 400, "invalid_json"],
    [post(new Uint8Array([0x22, 0xff, 0x22])), 400, "invalid_json"],
    [post("[".repeat(1999)), 400, "invalid_json"],
    [post("[]"), 400, "invalid_value"],
    [post("{}", { "content-type": "text/plain" }), 415, null],
    [post("{}", { "content-type": "application/x-www-form-urlencoded" }), 415, null],
    [post(" ".repeat(2001)), 413, "body_too_large"],
    [ask(server.url, { model: "gpt" }), 404, "model_not_found"],
    [ask(server.url, { temperature: 9 }), 400, "invalid_value"],
    [fetch(`${server.url}/v1/chat/completions`), 405, null],
    [fetch(`${server.url}/v1/models`, { method: "DELETE" }), 405, null],
    [fetch(`${server.url}/v1/embeddings`), 404, "not_found"],
    [fetch(`${server.url}/../../etc/passwd`), 404, "not_found"],
    [fetch(`${server.url}/.env`), 404, "not_found"],
  ];
  for (const [asked, status, code] of cases) {
    const response = await asked;
    const { error }: Refusal = await response.json();
    assert.deepEqual([response.status, error.code], [status, code], error.message);
    assert.equal(typeof error.type, "string");
    assert.equal(response.headers.get("access-control-allow-origin"), null);
    assert.equal(response.headers.get("allow") !== null, status === 405);
  }
  assert.equal(server.made, 0);
  assert.deepEqual(server.errors, []);
});

Deno.test("HEAD is GET without a body", async () => {
  await using server = await scriptedServer(says("x"));
  for (const path of ["/", "/health", "/v1/models", "/metrics"]) {
    const got = await fetch(`${server.url}${path}`);
    const length = (await got.bytes()).length;
    const head = await raw(
      server.port,
      `HEAD ${path} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nConnection: close\r\n\r\n`,
    );
    const [lines, body] = head.split("\r\n\r\n");
    assert.match(lines, /^HTTP\/1\.1 200 /);
    assert.equal(body, "");
    // The metrics have counted this request meanwhile.
    if (path !== "/metrics") {
      assert.match(lines, new RegExp(`content-length: ${length}(\r|$)`, "i"));
    }
  }
});

Deno.test("a body that goes on for ever is refused, with a length or without", async () => {
  await using server = await scriptedServer(says("x"), { body: { maxBytes: 100_000 } });
  let sent = 0;
  const body = new ReadableStream({
    pull(controller): void {
      sent += 65_536;
      controller.enqueue(new Uint8Array(65_536).fill(32));
    },
  });
  const response = await ask(server.url, {}, { body, headers: JSON_TYPE });
  assert.equal(response.status, 413);
  assert.match((await response.json()).error.message, /at most 100000 bytes/);
  assert.ok(sent < 64 * 2 ** 20, `${sent} bytes were sent`);
});

/** What a server says to bytes, until it closes. */
async function raw(port: number, bytes: string, { drip }: { drip?: number } = {}): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const encoded = new TextEncoder().encode(bytes);
  const write = async (): Promise<void> => {
    if (drip === undefined) await connection.write(encoded);
    for (let at = 0; drip !== undefined && at < encoded.length; at++) {
      await connection.write(encoded.subarray(at, at + 1));
      await new Promise((resolve) => setTimeout(resolve, drip));
    }
  };
  const written = write().catch(() => {});
  let text = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  for (;;) {
    const length = await connection.read(buffer).catch(() => null);
    if (length === null) break;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
  await written;
  return text;
}

Deno.test("who sends headers or a body too slowly is cut off with 408", async () => {
  await using server = await scriptedServer(says("x"), {
    listen: { headersDeadline: 300 },
    body: { deadline: 300 },
  });
  const began = performance.now();
  const head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:" +
    `${server.port}\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n`;
  const [headers, body, silent] = await Promise.all([
    raw(server.port, `${head.slice(0, 60)}x: ${"y".repeat(500)}`, { drip: 20 }),
    raw(server.port, `${head}${" ".repeat(500)}`, { drip: 20 }),
    raw(server.port, head),
  ]);
  for (const answer of [headers, body, silent]) assert.match(answer, /^HTTP\/1\.1 408 /);
  assert.ok(performance.now() - began < 8000);
  assert.equal((await fetch(`${server.url}/health`)).status, 200);
});

Deno.test("connections that say nothing are closed, before a request and after one", async () => {
  await using server = await scriptedServer(says("x"), {
    listen: { headersDeadline: 300, keepAlive: 300, maxConnections: 4 },
  });
  const request = `GET /health HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\n\r\n`;
  const began = performance.now();
  const [silent, idle, half] = await Promise.all([
    raw(server.port, ""),
    raw(server.port, request),
    raw(server.port, request + request.slice(0, 20)),
  ]);
  assert.match(silent, /^HTTP\/1\.1 408 /);
  assert.match(idle, /^HTTP\/1\.1 200 [^]*\{"status":"ok"\}$/);
  assert.match(half, /^HTTP\/1\.1 200 /);
  assert.ok(performance.now() - began < 8000);
  // No more connections than allowed, and room again once they are gone.
  const many = await Promise.all(Array.from({ length: 8 }, async () => {
    const answer = await raw(server.port, request);
    return answer.startsWith("HTTP/1.1 200");
  }));
  const answered = many.filter((each) => each).length;
  assert.ok(answered >= 4 && answered < 8, `${answered} of 8 connections were answered`);
  assert.equal((await fetch(`${server.url}/health`)).status, 200);
});

Deno.test("requests that no HTTP client sends are refused", async () => {
  await using server = await scriptedServer(says("x"), { listen: { headersDeadline: 500 } });
  const host = `Host: 127.0.0.1:${server.port}\r\n`;
  const close = "Connection: close\r\n\r\n";
  const cases: readonly (readonly [string, number])[] = [
    [`GET /health HTTP/1.1\r\n${host}${close}`, 200],
    [`GET /health HTTP/1.1\r\n${close}`, 400],
    [`GET /health HTTP/1.1\r\n${host}${host}${close}`, 400],
    [`GET http://evil.example/health HTTP/1.1\r\n${host}${close}`, 400],
    [`GET /health HTTP/1.1\r\n${host}X: ${"y".repeat(20_000)}\r\n${close}`, 431],
    [`BREW /health HTTP/1.1\r\n${host}${close}`, 400],
    [
      `POST /v1/chat/completions HTTP/1.1\r\n${host}Content-Length: 5\r\n` +
      `Transfer-Encoding: chunked\r\n${close}0\r\n\r\n`,
      400,
    ],
    ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
  ];
  for (const [bytes, status] of cases) {
    const answer = await raw(server.port, bytes);
    assert.equal(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]), status, bytes.slice(0, 60));
  }
});

Deno.test("the page is sent each model's system prompt, and questions to begin with", async () => {
  await using server = await scriptedServer(says("Hi"), {
    models: ["base", "lora"],
    systems: { lora: "你是医生" },
    examples: ["头痛怎么办？"],
  });
  assert.deepEqual(await (await fetch(`${server.url}/settings.json`)).json(), {
    system: "",
    systems: { base: "", lora: "你是医生" },
    examples: ["头痛怎么办？"],
  });
});

Deno.test("another Host, another site's page and a wrong key get nothing", async () => {
  await using server = await scriptedServer(says("x"), { apiKey: "s3cret" });
  const get = async (path: string, headers: Record<string, string>): Promise<number> => {
    const lines = Object.entries({
      Host: `127.0.0.1:${server.port}`,
      Connection: "close",
      ...headers,
    });
    const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const answer = await raw(server.port, `GET ${path} HTTP/1.1\r\n${text}\r\n`);
    return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
  };
  const authorization = "Bearer s3cret";
  const own = `http://127.0.0.1:${server.port}`;
  const models = "/v1/models";
  const link = { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate" };
  const cases: readonly (readonly [string, Record<string, string>, number])[] = [
    [models, { authorization }, 200],
    [models, { authorization: "bearer  s3cret" }, 200],
    [models, {}, 401],
    [models, { authorization: "Bearer s3cre" }, 401],
    [models, { authorization: "Basic s3cret" }, 401],
    ["/metrics", {}, 401],
    ["/settings.json", {}, 401],
    ["/settings.json", { authorization }, 200],
    ["/health", {}, 200],
    ["/", {}, 200],
    [models, { authorization, Host: `localhost:${server.port}` }, 200],
    [models, { authorization, Host: "evil.example" }, 403],
    [models, { authorization, Host: `evil.example:${server.port}` }, 403],
    [models, { authorization, Host: "127.0.0.1" }, 403],
    [models, { authorization, Host: `127.0.0.1:${server.port + 1}` }, 403],
    [models, { authorization, Origin: own, "Sec-Fetch-Site": "same-origin" }, 200],
    [models, { authorization, Origin: "http://evil.example" }, 403],
    [models, { authorization, Origin: `http://localhost:${server.port}` }, 403],
    [models, { authorization, Origin: "null" }, 403],
    [models, { authorization, "Sec-Fetch-Site": "cross-site" }, 403],
    ["/", { "Sec-Fetch-Site": "same-site" }, 403],
    // A frame is no link that is followed, and neither is a form that is sent.
    ["/", { ...link, "Sec-Fetch-Dest": "document" }, 200],
    ["/", { ...link, "Sec-Fetch-Dest": "iframe" }, 403],
    ["/", { ...link, "Sec-Fetch-Dest": "document", Origin: "http://evil.example" }, 403],
  ];
  for (const [path, headers, status] of cases) {
    assert.equal(await get(path, headers), status, `${path} ${JSON.stringify(headers)}`);
  }
});

Deno.test("ownHosts() knows the server's names, and any number where it listens to any", () => {
  const local = ownHosts({ hostname: "127.0.0.1", port: 80, allowed: ["Chat.lan"] });
  for (const host of ["127.0.0.1", "localhost:80", "[::1]", "chat.lan"]) assert.ok(local(host));
  for (const host of ["", "10.0.0.5", "evil.example"]) assert.ok(!local(host), host);
  const any = ownHosts({ hostname: "0.0.0.0", port: 8000 });
  for (const host of ["10.0.0.5:8000", "[fe80::1]:8000"]) assert.ok(any(host), host);
  for (const host of ["10.0.0.5:80", "evil.example:8000", "10.0.0.5.evil.example:8000"]) {
    assert.ok(!any(host), host);
  }
});

Deno.test("a reply ends within a token of its reader's leaving, streamed or not", async () => {
  await using server = await scriptedServer(endless);
  for (const fields of [{ stream: true }, { stream: false }, { stream: true, n: 3 }]) {
    const before = server.left;
    const controller = new AbortController();
    const { signal } = controller;
    const asked = ask(server.url, fields, { signal }).then(async (response) => {
      await response.body!.getReader().read();
    });
    const wanted = server.made + 50;
    await until(() => server.made > wanted, "tokens");
    controller.abort();
    await asked.catch(() => {});
    await until(() => server.left === before + (fields.n ?? 1), "all replies left");
    const { made } = server;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(server.made, made);
    await until(() => server.service.running === 0, "no request under way");
  }
  assert.deepEqual(server.errors, []);
});

Deno.test("for a reader that stands still no more is made than is on its way", async () => {
  const big: Script = async function* (_, { signal }) {
    while (!signal!.aborted) yield "x".repeat(64);
  };
  await using server = await scriptedServer(big, { listen: { readerDeadline: 1500 } });
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const body = JSON.stringify({
    model: "base",
    stream: true,
    messages: [{ role: "user", content: "Hi" }],
  });
  await connection.write(new TextEncoder().encode(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  ));
  let before = -1;
  while (server.made !== before) {
    before = server.made;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  // What the system's socket buffers take: some megabytes at 250 bytes an event.
  assert.ok(before > 100 && before < 100_000, `${before} tokens for a reader that reads none`);
  assert.equal(server.left, 0);
  await until(() => server.left === 1, "the reader is left");
  connection.close();
});

Deno.test("a reply that fails midway ends its stream with an error", async () => {
  await using server = await scriptedServer(async function* () {
    yield "one ";
    throw new Error("secret path /home/x");
  });
  const chunks = await readEvents(await ask(server.url, { stream: true }));
  const { error } = chunks.pop()!;
  assert.deepEqual(chunks.map(({ choices }) => choices[0].delta.content).join(""), "one ");
  assert.match(error!.message, /the server failed; its log says why/);
  const response = await ask(server.url);
  assert.equal(response.status, 500);
  assert.doesNotMatch(await response.text(), /secret/);
  assert.deepEqual(server.errors.map((each) => (each as Error).message), [
    "secret path /home/x",
    "secret path /home/x",
  ]);
});

Deno.test("a chat that cannot fit is refused before it is read", async () => {
  await using server = await scriptedServer(says("x"));
  const messages = [{ role: "user", content: "x".repeat(200_000) }];
  const response = await ask(server.url, { messages });
  const { error }: Refusal = await response.json();
  assert.deepEqual([response.status, error.code], [400, "context_length_exceeded"]);
});

Deno.test("eventStream() breaks a silence, and says nothing more once it is cancelled", async () => {
  let resume = (): void => {};
  async function* events(): AsyncGenerator<number, void> {
    yield 1;
    await new Promise<void>((resolve) => resume = resolve);
    yield 2;
  }
  const options = { onCancel: () => {}, onError: toApiError, heartbeat: 20 };
  const reader = eventStream(events(), options).pipeThrough(new TextDecoderStream()).getReader();
  const next = async (): Promise<string | undefined> => (await reader.read()).value;
  assert.equal(await next(), "data: 1\n\n");
  assert.equal(await next(), ": working\n\n");
  resume();
  let event = await next();
  while (event === ": working\n\n") event = await next();
  assert.equal(event, "data: 2\n\n");
  assert.equal(await next(), "data: [DONE]\n\n");

  let cancelled = 0;
  const quiet = eventStream(events(), {
    ...options,
    onCancel: () => {
      cancelled++;
      resume();
    },
  }).getReader();
  await quiet.read();
  const pending = quiet.read();
  await quiet.cancel();
  await pending;
  assert.equal(cancelled, 1);
});

Deno.test("metrics tell requests, tokens and times in Prometheus' format", async () => {
  await using server = await scriptedServer(says("abc"));
  await (await ask(server.url)).json();
  await (await ask(server.url, { model: "x" })).body?.cancel();
  const response = await fetch(`${server.url}/metrics`);
  assert.match(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  const text = await response.text();
  for (
    const line of [
      'ortune_http_requests_total{route="chat",status="200"} 1',
      'ortune_http_requests_total{route="chat",status="404"} 1',
      'ortune_completion_tokens_total{model="base"} 3',
      'ortune_request_seconds_count{model="base"} 1',
      'ortune_request_seconds_bucket{model="base",le="+Inf"} 1',
      "# TYPE ortune_first_text_seconds histogram",
      "ortune_replies_running 0",
    ]
  ) assert.ok(text.includes(`${line}\n`), line);
  for (const line of text.trimEnd().split("\n")) {
    assert.match(line, /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[^{}]*\})? [0-9.e+-]+)$/);
  }
});

Deno.test("chats of a real model together have the greedy replies of each alone; past the queue is 429", async () => {
  await using folder = await quickstartFolder();
  const model = `${folder.path}/models/tiny`;
  using runtime = new Runtime({ threads: 2 });
  const tokenizer = await loadTokenizer(model);
  const { config, weights } = await loadModel(runtime, model);
  using _weights = weights;
  await using batch = new BatchGenerator({
    runtime,
    config,
    slots: [{ weights }],
    maxRows: 3,
    maxWaiting: 3,
  });
  const metrics = new Metrics();
  const service = new ChatService({
    models: [{ id: "base", generator: batch.generator() }],
    tokenizer,
    window: batch.window,
    maxNewTokens: 40,
    metrics,
  });
  let isOwnHost = (_: string): boolean => false;
  const handler = createHandler({
    service,
    metrics,
    isOwnHost: (host) => isOwnHost(host),
    load: () => batch.load,
    onError: (cause) => assert.fail(String(cause)),
  });
  const hostname = "127.0.0.1";
  const server = await listen(handler, { hostname, port: 0, onError: console.error });
  isOwnHost = ownHosts({ hostname, port: server.port });
  const url = `http://${hostname}:${server.port}`;

  const questions = ["Hello", "头疼怎么办？", "a", "What helps?", "b", "c", "d", "e", "f"];
  const asked = await Promise.all(questions.map(async (content) => {
    const messages = [{ role: "user", content }];
    const response = await ask(url, { messages, temperature: 0, max_tokens: 400 });
    return { content, response, body: await response.json() };
  }));
  const refused = asked.filter(({ response }) => response.status === 429);
  assert.ok(refused.length > 0 && refused.length <= 3, `${refused.length} refused`);
  for (const { response, body } of refused) {
    assert.equal(response.headers.get("retry-after"), "2");
    assert.deepEqual([body.error.type, body.error.code], ["rate_limit_error", "queue_full"]);
  }
  using single = createGenerator({ runtime, config, weights });
  for (const { content, response, body } of asked) {
    if (response.status === 429) continue;
    const messages = [{ role: "user", content }] as const;
    const reply = chat(single, tokenizer, { messages, maxNewTokens: 40, greedy: true });
    const said = { think: "", answer: "" };
    for await (const { kind, text } of reply) said[kind] += text;
    const [{ message, finish_reason }] = body.choices;
    assert.equal(message.content, said.answer);
    assert.equal(message.reasoning_content ?? "", said.think);
    assert.equal(finish_reason, reply.finishReason === "length" ? "length" : "stop");
    assert.equal(body.usage.completion_tokens, reply.newTokens);
  }
  const long = [{ role: "user", content: "x ".repeat(2000) }];
  const response = await ask(url, { messages: long });
  const { error }: Refusal = await response.json();
  assert.deepEqual([response.status, error.code], [400, "context_length_exceeded"]);
  const closed = server.close();
  server.destroy();
  await closed;
});

Deno.test("the page's files come under a policy that lets in nothing else", async () => {
  await using server = await scriptedServer(says("x"));
  const types: Record<string, string> = {
    "/": "text/html",
    "/chat_client.js": "text/javascript",
    "/chat_words.js": "text/javascript",
    "/marked.js": "text/javascript",
    "/dompurify.js": "text/javascript",
    "/chat_style.css": "text/css",
    "/favicon.svg": "image/svg+xml",
  };
  for (const [path, type] of Object.entries(types)) {
    const response = await fetch(`${server.url}${path}`);
    const { headers } = response;
    assert.equal(response.status, 200, path);
    assert.equal(headers.get("content-type"), `${type}; charset=utf-8`);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    const policy = headers.get("content-security-policy")!;
    assert.match(
      policy,
      /^default-src 'none'; script-src 'self' 'sha256-[\w+/]{43}='; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify$/,
    );
    const text = await response.text();
    assert.doesNotMatch(text, /sourceMappingURL/);
    if (path.startsWith("/marked") || path.startsWith("/dompurify")) continue;
    assert.doesNotMatch(
      text.replaceAll("http://www.w3.org/2000/svg", ""),
      /https?:\/\/|@import|url\(|innerHTML|eval\(/,
    );
  }
  const settings = await (await fetch(`${server.url}/settings.json`)).json();
  assert.deepEqual(settings, { system: "", systems: { base: "" }, examples: [] });
});

// ---- the command ----

const script = repositoryPath("cli/commands/serve.ts");

Deno.test("deno task serve answers on 127.0.0.1 alone, and lets a reply end after Ctrl-C", async () => {
  await using folder = await quickstartFolder();
  const args = ["--model", `${folder.path}/models/tiny`, "--port", "0", "--model-name", "base"];
  // A busy machine makes 300 tokens in more than the 10 s of the default.
  args.push("--grace", "120");
  await using child = startDeno(script, { args });
  await child.waitFor(/Ctrl-C ends/);
  const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(child.text)!;
  const port = Number(new URL(url).port);
  for (const { family, address } of Deno.networkInterfaces()) {
    if (family !== "IPv4" || address.startsWith("127.")) continue;
    await assert.rejects(Deno.connect({ hostname: address, port }));
  }
  const taken = await runDeno([
    ...["run", "--allow-all", "--no-check", `--config=${repositoryPath("deno.json")}`, script],
    ...args.with(3, String(port)),
  ]);
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /^error: Cannot listen on 127\.0\.0\.1:\d+: .*--port$/);

  const response = await ask(url, { stream: true, temperature: 1, seed: 3, max_tokens: 300 });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = (await reader.read()).value!;
  child.kill("SIGINT");
  await child.waitFor(/1 chat under way/);
  await assert.rejects(ask(url).then((refused) => assert.equal(refused.status, 200)));
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
  }
  assert.match(text, /"finish_reason":"(stop|length)"/);
  assert.match(text, /data: \[DONE\]\n\n$/);
  assert.equal((await child.ended()).code, 130);
});

Deno.test("deno task serve has a model for each adapter, named by its folder or by a flag", async () => {
  await using folder = await quickstartFolder();
  const model = `${folder.path}/models/tiny`;
  using runtime = new Runtime({ threads: 2 });
  const adapters = await Promise.all([1, 2, 3].map(async (seed) => {
    const adapter = `${folder.path}/runs-${seed}/lora`;
    await Deno.mkdir(adapter, { recursive: true });
    await using trainer = await createLoraTrainer(model, { runtime, seed });
    await trainer.save(adapter);
    return adapter;
  }));
  const args = ["--port", "0", "--model", model, "--adapter", ...adapters];
  await using child = startDeno(script, { args: [...args, "--adapter-name", "first"] });
  await child.waitFor(/Ctrl-C ends/);
  const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(child.text)!;
  const { data } = await (await fetch(`${url}/v1/models`)).json();
  assert.deepEqual(
    data.map(({ id, parent }: { id: string; parent?: string }) => [id, parent ?? null]),
    [["tiny", null], ["first", "tiny"], ["lora", "tiny"], ["lora-adapter", "tiny"]],
  );
  // New adapters are zero, so all say the same.
  const replies = await Promise.all(data.map(async ({ id }: { id: string }) => {
    const reply = await ask(url, { model: id, temperature: 0, max_tokens: 8 });
    return (await reply.json()).choices[0].message;
  }));
  for (const reply of replies) assert.deepEqual(reply, replies[0]);
  const many = await runDeno([
    ...["run", "--allow-all", "--no-check", `--config=${repositoryPath("deno.json")}`, script],
    ...["--adapter", adapters[0], "--adapter-name", "a", "b"],
  ]);
  assert.equal(many.code, 2);
  assert.match(many.stderr, /^error: Cannot name 2 adapters: there are 1/);
});

Deno.test("deno task serve asks for a key before it lets others in, and for a model", async () => {
  const run = (...args: string[]) =>
    runDeno([
      ...["run", "--no-prompt", "--allow-read", "--allow-env=ORTUNE_API_KEY", "--no-check"],
      ...[`--config=${repositoryPath("deno.json")}`, script, ...args],
    ]);
  const open = await run("--model", "models/x", "--host", "0.0.0.0");
  assert.equal(open.code, 2);
  assert.match(open.stderr, /^error: Cannot listen on 0\.0\.0\.0 for everyone: set ORTUNE_API_KEY/);
  const nothing = await run();
  assert.equal(nothing.code, 2);
  assert.match(nothing.stderr, /give --model, or --adapter/);
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/onnx`);
  await folder.write("onnx/model_q4.onnx", "");
  const config = repositoryPath("tests/fixtures/parity/qwen3/config.json");
  await folder.write("config.json", await Deno.readTextFile(config));
  const exported = await run("--model", folder.path);
  assert.equal(exported.code, 2);
  assert.match(exported.stderr, /^error: Cannot serve the export .*: give the checkpoint/);
});
