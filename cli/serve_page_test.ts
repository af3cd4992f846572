import assert from "node:assert/strict";
import { HOSTNAME, servePage, type ServePageOptions } from "./serve_page.ts";

/** Serves in the background until the test is over. */
async function page(
  handler: (request: Request) => Response,
  options: Partial<ServePageOptions> = {},
): Promise<{ readonly port: number } & AsyncDisposable> {
  const ended = new AbortController();
  const listening = Promise.withResolvers<number>();
  const served = servePage(handler, {
    port: 0,
    signal: ended.signal,
    onListen: listening.resolve,
    failed: "Cannot show it",
    ...options,
  });
  served.catch(listening.reject);
  return {
    port: await listening.promise,
    async [Symbol.asyncDispose](): Promise<void> {
      ended.abort();
      await served;
    },
  };
}

/** What a connection is told until it is closed. */
async function told(connection: Deno.Conn): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1024);
  for (;;) {
    const length = await connection.read(buffer).catch(() => null);
    if (length === null) return text;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
}

Deno.test("servePage() does not wait for half-sent requests", async () => {
  await using server = await page(() => new Response("here"), { headersDeadline: 300 });
  const { port } = server;
  const head = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\nX-Half: ");
  const began = performance.now();
  const halves = await Promise.all(Array.from({ length: 40 }, async () => {
    const connection = await Deno.connect({ hostname: HOSTNAME, port });
    await connection.write(head);
    return connection;
  }));
  // Others are answered meanwhile.
  assert.equal(await (await fetch(`http://${HOSTNAME}:${port}/`)).text(), "here");
  const answers = await Promise.all(halves.map(told));
  for (const connection of halves) connection.close();
  assert.ok(answers.every((answer) => /^HTTP\/1\.1 408 /.test(answer)), answers[0]);
  assert.ok(performance.now() - began < 10_000);
});

Deno.test("servePage() ends at once, whatever connections there are", async () => {
  const server = await page(() => new Response("here"));
  const idle = await Deno.connect({ hostname: HOSTNAME, port: server.port });
  await idle.write(new TextEncoder().encode("GET / HT"));
  const began = performance.now();
  await server[Symbol.asyncDispose]();
  assert.ok(performance.now() - began < 5_000);
  idle.close();
});

Deno.test("servePage() says which port is taken, and what failed", async (t) => {
  await using first = await page(() => {
    throw new Error("no such run");
  });
  await t.step("a taken port", async () => {
    await assert.rejects(
      page(() => new Response(""), { port: first.port }),
      /^Error: Cannot listen on 127\.0\.0\.1:\d+: another program does; give another --port/,
    );
  });
  await t.step("a handler that throws", async () => {
    const { error } = console;
    const lines: unknown[] = [];
    console.error = (line: unknown) => void lines.push(line);
    try {
      const response = await fetch(`http://${HOSTNAME}:${first.port}/`);
      assert.deepEqual([response.status, await response.text()], [500, "Cannot show it\n"]);
    } finally {
      console.error = error;
    }
    assert.deepEqual(lines, ["error: no such run"]);
  });
});
