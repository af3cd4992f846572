import assert from "node:assert/strict";
import { processorSeconds } from "../tests/support/processor_seconds.ts";
import { compileGlob, isGlob } from "./glob_pattern.ts";

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

Deno.test("compileGlob() takes folders, sets and ranges at every place of a pattern", () => {
  for (
    const [pattern, matching, others] of [
      ["", [""], ["a"]],
      ["a", ["a"], ["", "b", "aa", "a/"]],
      ["*", ["", "a", "abc"], ["a/b", "/"]],
      ["a*", ["a", "ab"], ["ba", "a/b"]],
      ["*a", ["a", "ba"], ["ab", "b/a"]],
      ["***", ["", "ab"], ["a/b"]],
      ["a**", ["a", "ab"], ["a/b"]],
      ["**a", ["a", "ba"], ["b/a"]],
      ["**", ["", "a", "a/b", "/"], []],
      ["a/**", ["a/", "a/b", "a/b/c"], ["a", "b/a"]],
      ["**/a", ["a", "b/a", "c/b/a"], ["ba", "b/ca", "a/b"]],
      ["a/**/b", ["a/b", "a/c/b", "a/c/d/b"], ["ab", "a/cb", "a/b/c", "ac/b"]],
      ["**/**/a", ["a", "b/a"], ["ba"]],
      ["**/a/**", ["a/b", "c/a/b/d"], ["a", "ca/b"]],
      ["?", ["a", "😀", "["], ["", "ab", "/"]],
      ["[abc]", ["a", "c"], ["d", "", "ab"]],
      ["[a-c]x", ["ax", "bx", "cx"], ["dx", "-x"]],
      ["[!a-c]", ["d", "-"], ["a", "c", "/"]],
      ["[^a]", ["b", "^"], ["a"]],
      ["[a-]", ["a", "-"], ["b"]],
      ["[-a]", ["a", "-"], ["b"]],
      ["[]a]", ["]", "a"], ["b"]],
      ["[!]]", ["a"], ["]"]],
      ["[a-c1-3]", ["b", "2"], ["-", "d", "4"]],
      ["[ab]/[cd]", ["a/c", "b/d"], ["a/b", "ac"]],
      ["[/]", [], ["/"]],
      ["a]", ["a]"], ["a"]],
      ["😀*", ["😀", "😀a"], ["a"]],
    ] as const
  ) {
    const matches = compileGlob(pattern);
    for (const path of matching) assert.ok(matches(path), `${pattern} of ${path}`);
    for (const path of others) assert.ok(!matches(path), `${pattern} of ${path}`);
  }
});

Deno.test("isGlob() knows characters that a pattern gives a meaning", () => {
  for (const text of ["*", "a?", "[a]", "x/[!0-9]"]) assert.ok(isGlob(text), text);
  for (const text of ["", "a/b.csv", "[", "[]", "a]b["]) assert.ok(!isGlob(text), text);
});
