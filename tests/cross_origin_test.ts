/** Pages of other sites: those that were allowed can ask and read, all others are refused. */

import assert from "node:assert/strict";
import { allowedOrigins } from "../infer/serve/cross_origin.ts";
import { repositoryPath, runDeno } from "./support/run_script.ts";
import { type ScriptedServer, scriptedServer } from "./support/scripted_server.ts";

const CHAT = "https://chat.example";
const EVIL = "https://evil.example";
const BODY = JSON.stringify({ model: "base", messages: [{ role: "user", content: "Hi" }] });

async function* hello(): AsyncGenerator<string> {
  yield "Hello";
}

function start(apiKey?: string): Promise<ScriptedServer> {
  return scriptedServer(hello, { allowOrigin: allowedOrigins([CHAT]), apiKey });
}

/** What a browser sends for a page of an origin. */
async function ask(
  server: ScriptedServer,
  origin: string,
  { path = "/v1/chat/completions", method = "POST", headers = {}, body = BODY }: {
    readonly path?: string;
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string | null;
  } = {},
): Promise<Response> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: {
      origin,
      "sec-fetch-site": "cross-site",
      "sec-fetch-mode": "cors",
      ...(body === null ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    body,
  });
  // To its end, so that the connection is free.
  return new Response(response.status === 204 ? null : await response.text(), response);
}

function preflight(
  server: ScriptedServer,
  origin: string,
  headers: Readonly<Record<string, string>> = {},
  path?: string,
): Promise<Response> {
  return ask(server, origin, {
    path,
    method: "OPTIONS",
    body: null,
    headers: {
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type,x-stainless-lang",
      ...headers,
    },
  });
}

Deno.test("a page of an allowed origin gets leave, asks, streams and reads refusals", async () => {
  await using server = await start("key");
  const leave = await preflight(server, CHAT);
  assert.equal(leave.status, 204);
  const of = (name: string): string[] => (leave.headers.get(name) ?? "").split(", ");
  assert.deepEqual(of("access-control-allow-origin"), [CHAT]);
  assert.deepEqual(of("access-control-allow-methods"), ["POST"]);
  assert.deepEqual(of("access-control-allow-headers"), [
    "authorization",
    "content-type",
    "x-stainless-lang",
  ]);
  assert.ok(Number(leave.headers.get("access-control-max-age")) > 0);
  assert.equal(leave.headers.get("access-control-allow-private-network"), null);
  assert.equal(leave.headers.get("access-control-allow-credentials"), null);

  const key = { authorization: "Bearer key" };
  for (const stream of [false, true]) {
    const body = JSON.stringify({ ...JSON.parse(BODY), stream });
    const response = await ask(server, CHAT, { headers: key, body });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("access-control-allow-origin"), CHAT);
    assert.match(response.headers.get("vary")!, /\bOrigin\b/);
    assert.match(await response.text(), /Hello|"content":"H"/);
  }
  const models = await ask(server, CHAT, {
    path: "/v1/models",
    method: "GET",
    headers: key,
    body: null,
  });
  assert.equal(models.status, 200);
  // It has no key yet: the page can read that.
  const refused = await ask(server, CHAT);
  assert.equal(refused.status, 401);
  assert.equal(refused.headers.get("access-control-allow-origin"), CHAT);
  const missing = await preflight(server, CHAT, {}, "/v1/nothing");
  assert.deepEqual([missing.status, missing.headers.get("access-control-allow-origin")], [
    404,
    CHAT,
  ]);
});

Deno.test("a page of an allowed origin gets leave for every protocol, with a slash at the end too", async () => {
  await using server = await start();
  const bodies: Readonly<Record<string, unknown>> = {
    "/v1/completions": { prompt: "Hi" },
    "/v1/responses/": { input: "Hi" },
    "/api/chat": { messages: [{ role: "user", content: "Hi" }] },
    "/api/generate/": { prompt: "Hi" },
    "/v1/chat/completions/": { messages: [{ role: "user", content: "Hi" }] },
    "/api/show": {},
  };
  for (const [path, fields] of Object.entries(bodies)) {
    const leave = await preflight(server, CHAT, {}, path);
    assert.deepEqual([leave.status, leave.headers.get("access-control-allow-methods")], [
      204,
      "POST",
    ]);
    const body = JSON.stringify({ model: "base", ...fields as object });
    const answer = await ask(server, CHAT, { path, body });
    assert.deepEqual([answer.status, answer.headers.get("access-control-allow-origin")], [
      200,
      CHAT,
    ], path);
    assert.equal((await ask(server, EVIL, { path, body })).status, 403);
  }
});

Deno.test("a page of the open web gets leave for a machine behind it only where it asks", async () => {
  await using server = await start();
  const asked = { "access-control-request-private-network": "true" };
  const leave = await preflight(server, CHAT, asked);
  assert.equal(leave.headers.get("access-control-allow-private-network"), "true");
  const evil = await preflight(server, EVIL, asked);
  assert.equal(evil.status, 403);
  assert.equal(evil.headers.get("access-control-allow-private-network"), null);
});

