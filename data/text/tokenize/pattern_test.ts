import assert from "node:assert/strict";
import { boundedMatcher } from "./bounded_matcher.ts";
import { compilePattern, findAll } from "./compile_pattern.ts";
import { isNullable, parsePattern, type PatternNode } from "./pattern.ts";
import { patternSource } from "./pattern_source.ts";

const set = (source: string): PatternNode => ({ kind: "set", source });
const A = set("[\\u{61}]");
const B = set("[\\u{62}]");
const sequence = (...items: PatternNode[]): PatternNode => ({ kind: "sequence", items });
const choice = (...options: PatternNode[]): PatternNode => ({ kind: "choice", options });
const edge = (name: string): PatternNode => ({ kind: "edge", edge: name } as PatternNode);
const repeat = (
  body: PatternNode,
  min: number,
  max: number,
  mode: "greedy" | "lazy" | "possessive" = "greedy",
): PatternNode => ({ kind: "repeat", body, min, max, mode });
const look = (behind: boolean, negative: boolean, body = A): PatternNode => ({
  kind: "look",
  behind,
  negative,
  body,
});

Deno.test("parsePattern() reads atoms, groups and quantifiers", () => {
  const cases: [string, PatternNode][] = [
    ["a", A],
    ["", sequence()],
    ["ab", sequence(A, B)],
    ["a|b", choice(A, B)],
    ["a|", choice(A, sequence())],
    ["(a)", sequence(A)],
    ["(?:ab)", sequence(A, B)],
    ["(a|b)b", sequence(choice(A, B), B)],
    ["(?>ab)", { kind: "atomic", body: sequence(A, B) }],
    ["(?=a)", look(false, false)],
    ["(?!a)", look(false, true)],
    ["(?<=a)", look(true, false)],
    ["(?<!a)", look(true, true)],
    ["(?=ab)", look(false, false, sequence(A, B))],
    [".", set("[^\\n]")],
    ["^", edge("line-start")],
    ["$", edge("line-end")],
    ["\\A\\z\\Z\\b\\B", sequence(...["start", "end", "last-line-end", "word", "inside"].map(edge))],
    ["a*", repeat(A, 0, Infinity)],
    ["a+", repeat(A, 1, Infinity)],
    ["a?", repeat(A, 0, 1)],
    ["a*?", repeat(A, 0, Infinity, "lazy")],
    ["a+?", repeat(A, 1, Infinity, "lazy")],
    ["a??", repeat(A, 0, 1, "lazy")],
    ["a*+", repeat(A, 0, Infinity, "possessive")],
    ["a++", repeat(A, 1, Infinity, "possessive")],
    ["a?+", repeat(A, 0, 1, "possessive")],
    ["a{2}", repeat(A, 2, 2)],
    ["a{2,}", repeat(A, 2, Infinity)],
    ["a{2,3}", repeat(A, 2, 3)],
    ["a{0,0}", repeat(A, 0, 0)],
    ["a{,3}", repeat(A, 0, 3)],
    ["a{1000}", repeat(A, 1000, 1000)],
    ["a{1000,}", repeat(A, 1000, Infinity)],
    ["a{0,1000}b", sequence(repeat(A, 0, 1000), B)],
    // What is no quantifier stands for itself.
    ["a{", sequence(A, set("[\\u{7b}]"))],
    ["a{,}", sequence(A, set("[\\u{7b}]"), set("[\\u{2c}]"), set("[\\u{7d}]"))],
    ["\u{1f600}", set("[\\u{1f600}]")],
    [
      "\\t\\n\\v\\f\\r\\a\\e",
      sequence(...[9, 10, 11, 12, 13, 7, 27].map((code) => set(`[\\u{${code.toString(16)}}]`))),
    ],
    ["\\.\\é\\\u{1f600}", sequence(...["2e", "e9", "1f600"].map((code) => set(`[\\u{${code}}]`)))],
    [
      "\\x41\\u0042\\x{1F600}\\x{10FFFF}",
      sequence(...["41", "42", "1f600", "10ffff"].map((code) => set(`[\\u{${code}}]`))),
    ],
    [
      "\\s\\S\\d\\D\\h\\H",
      sequence(
        ...[
          "[\\p{White_Space}]",
          "[^\\p{White_Space}]",
          "[\\p{Nd}]",
          "[^\\p{Nd}]",
          "[0-9A-Fa-f]",
          "[^0-9A-Fa-f]",
        ].map(set),
      ),
    ],
    [
      "\\p{L}\\P{L}\\p{^L}\\P{^L}\\p{Han}",
      sequence(
        ...["[\\p{L}]", "[^\\p{L}]", "[^\\p{L}]", "[\\p{L}]", "[\\p{Script=Han}]"].map(set),
      ),
    ],
    ["(?i:a)b", sequence(sequence(set("[\\u{61}\\u{41}]")), B)],
    [
      "(?i:sk1)",
      sequence(
        ...["[\\u{73}\\u{53}\\u{17f}]", "[\\u{6b}\\u{4b}\\u{212a}]", "[\\u{31}]"].map(set),
      ),
    ],
    [
      "(?i:[a-cS])",
      sequence(
        set("[\\u{61}\\u{41}\\u{62}\\u{42}\\u{63}\\u{43}\\u{73}\\u{53}\\u{17f}]"),
      ),
    ],
    ["[ab]", set("[\\u{61}\\u{62}]")],
    ["[^a]", set("[^\\u{61}]")],
    ["[a-c]", set("[\\u{61}-\\u{63}]")],
    ["[a-a]", set("[\\u{61}-\\u{61}]")],
    ["[]a]", set("[\\u{5d}\\u{61}]")],
    ["[^]a]", set("[^\\u{5d}\\u{61}]")],
    ["[a-]", set("[\\u{61}\\u{2d}]")],
    ["[-a]", set("[\\u{2d}\\u{61}]")],
    ["[a-&&b]", set("[[\\u{61}\\u{2d}]&&[\\u{62}]]")],
    ["[a&&b&&c]", set("[[\\u{61}]&&[\\u{62}]&&[\\u{63}]]")],
    ["[^a&&b]", set("[^[\\u{61}]&&[\\u{62}]]")],
    ["[a[bc]]", set("[\\u{61}[\\u{62}\\u{63}]]")],
    ["[\\s\\]\\p{L}]", set("[[\\p{White_Space}]\\u{5d}[\\p{L}]]")],
    [
      "[\\w]\\w",
      sequence(
        set("[[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]]"),
        set("[[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]\\u{b2}\\u{b3}\\u{b9}\\u{bc}-\\u{be}]"),
      ),
    ],
    [
      "[\\W]\\W",
      sequence(
        set("[[^[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]]]"),
        set("[^[[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]\\u{b2}\\u{b3}\\u{b9}\\u{bc}-\\u{be}]]"),
      ),
    ],
    ["[\u{1f600}-\u{1f602}]", set("[\\u{1f600}-\\u{1f602}]")],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parsePattern(text), expected, text);
});

