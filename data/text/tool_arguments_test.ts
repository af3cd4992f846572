import assert from "node:assert/strict";
import { parseToolArguments } from "./tool_arguments.ts";

Deno.test("parseToolArguments() gives an object, or that of a text, its keys in their order", () => {
  const entries = (
    value: unknown,
  ): unknown => [...parseToolArguments(value) as Map<string, unknown>];
  assert.deepEqual(entries('{"b": "x", "a": null}'), [["b", "x"], ["a", null]]);
  assert.deepEqual(entries(""), []);
  assert.deepEqual(entries({ b: "x", a: null }), [["b", "x"], ["a", null]]);
  for (const bad of ["[1]", "1", "{", '"a"', [1], 1, null, undefined, () => 1]) {
    assert.equal(parseToolArguments(bad), undefined, String(bad));
  }
  const deep = "[".repeat(100_000);
  assert.equal(parseToolArguments(`{"a": ${deep}`), undefined);
});
