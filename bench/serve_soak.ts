/**
 * A server under load and under abuse: `deno run --allow-all bench/serve_soak.ts [--requests 10000]`,
 * or `--minutes 2` for as many requests as fit.
 *
 * Out: requests answered, the drift of the server's resident memory, what a slow, a large and a
 * stalled client cost, and whether anything was left over. Linux: memory is read from /proc.
 */

import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { writeQuickstartModel } from "../examples/quickstart/quickstart_model.ts";
import { memoryByTenths, QUESTIONS, startServer } from "./server_process.ts";

const MIB = 2 ** 20;
const CONCURRENCY = 16;
/** Requests whose reader leaves midway, in all. */
const DISCONNECTS = 0.2;
/** Milliseconds after which a request counts as stuck. */
const STUCK = 60_000;
const SLOW_SOCKETS = 400;
const LARGE_BODY = 300 * MIB;

const { values } = parseArgs({
  options: { requests: { type: "string", default: "10000" }, minutes: { type: "string" } },
});
const requests = Number(values.requests);
/** Milliseconds of load, where they are what was asked for. */
const duration = values.minutes === undefined ? undefined : 60_000 * Number(values.minutes);

const folder = await Deno.makeTempDir({ prefix: "ortune-soak-" });
await writeQuickstartModel(`${folder}/model`, 42);
const server = await startServer(`${folder}/model`, ["--max-new-tokens", "64"]);
const { url } = server;
const port = Number(new URL(url).port);

try {
  await soak();
  await slowloris();
  await largeBody();
  await stalledReader();
  await leftOver();
} finally {
  console.log(`Ctrl-C: exit code ${await server.interrupt()}`);
  await Deno.remove(folder, { recursive: true });
}

async function soak(): Promise<void> {
  const counts = new Map<string, number>();
  const memory: number[] = [];
  let started = 0;
  let slowest = 0;
  const began = performance.now();
  const goesOn = (): boolean =>
    duration === undefined ? started < requests : performance.now() - began < duration;
  let looked = 0;
  await Promise.all(Array.from({ length: CONCURRENCY }, async () => {
    while (goesOn()) {
      const index = started++;
      const from = performance.now();
      const outcome = await oneRequest(index);
      slowest = Math.max(slowest, performance.now() - from);
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
      // Some two hundred times in all.
      const now = performance.now() - began;
      const due = duration === undefined
        ? index % Math.max(1, Math.floor(requests / 200)) === 0
        : now - looked > duration / 200;
      if (due) {
        looked = now;
        memory.push(await server.resident());
      }
    }
  }));
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `${started} requests, ${CONCURRENCY} at once, ${seconds.toFixed(0)} s: ` +
      [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(", ") +
      `; slowest ${(slowest / 1000).toFixed(1)} s`,
  );
  console.log(memoryByTenths(memory).text);
}

/** One chat, streamed or not, left midway or read to its end; what became of it. */
async function oneRequest(index: number): Promise<string> {
  const stream = index % 4 !== 0;
  const leaves = index % 10 < 10 * DISCONNECTS;
  const timeout = AbortSignal.timeout(STUCK);
  const leave = new AbortController();
  const body = JSON.stringify({
    model: "base",
    messages: [{
      role: "user",
      content: QUESTIONS[index % QUESTIONS.length].repeat(1 + index % 7),
    }],
    stream,
    max_tokens: 8 + (index * 13) % 57,
    temperature: index % 3 === 0 ? 0 : 0.8,
    seed: index,
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    if (leaves && !stream) timer = setTimeout(() => leave.abort(), index % 40);
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
      signal: AbortSignal.any([timeout, leave.signal]),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      return `with status ${response.status}`;
    }
    if (!stream) {
      const { choices } = await response.json();
      return choices[0].finish_reason ? "answered" : "broken";
    }
    let text = "";
    let chunks = 0;
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (leaves && ++chunks > index % 9) return "left";
    }
    return text.endsWith("data: [DONE]\n\n") ? "answered" : "broken";
  } catch (error) {
    if (timeout.aborted) return "stuck";
    if (leave.signal.aborted) return "left";
    return `failed (${(error as Error).message})`;
  } finally {
    clearTimeout(timer);
  }
}