Deno.test("parsePattern() names what is malformed, and where", () => {
  const cases: [string, string][] = [
    ["ab)", "it has an unmatched ) at 2"],
    ["b(a", "it has an unclosed ( at 1"],
    ["b(?:a", "it has an unclosed ( at 1"],
    ["b(?i)a", "it has the group (?i) at 1"],
    ["b(?<n>a)", "it has the group (?<n at 1"],
    ["b|*", "it has a * after nothing at 2"],
    ["+", "it has a + after nothing at 0"],
    ["(?", "it has the group (? at 0"],
    ["a**", "it has a quantifier after a quantifier at 2"],
    ["a{2}{3}", "it has a quantifier after a quantifier at 4"],
    ["a{2}+", "it has the quantifier {2}+ at 4"],
    ["a{2}?", "it has the quantifier {2}? at 4"],
    ["a{1001}", "it has the quantifier {1001} at 1"],
    ["a{1001,}", "it has the quantifier {1001,} at 1"],
    ["a{0,1001}", "it has the quantifier {0,1001} at 1"],
    ["a{3,2}", "it has the quantifier {3,2} at 1"],
    ["^*", "it repeats what has no width at 1"],
    ["(?=a)+", "it repeats what has no width at 5"],
    ["(?:a*)+", "it repeats at 7 what may match nothing"],
    ["(?<=ab)", "it looks behind for more than one character at 0"],
    ["x(?<!a*)", "it looks behind for more than one character at 1"],
    ["b[a", "it has an unclosed [ at 1"],
    ["b[", "it has an unclosed [ at 1"],
    ["b[]", "it has an unclosed [ at 1"],
    ["[&&a]", "it has && after nothing at 1"],
    ["[a&&]", "it has an empty class at 0"],
    ["[a&&&&b]", "it has && after nothing at 4"],
    ["[a[:alpha:]]", "it has a POSIX class at 2"],
    ["[b\\d-z]", "it has a range from a set at 2"],
    ["[ba-[c]]", "it has a range to a set at 2"],
    ["[a-\\d]", "it has a range at 1 that is none"],
    ["[c-a]", "it has a range at 1 that is none"],
    ["b\\p{Odd}", "it has the property \\p{Odd} at 1"],
    ["b\\p{^Odd}", "it has the property \\p{^Odd} at 1"],
    ["b\\x{D800}", "it has the character \\x{D800} at 1"],
    ["\\x{DFFF}", "it has the character \\x{DFFF} at 0"],
    ["\\x{110000}", "it has the character \\x{110000} at 0"],
    ["b\\q", "it has the escape \\q at 1"],
    ["b\\1", "it has the escape \\1 at 1"],
    ["b\\", "it ends with a backslash"],
    ["(?i:\\d)", "it has a class of characters in a group (?i:…)"],
    ["(?i:[\\d])", "it has a class of characters in a group (?i:…)"],
    ["(?i:\u00e9)", 'it has "\u00e9" in a group (?i:…)'],
    ["(?i:[\u00e9])", 'it has "\u00e9" in a group (?i:…)'],
    ["(?i:ss)", "it has ss in a group (?i:…)"],
    ["(?i:xsTx)", "it has st in a group (?i:…)"],
    ["(?i:(f)i)", "it has fi in a group (?i:…)"],
    ["(?i:fl)", "it has fl in a group (?i:…)"],
    ["(?i:ff)", "it has ff in a group (?i:…)"],
    ["(?i:s+)", "it repeats s in a group (?i:…)"],
    ["(?i:(f)?)", "it repeats f in a group (?i:…)"],
    ["(".repeat(32) + "a", "it nests deeper than 32 groups"],
    ["[".repeat(32) + "a", "it nests deeper than 32 groups"],
    ["a".repeat(16_385), "it has 16385 characters, more than 16384"],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parsePattern(text), { name: "SyntaxError", message }, text);
  }
});

