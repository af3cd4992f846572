import assert from "node:assert/strict";
import { boundedMatcher } from "./bounded_matcher.ts";
import { compilePattern } from "./compile_pattern.ts";
import { KNOWN_PATTERNS } from "./known_patterns.ts";
import { parsePattern } from "./pattern.ts";
import { patternSource } from "./pattern_source.ts";

const PLACE = "tokenizer.json: pre_tokenizer.pattern";
const compile = (Regex: unknown): ReturnType<typeof compilePattern> =>
  compilePattern({ Regex }, PLACE);

Deno.test("compilePattern() finds what Oniguruma finds", () => {
  // Oniguruma's matches, by tokenizers 0.23.3; thousands of texts are in tests/tokenizer_parity_test.ts.
  const cases: [string, string, number[]][] = [
    ["(?i:'s|'t)", "'ſ 'T", [0, 2, 3, 5]],
    ["^a", "a\na", [0, 1, 2, 3]],
    ["a$", "a\na\n", [0, 1, 2, 3]],
    ["(?>a|ab)c", "abc ac", [4, 6]],
    ["a{,2}b", "aaab", [1, 4]],
    ["[]a]", "]a", [0, 1, 1, 2]],
    ["[a&&b]|[c&&[^d]]", "abcd", [2, 3]],
    ["\\p{^L}", "1a", [0, 1]],
    ["\\x{1F600}", "a😀", [1, 3]],
  ];
  for (const [pattern, text, expected] of cases) {
    assert.deepEqual(compile(pattern).find(text), expected, pattern);
  }
});

