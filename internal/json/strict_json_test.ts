import assert from "node:assert/strict";
import { parseStrictJson, StrictJsonError } from "./strict_json.ts";

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

Deno.test("parseStrictJson() names each fault by its first character, in few words", () => {
  for (
    const [text, position, problem] of [
      ["", 0, "expected a value, the text ends"],
      [" \t\r\n", 4, "expected a value, the text ends"],
      [" x", 1, 'expected a value, found "x"'],
      ["[1, 2.5]", 4, "only plain non-negative integers are accepted as numbers"],
      ["[1, 9007199254740992]", 4, "the integer exceeds 2^53 − 1"],
      ['{"a": 1, "a": 2}', 9, 'duplicate key "a"'],
      [
        `{"${"k".repeat(121)}": 1, "${"k".repeat(121)}": 2}`,
        129,
        `duplicate key "${"k".repeat(120)}"`,
      ],
      ['{"a" 1}', 5, 'expected ":", found "1"'],
      ['{"a"  ', 6, 'expected ":", the text ends'],
      ["[1 2]", 3, 'expected "," or "]", found "2"'],
      ['{"a": 1 ]', 8, 'expected "," or "}", found "]"'],
      [' "ab', 1, "the string is not closed"],
      ['"a\x1f"', 2, "a control character in a string must be escaped"],
      ['"ab\\x"', 3, "the escape is unknown"],
      ['"\\u00e', 1, "the escape is unknown"],
      ['["\\ud800"]', 1, "the string holds a lone surrogate"],
      ["[[[[ [1]]]]]", 5, "nesting is deeper than 4"],
      ["1 2", 2, 'expected the end, found "2"'],
    ] as const
  ) {
    assert.throws(() => parseStrictJson(text), (error: StrictJsonError) => {
      assert.ok(error instanceof StrictJsonError);
      assert.deepEqual([error.position, error.problem, error.message], [
        position,
        problem,
        `Cannot parse JSON at character ${position}: ${problem}. Correct it there`,
      ]);
      return true;
    });
  }
  for (
    const [text, position, problem] of [
      ["[1, 01]", 4, "this is no JSON number"],
      ["[1, 1e999]", 4, "the number is too large"],
      ["[-1.e]", 1, "this is no JSON number"],
    ] as const
  ) {
    assert.throws(
      () => parseStrictJson(text, { anyNumber: true }),
      (error: StrictJsonError) => {
        assert.deepEqual([error.position, error.problem], [position, problem]);
        return true;
      },
    );
  }
});

Deno.test("parseStrictJson() takes strings with blanks, quotes and characters of every length", () => {
  assert.equal(parseStrictJson('"\\u00e9x\\u0041\\\\ \\"y😀"'), 'éxA\\ "y😀');
  assert.deepEqual(
    parseStrictJson('\t{\r\n"a"\t:\n[ 1\r, 2 ] , "b" : { } }\n'),
    new Map<string, unknown>([["a", [1, 2]], ["b", new Map()]]),
  );
});

Deno.test("parseStrictJson() takes four levels and 65,537 entries unless it is told otherwise", () => {
  assert.deepEqual(parseStrictJson('[{"a":[{}]}]'), [new Map([["a", [new Map()]]])]);
  const list = (count: number) => `[${Array(count).fill("1").join(",")}]`;
  assert.equal((parseStrictJson(list(65_537)) as unknown[]).length, 65_537);
  assert.throws(() => parseStrictJson(list(65_538)), /more than 65537 entries in one collection/);
  assert.deepEqual(parseStrictJson("[[[[[1]]]]]", { maxDepth: 5 }), [[[[[1]]]]]);
});