Deno.test("parsePattern() takes what lies within its limits", () => {
  const groups = `${"(".repeat(31)}ab${")".repeat(31)}`;
  assert.deepEqual(parsePattern(groups), sequence(A, B));
  // What is closed does not count.
  assert.ok(parsePattern(`${groups}|${groups}`));
  assert.ok(parsePattern(`${"[".repeat(31)}a${"]".repeat(31)}`.repeat(2)));
  assert.ok(parsePattern("a".repeat(16_384)));
  // Letters that do not fold together, and a group that ends: outside of it nothing folds.
  assert.ok(parsePattern("(?i:sa|ts|if|k+)ss"));
  assert.ok(parsePattern("s(?i:s)t"));
  assert.deepEqual(
    parsePattern("(?i:(?:a)b)b"),
    sequence(
      sequence(sequence(set("[\\u{61}\\u{41}]")), set("[\\u{62}\\u{42}]")),
      B,
    ),
  );
});

Deno.test("isNullable() says what can match nothing", () => {
  const cases: [string, boolean][] = [
    ["a", false],
    ["", true],
    ["a?", true],
    ["a?b", false],
    ["a?b*", true],
    ["a|", true],
    ["a|b", false],
    ["a{0,3}", true],
    ["a{1,3}", false],
    ["(?>a?)", true],
    ["(?>a)", false],
    ["(?=a)", true],
    ["^", true],
    ["^a", false],
  ];
  for (const [text, expected] of cases) {
    assert.equal(isNullable(parsePattern(text)), expected, text);
  }
});

