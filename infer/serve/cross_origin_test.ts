import assert from "node:assert/strict";
import {
  addCors,
  allowedOrigin,
  allowedOrigins,
  isPreflight,
  parseOrigin,
  preflightHeaders,
} from "./cross_origin.ts";

Deno.test("parseOrigin() writes an origin as browsers do, and refuses what is none", () => {
  const good: readonly (readonly [string, string])[] = [
    ["https://chat.example", "https://chat.example"],
    ["https://Chat.Example/", "https://chat.example"],
    ["https://chat.example:443", "https://chat.example"],
    ["http://localhost:3000", "http://localhost:3000"],
    ["http://[::1]:80", "http://[::1]"],
    ["https://b\u00fccher.example", "https://xn--bcher-kva.example"],
    ["chrome-extension://abcdef", "chrome-extension://abcdef"],
    ["app://obsidian.md", "app://obsidian.md"],
    ["*", "*"],
  ];
  for (const [text, origin] of good) assert.equal(parseOrigin(text), origin);
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["null", /any page in a sandbox/],
    ["chat.example", /write it as a scheme and a host/],
    ["localhost:3000", /an origin is a scheme, a host and a port/],
    ["https://chat.example/app", /without a path/],
    ["https://user@chat.example", /without a path/],
    ["https://chat.example?x", /without a path/],
    ["", /write it as/],
  ];
  for (const [text, message] of wrong) assert.throws(() => parseOrigin(text), message, text);
});

Deno.test("allowedOrigins() lets in these alone, and by a star all but null", () => {
  const some = allowedOrigins(["https://chat.example", "http://localhost:3000/"]);
  for (const origin of ["https://chat.example", "http://localhost:3000", "HTTPS://chat.example"]) {
    assert.ok(some(origin), origin);
  }
  for (
    const origin of [
      ...["null", "*", "", "http://chat.example", "https://chat.example.evil", "http://localhost"],
      ...["https://evil.example", "https://chat.example/", "https://chat.example:444"],
    ]
  ) assert.ok(!some(origin), origin);
  const all = allowedOrigins(["*"]);
  assert.ok(all("https://evil.example"));
  assert.ok(!all("null"));
});

/** A request with these headers. */
function asked(headers: Readonly<Record<string, string>>, method = "OPTIONS"): Request {
  const request = { method, headers: new Headers(headers) };
  return request as Request;
}

Deno.test("isPreflight() knows a browser that asks for leave", () => {
  const origin = "https://chat.example";
  const whole = { origin, "access-control-request-method": "POST" };
  assert.equal(isPreflight(asked(whole)), true);
  assert.equal(isPreflight(asked(whole, "POST")), false);
  assert.equal(isPreflight(asked({ origin })), false);
  assert.equal(isPreflight(asked({ "access-control-request-method": "POST" })), false);
});

Deno.test("preflightHeaders() gives leave for the methods and headers that are asked for", () => {
  const of = (headers: Readonly<Record<string, string>>) =>
    preflightHeaders(asked(headers), ["GET", "HEAD"]);
  const plain = {
    "access-control-allow-methods": "GET, HEAD",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "600",
  };
  assert.deepEqual(of({}), plain);
  const names = "access-control-request-headers";
  assert.deepEqual(of({ [names]: " x-a,content-type , b c,," }), {
    ...plain,
    "access-control-allow-headers": "x-a, content-type, authorization",
  });
  const many = Array.from({ length: 70 }, (_, i) => `x-${i}`);
  assert.deepEqual(of({ [names]: many.join() }), {
    ...plain,
    "access-control-allow-headers": [...many.slice(0, 64), "authorization", "content-type"].join(
      ", ",
    ),
  });
  const local = "access-control-request-private-network";
  assert.deepEqual(of({ [local]: "true" }), {
    ...plain,
    "access-control-allow-private-network": "true",
  });
  assert.deepEqual(of({ [local]: "false" }), plain);
});

Deno.test("addCors() lets an allowed page read an answer, and tells caches so of every answer", () => {
  const allow = allowedOrigins(["https://chat.example"]);
  const of = (origin: string | undefined) => {
    const found = allowedOrigin(new Headers(origin === undefined ? {} : { origin }), allow);
    const headers = new Headers({ vary: "Accept", "cross-origin-resource-policy": "same-origin" });
    addCors(headers, found);
    return Object.fromEntries(headers);
  };
  const refused = { vary: "Accept, Origin", "cross-origin-resource-policy": "same-origin" };
  assert.deepEqual(of(undefined), refused);
  assert.deepEqual(of("https://other.example"), refused);
  assert.deepEqual(of("https://chat.example"), {
    vary: "Accept, Origin",
    "access-control-allow-origin": "https://chat.example",
    "access-control-expose-headers": "retry-after",
    "cross-origin-resource-policy": "cross-origin",
  });
});
