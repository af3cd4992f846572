import assert from "node:assert/strict";
import { processorSeconds } from "../tests/support/processor_seconds.ts";
import { compileGlob } from "./glob_pattern.ts";

Deno.test("compileGlob() matches as fsspec does, in time that patterns of strangers cannot blow up", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["*.json", "a.json", true],
    ["*.json", "b/a.json", false],
    ["**", "a/b/c", true],
    ["**/a.json", "a.json", true],
    ["**/a.json", "x/y/a.json", true],
    ["**/a.json", "xa.json", false],
    ["a/**/b", "a/b", true],
    ["a/**/b", "a/x/y/b", true],
    ["a/**", "a/x/y", true],
    ["a/**", "ab/x", false],
    ["a?c", "abc", true],
    ["a?c", "a/c", false],
    ["[0-9][!a-c].csv", "7d.csv", true],
    ["[0-9][!a-c].csv", "7b.csv", false],
    ["a[-._ 0-9]*", "a-1", true],
    ["问*", "问题", true],
    ["[", "[", true],
  ];
  for (const [pattern, path, expected] of cases) {
    assert.equal(compileGlob(pattern)(path), expected, `${pattern} of ${path}`);
  }
  const began = processorSeconds();
  assert.ok(!compileGlob(`${"*a".repeat(200)}b`)("a".repeat(1000)));
  assert.ok(!compileGlob(`${"**/".repeat(100)}b`)("a/".repeat(500)));
  assert.ok(processorSeconds() - began < 2);
});
