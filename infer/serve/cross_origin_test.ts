import assert from "node:assert/strict";
import { allowedOrigins, parseOrigin } from "./cross_origin.ts";

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
