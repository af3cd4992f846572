import assert from "node:assert/strict";
import { listen, type Listening, type ListenOptions } from "./listen.ts";

const HOST = "127.0.0.1";

/** A server for a test, and what it was told. */
async function serverOf(
  handler: (request: Request) => Response | Promise<Response>,
  options: Partial<ListenOptions> = {},
): Promise<Listening & { readonly errors: unknown[]; readonly url: string } & AsyncDisposable> {
  const errors: unknown[] = [];
  const server = await listen((request) => Promise.resolve(handler(request)), {
    hostname: HOST,
    port: 0,
    onError: (cause) => void errors.push(cause),
    ...options,
  });
  return {
    ...server,
    errors,
    url: `http://${HOST}:${server.port}`,
    async [Symbol.asyncDispose](): Promise<void> {
      const closed = server.close();
      server.destroy();
      await closed;
    },
  };
}

/** All that a connection answers to these bytes. */
async function raw(port: number, ...parts: readonly string[]): Promise<string> {
  using connection = await Deno.connect({ hostname: HOST, port });
  const writer = connection.writable.getWriter();
  try {
    for (const part of parts) await writer.write(new TextEncoder().encode(part));
  } catch {
    // A server that refuses may close before all is sent.
  }
  let text = "";
  try {
    for await (const chunk of connection.readable) text += new TextDecoder().decode(chunk);
  } catch {
    // Or reset the connection behind its answer.
  }
  return text;
}

/** Where a header has another value each time. */
const status = (answer: string): string => answer.split("\r\n")[0];

Deno.test("listen() passes on method, path, headers and body, and sends the answer", async () => {
  let activity = 0;
  await using server = await serverOf(async (request) => {
    const { method, url, headers } = request;
    return Response.json({
      method,
      path: url,
      header: headers.get("x-a"),
      body: await request.text(),
    }, { status: 201, headers: { "x-b": "c" } });
  }, { onActivity: () => activity++ });
  const response = await fetch(`${server.url}/a%20b?c=d`, {
    method: "PUT",
    headers: { "x-a": "é".normalize("NFC").length === 1 ? "value" : "" },
    body: "text",
  });
  assert.deepEqual([response.status, response.headers.get("x-b")], [201, "c"]);
  assert.deepEqual(await response.json(), {
    method: "PUT",
    path: "http://server/a%20b?c=d",
    header: "value",
    body: "text",
  });
  // A connection, a request, a part of its body and its end.
  assert.equal(activity, 4);
  assert.deepEqual(server.errors, []);
});

