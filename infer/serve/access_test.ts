import assert from "node:assert/strict";
import { assertOwnSite, assertToken, isLoopback, ownHosts } from "./access.ts";
import { ApiError } from "./api_error.ts";

Deno.test("isLoopback() takes addresses and names of this machine, and none that only begin like one", () => {
  for (const host of ["localhost", "::1", "127.0.0.1", "127.255.0.3"]) assert.ok(isLoopback(host));
  const others = ["127.0.0.1.example.com", "example.127.0.0.1", "x127.0.0.1", "127.0.0", "0.0.0.0"];
  for (const host of [...others, "::", "::1.example", "localhost.example", "mylocalhost", ""]) {
    assert.ok(!isLoopback(host), host);
  }
});

Deno.test("ownHosts() knows numbers beside its own only where any address is listened on", () => {
  const numeric = ["10.0.0.5:8000", "[fe80::1]:8000", "127.0.0.2:8000"];
  for (const hostname of ["127.0.0.1", "::1", "localhost", "192.168.0.7"]) {
    const isOwn = ownHosts({ hostname, port: 8000 });
    for (const host of ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"]) assert.ok(isOwn(host));
    for (const host of numeric) assert.ok(!isOwn(host), `${hostname}: ${host}`);
  }
  assert.ok(ownHosts({ hostname: "192.168.0.7", port: 8000 })("192.168.0.7:8000"));
  for (const hostname of ["0.0.0.0", "::"]) {
    for (const host of numeric) assert.ok(ownHosts({ hostname, port: 8000 })(host), host);
  }
});

Deno.test("assertOwnSite() refuses a foreign Host with 403, a number to a loopback server too", () => {
  const isOwnHost = ownHosts({ hostname: "127.0.0.1", port: 8000 });
  for (const host of ["10.0.0.5:8000", "evil.example:8000", "127.0.0.1:80", ""]) {
    const headers = new Headers(host === "" ? {} : { host });
    assert.throws(() => assertOwnSite(headers, { isOwnHost }), (error) => {
      assert.ok(error instanceof ApiError);
      assert.deepEqual([error.status, error.code], [403, "host_not_allowed"]);
      return true;
    });
  }
  assertOwnSite(new Headers({ host: "LOCALHOST:8000" }), { isOwnHost });
});

Deno.test("assertToken() takes the whole key alone", async () => {
  const bearer = (authorization: string) => new Headers({ authorization });
  await assertToken(bearer("Bearer s3cret"), "s3cret");
  await assertToken(bearer("bearer  s3cret "), "s3cret");
  await assertToken(new Headers(), undefined);
  for (const given of ["s3cret", "Bearer", "Bearer s3cre", "Bearer s3cret2", "Bearer s3cret x"]) {
    await assert.rejects(assertToken(bearer(given), "s3cret"), { status: 401 }, given);
  }
  await assert.rejects(assertToken(new Headers(), "s3cret"), { status: 401 });
});
