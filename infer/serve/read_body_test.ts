import assert from "node:assert/strict";
import { ApiError } from "./api_error.ts";
import { type BodyLimits, readJsonBody } from "./read_body.ts";

function read(body: BodyInit, limits?: BodyLimits, type = "application/json"): Promise<unknown> {
  const headers = { "content-type": type };
  return readJsonBody(new Request("http://x/", { method: "POST", body, headers }), limits);
}

async function status(answer: Promise<unknown>): Promise<number> {
  const error = await answer.then(() => undefined, (cause) => cause);
  assert.ok(error instanceof ApiError, String(error));
  return error.status;
}

Deno.test("readJsonBody() parses a body that comes in any pieces", async () => {
  const bytes = new TextEncoder().encode('{"头":"疼"}');
  const body = new ReadableStream({
    start(controller): void {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  assert.deepEqual(await read(body, {}, "application/json; charset=utf-8"), { 头: "疼" });
});

Deno.test("readJsonBody() reads no more than told it is too much", async () => {
  let pulled = 0;
  const body = new ReadableStream({
    pull(controller): void {
      pulled++;
      controller.enqueue(new Uint8Array(100).fill(32));
    },
  }, { highWaterMark: 0 });
  assert.equal(await status(read(body, { maxBytes: 250 })), 413);
  assert.equal(pulled, 3);
  assert.deepEqual(await read(" ".repeat(248) + "[]", { maxBytes: 250 }), []);
});

Deno.test("readJsonBody() waits no longer than its deadline", async () => {
  const body = new ReadableStream({ pull: () => new Promise(() => {}) });
  const began = performance.now();
  assert.equal(await status(read(body, { deadline: 50 })), 408);
  assert.ok(performance.now() - began < 2000);
});

Deno.test("readJsonBody() refuses other types, what is no JSON, and what breaks off", async () => {
  assert.equal(await status(read("{}", {}, "text/plain")), 415);
  assert.equal(await status(read("{}", {}, "application/jsonp")), 415);
  assert.equal(await status(read("{")), 400);
  assert.equal(await status(read(new Uint8Array([0x22, 0xc3, 0x22]))), 400);
  const broken = new ReadableStream({ pull: () => Promise.reject(new Error("reset")) });
  assert.equal(await status(read(broken)), 400);
});

Deno.test("readJsonBody() parses a megabyte of nesting without harm", async () => {
  const deep = "[".repeat(2 ** 19) + "]".repeat(2 ** 19);
  assert.ok(Array.isArray(await read(deep)));
  assert.equal(await status(read("[".repeat(2 ** 20))), 400);
});