Deno.test("listen() reads no body of GET and HEAD, and several values of a header", async () => {
  await using server = await serverOf((request) =>
    new Response(`${request.body === null} ${request.headers.get("x-a")}`)
  );
  const answer = await raw(
    server.port,
    "GET / HTTP/1.1\r\nhost: a\r\nx-a: 1\r\nx-a: 2\r\nconnection: close\r\n\r\n",
  );
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(answer, /true 1, 2/);
  const head = await raw(server.port, "HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  assert.equal(head.split("\r\n\r\n")[1], "");
});

Deno.test("listen() refuses what is no web request, and headers beyond 16 KiB", async () => {
  await using server = await serverOf(() => new Response("fine"));
  const request = (line: string, headers: string): Promise<string> =>
    raw(server.port, `${line} HTTP/1.1\r\n${headers}connection: close\r\n\r\n`);
  assert.equal(status(await request("GET /", "host: a\r\n")), "HTTP/1.1 200 OK");
  for (
    const [line, headers] of [
      ["GET http://other/", "host: a\r\n"],
      ["GET *", "host: a\r\n"],
      ["GET /", "host: a\r\nhost: b\r\n"],
    ]
  ) {
    const answer = await request(line, headers);
    assert.equal(status(answer), "HTTP/1.1 400 Bad Request", line);
    assert.match(answer, /connection: close/i);
  }
  const filled = (length: number): string => `host: a\r\nx: ${"y".repeat(length)}\r\n`;
  assert.equal(status(await request("GET /", filled(16_000))), "HTTP/1.1 200 OK");
  assert.match(status(await request("GET /", filled(17_000))), /^HTTP\/1\.1 431 /);
  assert.deepEqual(server.errors, []);
});

Deno.test("listen() tells of a handler that fails, and closes the connection", async () => {
  const cause = new Error("broken");
  await using server = await serverOf(() => {
    throw cause;
  });
  const failing = await serverOf(() => Promise.reject(cause));
  await using _failing = failing;
  for (const each of [failing]) {
    assert.equal(await raw(each.port, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"), "");
    assert.deepEqual(each.errors, [cause]);
  }
  assert.deepEqual(server.errors, []);
});

Deno.test("listen() answers who is still sending, reads on for a second, and closes the connection", async () => {
  await using server = await serverOf(() => new Response("no", { status: 413 }));
  const post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\n";
  using connection = await Deno.connect({ hostname: HOST, port: server.port });
  const began = performance.now();
  await connection.write(new TextEncoder().encode(`${post}half`));
  let answer = "";
  let first = Infinity;
  for await (const chunk of connection.readable) {
    first = Math.min(first, performance.now() - began);
    answer += new TextDecoder().decode(chunk);
  }
  assert.equal(status(answer), "HTTP/1.1 413 Payload Too Large");
  assert.match(answer, /connection: close/i);
  assert.ok(answer.endsWith("\r\n0\r\n\r\n"));
  assert.ok(performance.now() - began - first > 500);
});

Deno.test("listen() keeps a connection for the next request where the body was read", async () => {
  await using server = await serverOf(async (request) => new Response(await request.text()));
  const post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n";
  const answer = await raw(server.port, `${post}\r\na`, `${post}connection: close\r\n\r\nb`);
  assert.equal(answer.split("HTTP/1.1 200 OK").length, 3);
});

Deno.test("listen() aborts a request whose client is gone, and cancels its answer", async () => {
  const seen: string[] = [];
  const gone = Promise.withResolvers<void>();
  await using server = await serverOf((request) => {
    request.signal.addEventListener("abort", () => seen.push("abort"));
    return new Response(
      new ReadableStream({
        async pull(controller) {
          controller.enqueue(new TextEncoder().encode("x"));
          await new Promise((resolve) => setTimeout(resolve, 1));
        },
        cancel: () => {
          seen.push("cancel");
          gone.resolve();
        },
      }),
    );
  });
  const connection = await Deno.connect({ hostname: HOST, port: server.port });
  await connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
  await connection.read(new Uint8Array(10));
  connection.close();
  await gone.promise;
  assert.deepEqual(seen.toSorted(), ["abort", "cancel"]);
  assert.deepEqual(server.errors, []);
});

Deno.test("listen() leaves a reader that stands still, and waits for one that reads", async () => {
  const chunk = new Uint8Array(1 << 20);
  let cancelled = Promise.withResolvers<void>();
  const handler = (): Response => {
    let left = 24;
    return new Response(
      new ReadableStream({
        pull(controller): void {
          if (left-- > 0) controller.enqueue(chunk);
          else controller.close();
        },
        cancel: () => cancelled.resolve(),
      }),
    );
  };
  await using server = await serverOf(handler, { readerDeadline: 600 });
  const response = await fetch(server.url);
  let bytes = 0;
  for await (const each of response.body!) bytes += each.length;
  assert.equal(bytes, 24 << 20);
  cancelled = Promise.withResolvers<void>();
  using connection = await Deno.connect({ hostname: HOST, port: server.port });
  const began = performance.now();
  await connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
  await cancelled.promise;
  assert.ok(performance.now() - began >= 550);
});

Deno.test("listen() closes connections without headers, and idle ones, after their time", async () => {
  await using server = await serverOf(() => new Response("x"), {
    headersDeadline: 50,
    keepAlive: 20,
  });
  const slow = await raw(server.port, "GET / HTTP/1.1\r\nhost: a\r\n");
  assert.equal(status(slow), "HTTP/1.1 408 Request Timeout");
  // Answered, kept and closed.
  assert.match(await raw(server.port, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"), /^HTTP\/1\.1 200 OK/);
});

Deno.test("listen() takes as many connections at once as may be", async () => {
  await using server = await serverOf(() => new Response("x"), { maxConnections: 2 });
  const held = await Promise.all(
    [0, 1].map(() => Deno.connect({ hostname: HOST, port: server.port })),
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(await raw(server.port, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"), "");
  for (const connection of held) connection.close();
});

Deno.test("listen() fails where the port is taken, and close() waits for what is under way", async () => {
  const released = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const server = await serverOf(async () => {
    started.resolve();
    await released.promise;
    return new Response("late");
  });
  await assert.rejects(serverOf(() => new Response("x"), { port: server.port }), {
    code: "EADDRINUSE",
  });
  const answer = fetch(server.url, { headers: { connection: "close" } });
  await started.promise;
  let closed = false;
  const closing = server.close().then(() => closed = true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(closed, false);
  released.resolve();
  assert.equal(await (await answer).text(), "late");
  await closing;
  await assert.rejects(fetch(server.url));
});