Deno.test("patternSource() writes a pattern for JavaScript", () => {
  const a = "[\\u{61}]";
  const b = "[\\u{62}]";
  const cases: [string, string][] = [
    ["ab", `(?:${a}${b})`],
    ["a|b", `(?:${a}|${b})`],
    ["(?>a)b(?>b)", `(?:(?:(?=(?<a0>${a}))\\k<a0>)${b}(?:(?=(?<a1>${b}))\\k<a1>))`],
    ["a+b", `(?:${a}{1,}${b})`],
    ["a?", `${a}{0,1}`],
    ["a*?", `${a}{0,}?`],
    ["a{2,3}", `${a}{2,3}`],
    ["a++", `(?:(?=(?<a0>${a}{1,}))\\k<a0>)`],
    ["(?:a+){2}", `(?:${a}{1,}){2,2}`],
    ["(?=a)(?!a)(?<=a)(?<!a)", `(?:(?=${a})(?!${a})(?<=${a})(?<!${a}))`],
    ["\\A\\z\\Z^$", "(?:^$(?=\\n?$)(?:^|(?<=\\n))(?=\\n|$))"],
  ];
  for (const [text, expected] of cases) {
    assert.equal(patternSource(parsePattern(text)), expected, text);
  }
});

Deno.test("boundedMatcher() and JavaScript's engine find edges where Oniguruma does", () => {
  const cases: [string, string, number[]][] = [
    ["^a", "a\naba", [0, 1, 2, 3]],
    ["a$", "a\nba", [0, 1, 3, 4]],
    ["\\Aa", "a\na", [0, 1]],
    ["a\\z", "a\na", [2, 3]],
    ["a\\z", "a\na\n", []],
    ["a\\Z", "a\na\n", [2, 3]],
    ["a\\Z", "a\n\n", []],
    ["\\ba", "aa ba a", [0, 1, 6, 7]],
    ["\\Ba", "aa ba a", [1, 2, 4, 5]],
    ["a\\b", "aa", [1, 2]],
    ["a\\B", "aa", [0, 1]],
    ["\\b\u{1d400}", "\u{1d400}\u{1d400}", [0, 2]],
    ["\\B\u{1d400}", "a\u{1d400}", [1, 3]],
    ["(?<=\u{1f600})a", "\u{1f600}aa", [2, 3]],
    ["(?<!\u{1f600})a", "a\u{1f600}aa", [0, 1, 4, 5]],
    ["(?<=a)b", "ab b", [1, 2]],
    ["(?<!a)b", "b ab", [0, 1]],
    ["a(?=b)", "aab", [1, 2]],
    ["a(?!b)", "aab", [0, 1]],
    [".", "a\n\u{1f600}", [0, 1, 2, 4]],
    ["(?:a|ab)(?:c|bcd)", "abcd", [0, 4]],
    ["(?>a|ab)c", "abc ac", [4, 6]],
    ["a{2,3}", "aaaaaa aaaa", [0, 3, 3, 6, 7, 10]],
    ["(?:ab){1,2}", "ababab", [0, 4, 4, 6]],
    ["(?:ab){2}", "ababab", [0, 4]],
    ["(?:ab)+?b?", "ababb", [0, 2, 2, 5]],
    ["(?:a|b)*c", "abcab", [0, 3]],
    ["a*+a", "aaa", []],
    ["(?:(?:a|b){2}c)+", "abcbacaa", [0, 6]],
    ["a+ab", "aaab", [0, 4]],
    ["[^a]+", "aa\u{1f600}ba", [2, 5]],
    ["x", "", []],
  ];
  for (const [text, input, expected] of cases) {
    const tree = parsePattern(text);
    assert.deepEqual(boundedMatcher(tree)(input), expected, `${text} in ${input}`);
    assert.deepEqual(findAll(new RegExp(patternSource(tree), "gv"), input), expected, text);
  }
});

