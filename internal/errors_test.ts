import assert from "node:assert/strict";
import { defined } from "./json/defined.ts";
import { loadFault } from "./load_fault.ts";
import { notFoundError } from "./not_found_error.ts";

Deno.test("notFoundError() is the runtime's own error, with the code of Node's", () => {
  const cause = new Error("why");
  const error = notFoundError("no a", { cause }) as Error & { code: string };
  assert.ok(error instanceof Deno.errors.NotFound);
  assert.deepEqual([error.message, error.code, error.cause], ["no a", "ENOENT", cause]);
});

Deno.test("loadFault() is the loader's own message", () => {
  const twice = new Error("Could not open library: Could not open library: a.so: no");
  assert.equal(loadFault(twice), "a.so: no");
  assert.equal(loadFault(new Error("other")), "other");
});

Deno.test("defined() leaves out what is undefined, and nothing else", () => {
  assert.deepEqual(defined({ a: undefined, b: null, c: 0, d: "" }), { b: null, c: 0, d: "" });
});