Deno.test("compilePattern() refuses by name what it does not read", () => {
  const cases: [string, RegExp][] = [
    ["(?i)a", /it has the group \(\?i\) at 0/],
    ["(?<n>a)", /it has the group \(\?<n at 0/],
    ["(a)\\1", /it has the escape \\1 at 3/],
    ["\\R", /it has the escape \\R at 0/],
    ["a\\Kb", /it has the escape \\K at 1/],
    ["\\p{Emoji}", /it has the property \\p\{Emoji\} at 0/],
    ["[[:alpha:]]", /it has a POSIX class at 1/],
    ["(?<=ab)c", /it looks behind for more than one character at 0/],
    ["a{1,2}+", /it has the quantifier \{1,2\}\+ at 6/],
    ["a**", /it has a quantifier after a quantifier at 2/],
    ["(?:a?)*b", /it repeats at \d what may match nothing/],
    ["a*", /it matches the empty text/],
    ["(?=a)", /it matches the empty text/],
    ["", /it is empty or no text/],
    ["(a", /it has an unclosed \( at 0/],
    ["a)", /it has an unmatched \) at 1/],
    ["[a", /it has an unclosed \[ at 0/],
    ["a\\", /it ends with a backslash/],
    ["a{2000}", /it has the quantifier \{2000\} at 1/],
    ["(?i:é)", /it has "é" in a group \(\?i:…\)/],
    ["(?i:\\w)", /it has a class of characters in a group \(\?i:…\)/],
    ["(?i:ss)", /it has ss in a group \(\?i:…\)/],
    [`${"(".repeat(40)}a${")".repeat(40)}`, /it nests deeper than 32 groups/],
    ["a".repeat(20_000), /it has 20000 characters, more than 16384/],
  ];
  for (const [pattern, message] of cases) {
    assert.throws(() => compile(pattern), { name: "TypeError", message }, pattern);
    assert.throws(() => compile(pattern), { message: /use another tokenizer$/ }, pattern);
  }
  for (const pattern of [null, {}, { Regex: 1 }, { String: "a", Regex: "a" }, { Glob: "a" }]) {
    assert.throws(() => compilePattern(pattern, PLACE), {
      message: /^Cannot read the tokenizer: .*expected \{"String": …\} or/,
    });
  }
});

Deno.test("a pattern that takes too long on a text is named, and does not hang", () => {
  // rough: 40 letters took JavaScript's engine more than 15 s.
  const cases: [string, string][] = [
    ["(?:\\p{L}+)+\\d", "a".repeat(40)],
    ["(a|a)*b", "a".repeat(40)],
    ["(?:a|aa)+$", "a".repeat(60) + "b"],
    ["(?:(?:a+)+)+b", "a".repeat(40)],
    [".*.*=.*", "a".repeat(100_000)],
    ["a+b", "a".repeat(100_000)],
    ["(?:a|b)*c", "ab".repeat(500_000)],
    [`${"a{0,9}".repeat(12)}b`, "a".repeat(200)],
  ];
  for (const [pattern, text] of cases) {
    const { find, expression } = compile(pattern);
    assert.equal(expression, undefined, "no bound holds in JavaScript's engine");
    const start = performance.now();
    assert.throws(() => find(text), {
      name: "RangeError",
      message: /^Cannot split a text of \d+ characters: .*, which takes more (steps|levels) than /,
    });
    // It takes some 0.3 s on a machine of its own.
    assert.ok(performance.now() - start < 10_000, pattern);
    assert.deepEqual(compile(pattern).find(""), []);
  }
});

Deno.test("known patterns are linear: no run of characters takes them beyond the budget", () => {
  const runs = [..."aA \n\r1!'é\u0301\t一\0/𠮷\u3000", " \n", "'s", "aA", "!\n", "\n ", "a1", " !"];
  for (const pattern of KNOWN_PATTERNS) {
    assert.notEqual(compile(pattern).expression, undefined);
    const find = boundedMatcher(parsePattern(pattern));
    for (const run of runs) find(run.repeat(20_000));
  }
});

Deno.test("known patterns are known however a file writes them", () => {
  const written = KNOWN_PATTERNS.map((each) =>
    each.replaceAll("\\r", "\r").replaceAll("\\n", "\n").replaceAll("{1,3}", "{1,3}")
  );
  for (const pattern of written) assert.notEqual(compile(pattern).expression, undefined);
  assert.notEqual(compile("\\s?\\p{L}+|[0-9][0-9][0-9]|\\p{N}{1,3}").expression, undefined);
});

Deno.test("boundedMatcher() finds what JavaScript's engine finds", () => {
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  const pick = <T>(list: readonly T[]): T => list[random(list.length)];
  const sets = ["a", "b", "\\s", "\\S", "[ab]", "[^a]", "\\p{L}", "\\d", ".", "(?i:k)", "\\n"];
  const marks = ["(?=a)", "(?!\\s)", "(?<=a)", "(?<!b)", "^", "$", "\\b", "\\B", "\\A", "\\Z"];
  const counts = ["", "", "?", "*", "+", "??", "+?", "++", "?+", "{2}", "{1,2}", "{,2}"];
  const atom = (depth: number): string => {
    if (random(9) === 0) return pick(marks);
    if (depth < 2 && random(4) === 0) return `${pick(["(", "(?:", "(?>"])}${any(depth + 1)})`;
    return pick(sets) + pick(counts);
  };
  const any = (depth: number): string =>
    Array.from({ length: 1 + random(2) }, () => atom(depth) + pick(["", atom(depth)])).join("|");
  let compared = 0;
  for (let round = 0; round < 4000; round++) {
    const pattern = `${pick(sets)}${any(0)}`;
    const text = Array.from({ length: random(20) }, () => pick([..."aaabbk K\n1é😀"])).join("");
    const tree = parsePattern(pattern);
    const expected = [...text.matchAll(new RegExp(patternSource(tree), "gv"))]
      .flatMap(({ 0: { length }, index }) => [index, index + length]);
    // Alternatives may match nothing, which only patterns that are refused do.
    if (expected.some((end, index) => index % 2 === 1 && end === expected[index - 1])) continue;
    assert.deepEqual(boundedMatcher(tree)(text), expected, `${pattern} in ${JSON.stringify(text)}`);
    compared++;
  }
  assert.ok(compared > 2000);
});