/** Clients that send a byte of their headers now and then. */
async function slowloris(): Promise<void> {
  const before = await server.resident();
  const head = new TextEncoder().encode(
    "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Slow: ",
  );
  const connections = await Promise.all(
    Array.from({ length: SLOW_SOCKETS }, () => Deno.connect({ hostname: "127.0.0.1", port })),
  );
  const statuses = new Map<string, number>();
  const closed = connections.map(async (connection) => {
    const drip = setInterval(() => connection.write(new Uint8Array([97])).catch(() => {}), 500);
    await connection.write(head);
    const buffer = new Uint8Array(1024);
    const length = await connection.read(buffer).catch(() => null);
    clearInterval(drip);
    const answer = length === null ? "closed" : new TextDecoder().decode(buffer).slice(9, 12);
    statuses.set(answer, (statuses.get(answer) ?? 0) + 1);
    connection.close();
  });
  const began = performance.now();
  const meanwhile = await oneRequest(7);
  const answered = performance.now() - began;
  let during = await server.resident();
  const watch = setInterval(async () => during = Math.max(during, await server.resident()), 100);
  await Promise.all(closed);
  clearInterval(watch);
  console.log(
    `${SLOW_SOCKETS} slow clients: ${
      [...statuses].map(([answer, count]) => `${count} ${answer}`).join(", ")
    } after ${
      ((performance.now() - began) / 1000).toFixed(1)
    } s; another chat meanwhile ${meanwhile} in ` +
      `${(answered / 1000).toFixed(2)} s; resident ${signed(during - before)} at most`,
  );
}

/** A body of 300 MiB, as one of known length and in chunks. */
async function largeBody(): Promise<void> {
  for (const kind of ["known length", "chunks"] as const) {
    const before = await server.resident();
    let sent = 0;
    const piece = new Uint8Array(MIB).fill(32);
    const body = kind === "known length"
      ? new Blob(Array(LARGE_BODY / MIB).fill(piece))
      : new ReadableStream({
        pull(controller): void {
          sent += piece.length;
          if (sent > LARGE_BODY) controller.close();
          else controller.enqueue(piece);
        },
      });
    let status: number | string;
    let peak = before;
    const watch = setInterval(async () => peak = Math.max(peak, await server.resident()), 50);
    try {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
      });
      status = response.status;
      await response.body?.cancel();
    } catch (error) {
      status = (error as Error).message;
    }
    // What comes after the answer counts, too.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    clearInterval(watch);
    console.log(`a body of 300 MiB, ${kind}: ${status}; resident ${signed(peak - before)} at most`);
  }
}

/** Readers that ask for long streams and read nothing. */
async function stalledReader(): Promise<void> {
  const before = await server.resident();
  const body = JSON.stringify({
    model: "base",
    stream: true,
    n: 8,
    messages: [{ role: "user", content: "Tell me all" }],
    temperature: 2,
  });
  const connections = await Promise.all(Array.from({ length: 3 }, async () => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(new TextEncoder().encode(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    ));
    return connection;
  }));
  let after = before;
  const watch = setInterval(async () => after = Math.max(after, await server.resident()), 100);
  await new Promise((resolve) => setTimeout(resolve, 5000));
  clearInterval(watch);
  const meanwhile = await oneRequest(7);
  for (const connection of connections) connection.close();
  console.log(
    `3 readers of 8 streams each that read nothing: resident ${signed(after - before)} ` +
      `at most in 5 s; another chat meanwhile ${meanwhile}`,
  );
}

/** Whether the server has come to rest. */
async function leftOver(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const text = await (await fetch(`${url}/metrics`)).text();
  const gauge = (name: string): string => new RegExp(`^${name} (\\S+)$`, "m").exec(text)![1];
  const left = ["running", "waiting"].map((each) => `${gauge(`ortune_replies_${each}`)} ${each}`);
  console.log(`left over: ${left.join(", ")}`);
  assert.deepEqual(left, ["0 running", "0 waiting"]);
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(0)} MiB`;
}

function signed(bytes: number): string {
  return `${bytes < 0 ? "−" : "+"}${mib(Math.abs(bytes))}`;
}
