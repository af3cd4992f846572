import assert from "node:assert/strict";
import { parseStrictJson } from "./strict_json.ts";

Deno.test("parseStrictJson() reads every kind of value", () => {
  assert.deepEqual(
    parseStrictJson(' {"a": [1, 0, 9007199254740991], "b": {"c": "d"}, "e": [true, false, null]} '),
    new Map<string, unknown>([
      ["a", [1, 0, 9007199254740991]],
      ["b", new Map([["c", "d"]])],
      ["e", [true, false, null]],
    ]),
  );
  assert.deepEqual(parseStrictJson("{}"), new Map());
  assert.deepEqual(parseStrictJson("[ ]"), []);
  assert.equal(parseStrictJson(" 7\n"), 7);
});

Deno.test("parseStrictJson() reads strings as JSON.parse does", () => {
  for (
    const text of ['""', '"a\\n\\t\\"\\\\\\/\\b\\f\\r"', '"\\u00e9\\uD83D\\uDE00é😀"', '"\\u0000"']
  ) {
    assert.equal(parseStrictJson(text), JSON.parse(text));
  }
});

Deno.test("parseStrictJson() keeps dangerous keys as plain keys, in order", () => {
  const map = parseStrictJson('{"b": 1, "__proto__": 2, "1": 3, "constructor": 4}');
  assert.deepEqual([...map as Map<string, unknown>], [
    ["b", 1],
    ["__proto__", 2],
    ["1", 3],
    ["constructor", 4],
  ]);
  assert.equal(({} as Record<string, unknown>).b, undefined);
});

Deno.test("parseStrictJson() with anyNumber reads floats as JSON.parse does", () => {
  for (const text of ["1e2", "1.0", "-0", "-1.5E-3", "9007199254740993"]) {
    assert.equal(parseStrictJson(text, { anyNumber: true }), JSON.parse(text));
  }
  for (const text of ["1e999", "01", "1.", ".5", "+1", "1e", "- 1", "NaN"]) {
    assert.throws(() => parseStrictJson(text, { anyNumber: true }), SyntaxError, text);
  }
});

const refused: [text: string, message: RegExp][] = [
  ["", /character 0: expected a value, the text ends/],
  ["x", /expected a value, found "x"/],
  ["nul", /expected a value, found "n"/],
  ["1 2", /character 2: expected the end, found "2"/],
  ["1e2", /only plain non-negative integers/],
  ["1.0", /only plain non-negative integers/],
  ["01", /only plain non-negative integers/],
  ["-0", /expected a value, found "-"/],
  ["-1", /expected a value, found "-"/],
  ["9007199254740992", /exceeds 2\^53/],
  ["9007199254740993", /exceeds 2\^53/],
  ['{"a": 1, "a": 1}', /character 9: duplicate key "a"/],
  ['{"a": 1, "\\u0061": 1}', /duplicate key "a"/],
  ['{"a" 1}', /expected ":", found "1"/],
  ['{"a": 1,}', /expected "\\"", found "}"/],
  ["{a: 1}", /expected "\\"", found "a"/],
  ['{"a": 1 "b": 2}', /expected "," or "}", found "\\""/],
  ['{"a": 1', /expected "," or "}", the text ends/],
  ["[1,]", /expected a value, found "]"/],
  ["[1 2]", /expected "," or "]", found "2"/],
  ["[1}", /expected "," or "]", found "}"/],
  ["[", /expected a value, the text ends/],
  ['"a', /character 0: the string is not closed/],
  ['"a\nb"', /character 2: a control character/],
  ['"\\x"', /the escape is unknown/],
  ['"\\u12g4"', /the escape is unknown/],
  ['"\\u12', /the escape is unknown/],
  ['"\\', /the escape is unknown/],
  ['"\\ud800"', /lone surrogate/],
  ["[[[[[1]]]]]", /nesting is deeper than 4/],
  ["\ufeff1", /expected a value/],
  ["\u00a01", /expected a value/],
];

Deno.test("parseStrictJson() refuses what is not strict, naming the character", () => {
  for (const [text, message] of refused) {
    assert.throws(
      () => parseStrictJson(text),
      (error: unknown) => {
        assert.ok(error instanceof SyntaxError, text);
        assert.match(error.message, /^Cannot parse JSON at character \d+: .*\. Correct it there$/s);
        assert.match(error.message, message);
        return true;
      },
    );
  }
});

Deno.test("parseStrictJson() bounds depth and entries", () => {
  assert.throws(() => parseStrictJson("[".repeat(1e6)), /nesting is deeper than 4/);
  assert.throws(() => parseStrictJson("[[1]]", { maxDepth: 1 }), /nesting is deeper than 1/);
  assert.deepEqual(parseStrictJson("[1,2]", { maxEntries: 2 }), [1, 2]);
  assert.throws(() => parseStrictJson("[1,2,3]", { maxEntries: 2 }), /more than 2 entries/);
});