Deno.test("boundedMatcher() starts anew with each text", () => {
  const find = boundedMatcher(parsePattern("(?:ab?)+c"));
  assert.deepEqual(find("abac"), [0, 4]);
  assert.deepEqual(find("b"), []);
  assert.deepEqual(find("xacabc"), [1, 3, 3, 6]);
});

Deno.test("compilePattern() gives JavaScript's engine what is sure to be linear", () => {
  const isFast = (Regex: string): boolean =>
    compilePattern({ Regex }, "p").expression !== undefined;
  const fast = [
    ...[
      "a",
      "ab",
      "a+",
      "ba+",
      "ba*",
      "b+",
      "a|b+",
      "\\p{N}{1,3}",
      "a{64}b",
      "a{1,64}b",
      "a{0,63}b",
    ],
    ...["a{0,7}b{0,7}c", "ba{1,}", "ba?", "a{2}", "a{0,3}b{0,15}c"],
  ];
  for (const text of fast) assert.equal(isFast(text), true, text);
  const slow = [
    ...["a+b", "(?:ab)+", "a{65}b", "a{0,64}b", "a{0,7}b{0,8}c", "ba{2,}", "a(?=b)", "^a", "a|b+c"],
    ...["(?>a)", "(?:ab|c)d", "a{0,3}b{0,15}c?d"],
  ];
  for (const text of slow) assert.equal(isFast(text), false, text);
});

Deno.test("compilePattern() finds a text as it is, one match after the other", () => {
  const find = (String: string, text: string): number[] =>
    compilePattern({ String }, "p").find(text);
  assert.deepEqual(find("aa", "aaaaa"), [0, 2, 2, 4]);
  assert.deepEqual(find(".", "a.b"), [1, 2]);
  assert.deepEqual(find("x", "abc"), []);
  assert.equal(compilePattern({ String: "a" }, "p").expression, undefined);
});

Deno.test("compilePattern() names the place, the pattern and the way out", () => {
  const refuses = (pattern: unknown, message: string): void =>
    assert.throws(() => compilePattern(pattern, "here"), {
      name: "TypeError",
      message: `Cannot read the tokenizer: here is ${message}`,
    });
  const form = 'expected {"String": …} or {"Regex": …}';
  refuses(1, `1: ${form}`);
  refuses(undefined, `undefined: ${form}`);
  refuses({ String: "a", x: 1 }, `{"String":"a","x":1}: ${form}`);
  refuses({ String: "a", Regex: "b" }, `{"String":"a","Regex":"b"}: ${form}`);
  refuses({ Regex: "a".repeat(90), x: 1 }, `{"Regex":"${"a".repeat(70)}: ${form}`);
  const end = "; write it with another pattern, or use another tokenizer";
  refuses({ String: "" }, `"": it is empty or no text${end}`);
  refuses({ String: "\ud800" }, `"\\ud800": it is empty or no text${end}`);
  refuses({ Regex: "a?" }, `"a?": it matches the empty text, which is not supported${end}`);
  refuses({ Regex: "a)" }, `"a)": it has an unmatched ) at 1, which is not supported${end}`);
  refuses(
    { Regex: "a".repeat(80) + ")" },
    `"${"a".repeat(80)}…": it has an unmatched ) at 80, which is not supported${end}`,
  );
  refuses(
    { Regex: "a".repeat(79) + ")" },
    `"${"a".repeat(79)})": it has an unmatched ) at 79, which is not supported${end}`,
  );
});