Deno.test("a preflight's list of headers is bounded and has names only", async () => {
  await using server = await start();
  const names = `${Array.from({ length: 500 }, (_, i) => `x-${i}`)}, a b, "q"`;
  const leave = await preflight(server, CHAT, { "access-control-request-headers": names });
  const allowed = leave.headers.get("access-control-allow-headers")!.split(", ");
  assert.ok(allowed.length < 70);
  assert.ok(allowed.every((name) => /^[a-z0-9-]+$/.test(name)));
});

Deno.test("all other pages are refused, with the flag that would let them in", async () => {
  for (const server of [await start(), await scriptedServer(hello)]) {
    await using _server = server;
    for (const origin of [EVIL, "null", "http://chat.example", `${CHAT}.evil`]) {
      for (const response of [await preflight(server, origin), await ask(server, origin)]) {
        assert.equal(response.status, 403, origin);
        assert.equal(response.headers.get("access-control-allow-origin"), null);
        const { error } = await response.json();
        assert.match(error.message, /--allow-origin/);
        assert.equal(error.code, "origin_not_allowed");
      }
    }
    assert.equal(server.made, 0);
  }
  await using none = await scriptedServer(hello);
  assert.equal((await ask(none, CHAT)).status, 403);
});

Deno.test("an allowed origin does not help a Host that is not the server's own", async () => {
  await using server = await start();
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const lines = ["POST /v1/chat/completions HTTP/1.1", "Host: evil.example", `Origin: ${CHAT}`];
  await connection.write(
    new TextEncoder().encode(`${lines.join("\r\n")}\r\nConnection: close\r\n\r\n`),
  );
  const text = await new Response(connection.readable).text();
  assert.match(text, /^HTTP\/1\.1 403 /);
  assert.match(text, /--allow-host/);
});

Deno.test("without allowed origins answers and OPTIONS are as they were", async () => {
  await using server = await scriptedServer(hello);
  const options = await fetch(`${server.url}/v1/models`, { method: "OPTIONS" });
  await options.body?.cancel();
  assert.deepEqual([options.status, options.headers.get("allow")], [405, "GET, HEAD"]);
  assert.equal(options.headers.get("vary"), null);
});

Deno.test("deno task serve lets all origins in with a key only, and names what is no origin", async () => {
  const run = (...args: string[]) =>
    runDeno([
      ...["run", "--no-prompt", "--allow-read", "--allow-env=ORTUNE_API_KEY", "--no-check"],
      ...[`--config=${repositoryPath("deno.json")}`, repositoryPath("cli/commands/serve.ts")],
      ...["--model", "models/x", "--allow-origin", ...args],
    ]);
  const all = await run("*");
  assert.deepEqual([all.code, /^error: Cannot let the pages of all sites .*key/.test(all.stderr)], [
    2,
    true,
  ]);
  const path = await run("https://chat.example/app");
  assert.equal(path.code, 2);
  assert.match(path.stderr, /^error: Cannot allow the origin "https:\/\/chat.example\/app"/);
  const good = await run("https://chat.example", "http://localhost:3000");
  assert.doesNotMatch(good.stderr, /origin/i);
});

Deno.test("a path that there is not is answered with those that there are, and with a hint", async () => {
  await using server = await scriptedServer(hello);
  const hints: Readonly<Record<string, RegExp>> = {
    "/v1/embeddings": /no embeddings: the model is trained to write text/,
    "/embeddings/": /no embeddings/,
    "/v1/rerank": /not scored or ranked/,
    "/v1/responses/x": /not kept: send the whole chat/,
    "/v1/audio/speech": /text only/,
    "/tokenize": /count them under usage/,
    "/v1/messages": /Anthropic/,
    "/chat/completions": /begins with \/v1/,
    "/models": /begins with \/v1/,
    "/completions": /begins with \/v1/,
    "/v1/api/chat": /Ollama's paths have no \/v1/,
    "/v1/v1/chat/completions": /\/v1 twice/,
    "/v1": /base URL/,
    "/v1/": /base URL/,
    "/nothing": /There is no \/nothing here; there are POST \/v1\/chat\/completions/,
  };
  for (const [path, hint] of Object.entries(hints)) {
    for (const method of ["GET", "POST"]) {
      const response = await fetch(`${server.url}${path}`, { method });
      const { error } = await response.json();
      assert.deepEqual([response.status, error.code], [404, "not_found"], path);
      assert.match(error.message, hint);
      assert.match(error.message, /POST \/v1\/chat\/completions, .*GET \/v1\/models/);
    }
  }
  const answer = await fetch(`${server.url}/v1/chat/completions/`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: BODY,
  });
  assert.equal((await answer.json()).choices[0].message.content, "Hello");
  for (const path of ["/v1/models/", "/v1/models//", "/health/", "/v1/models/base/", "//"]) {
    const response = await fetch(`${server.url}${path}`);
    await response.body?.cancel();
    assert.equal(response.status, 200, path);
  }
});
