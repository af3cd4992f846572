/** The server stays awake: it answers within two steps while replies are made and long chats read. */

import assert from "node:assert/strict";
import { chatPrompt } from "../infer/chat/chat_prompt.ts";
import type { Generator } from "../infer/generate/generator.ts";
import type { Generation } from "../infer/generate/generation.ts";
import { ChatService } from "../infer/serve/chat_service.ts";
import { parseChatRequest } from "../infer/serve/chat_request.ts";
import { Metrics } from "../infer/serve/metrics.ts";
import { startDeno } from "./support/process.ts";
import { qwen3Tokenizer } from "./support/qwen3_tokenizer.ts";
import { repositoryPath } from "./support/run_script.ts";

const STEP = 30;
const busyServer = () =>
  startDeno(repositoryPath("tests/support/busy_server.ts"), { args: [String(STEP)] });

/** From a connection of its own to the first byte of the answer, by the clock. */
async function ask(port: number, request: string): Promise<{ from: number; to: number }> {
  const bytes = new TextEncoder().encode(request);
  const from = Date.now();
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(bytes);
  const buffer = new Uint8Array(64);
  const length = await connection.read(buffer);
  const to = Date.now();
  assert.match(new TextDecoder().decode(buffer.subarray(0, length!)), /^HTTP\/1\.1 200 /);
  return { from, to };
}

Deno.test("while a reply is made, /health and a new chat are answered within two steps", async () => {
  await using server = busyServer();
  await server.waitFor(/port \d+\./);
  const port = Number(/port (\d+)\./.exec(server.text)![1]);
  const host = `Host: 127.0.0.1:${port}\r\nConnection: close\r\n`;
  const body = JSON.stringify({
    model: "base",
    stream: true,
    max_tokens: 2,
    messages: [{ role: "user", content: "Hi" }],
  });
  const requests = {
    health: `GET /health HTTP/1.1\r\n${host}\r\n`,
    chat: `POST /v1/chat/completions HTTP/1.1\r\n${host}Content-Type: application/json\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`,
  };
  const answers: { name: string; from: number; to: number }[] = [];
  for (const [name, request] of Object.entries(requests)) {
    // The pauses are no multiple of a step, so that all moments of one come.
    for (let i = 0; i < 20; i++) {
      answers.push({ name, ...await ask(port, request) });
      await new Promise((resolve) => setTimeout(resolve, 37));
    }
  }
  const interrupted = Date.now();
  server.kill("SIGINT");
  await server.waitFor(/steps \[.*\]\./);
  const times: readonly number[] = JSON.parse(/steps (\[.*\])\./.exec(server.text)![1]);
  // The server's own steps: other programs on this machine may stretch each of them.
  const steps = ({ from, to }: { from: number; to: number }): number =>
    times.filter((time) => time > from && time <= to).length;
  for (const name of Object.keys(requests)) {
    const counts = answers.filter((answer) => answer.name === name).map(steps);
    counts.sort((a, b) => a - b);
    // One outlier is the client's, who may be stopped with the answer in its hands.
    assert.ok(counts[counts.length - 2] <= 2, `${name}: ${counts} steps`);
  }
  const late = times.filter((time) => time > interrupted).length;
  assert.ok(late <= 2, `${late} steps after SIGINT`);
});

Deno.test("a chat of 131,000 characters is read while others are answered, and then refused", async () => {
  const tokenizer = await qwen3Tokenizer();
  let state = 7;
  const draw = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % 20_000;
  const content = Array.from({ length: 131_000 }, () => String.fromCharCode(0x4e00 + draw()));
  const window = 40_960;
  const generator: Generator = {
    generate(ids: ArrayLike<number>): Generation {
      throw new RangeError(`Cannot generate: the prompt has ${ids.length} tokens`);
    },
    [Symbol.dispose]: () => {},
  };
  const service = new ChatService({
    models: [{ id: "m", generator }],
    tokenizer,
    window,
    maxNewTokens: 50,
    metrics: new Metrics(),
  });
  const messages = [{ role: "user" as const, content: content.join("") }];
  const request = parseChatRequest({ model: "m", messages });
  const ids = tokenizer.encode(chatPrompt(tokenizer, messages, {}).text);

  let longest = 0;
  let last = performance.now();
  const ticks = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const began = performance.now();
  try {
    const prepared = await service.prepare(request);
    assert.deepEqual(prepared.prompts[0].ids, ids);
    assert.throws(() => service.start(request, prepared), { code: "context_length_exceeded" });
  } finally {
    clearInterval(ticks);
  }
  const total = performance.now() - began;
  assert.ok(longest < total / 3, `held the loop for ${longest} of ${total} ms`);
});

Deno.test("a server that stops does not read a long chat to its end", async () => {
  const tokenizer = await qwen3Tokenizer();
  const service = new ChatService({
    models: [{
      id: "m",
      generator: { generate: () => assert.fail("generated"), [Symbol.dispose]: () => {} },
    }],
    tokenizer,
    window: 40_960,
    maxNewTokens: 50,
    metrics: new Metrics(),
  });
  const content = "头疼怎么办".repeat(26_000);
  const request = parseChatRequest({ model: "m", messages: [{ role: "user", content }] });
  const prepared = service.prepare(request);
  service.close();
  await assert.rejects(prepared, { status: 503 });
});
