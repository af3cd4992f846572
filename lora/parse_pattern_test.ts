import assert from "node:assert/strict";
import { parsePattern } from "./parse_pattern.ts";

const UNSUPPORTED =
  ", which ortune does not support; write it without, or list the names of the modules";

Deno.test("a pattern that is wrong, or has what is not supported, is refused at its place", () => {
  const cases: Readonly<Record<string, string>> = {
    "a)b": "it has an unbalanced parenthesis at character 2",
    "(a": "it has a parenthesis without an end at character 1",
    "xy(a|b": "it has a parenthesis without an end at character 3",
    "[": "it has a set without an end at character 1",
    "[a": "it has a set without an end at character 1",
    "x[a-": "it has a set without an end at character 2",
    "x[\\": "it has a set without an end at character 2",
    "[]": "it has a set without an end at character 1",
    "\\": "it has a backslash at its end at character 1",
    "ab\\": "it has a backslash at its end at character 3",
    "*a": "it has nothing to repeat at character 1",
    "a|+": "it has nothing to repeat at character 3",
    "(?)": "it has a group without a kind at character 3",
    "(*)": "it has nothing to repeat at character 2",
    "{2}": "it has nothing to repeat at character 1",
    "^*": "it has nothing to repeat at character 1",
    "ab$+": "it has nothing to repeat at character 3",
    "a\\b?": "it has nothing to repeat at character 2",
    "xa{3,2}": "it has a range whose end is below its start at character 2",
    "a*+": `it has a possessive quantifier at character 3${UNSUPPORTED}`,
    "a{2}+": `it has a possessive quantifier at character 5${UNSUPPORTED}`,
    "a**": "it has a quantifier after a quantifier at character 3",
    "a*?*": "it has a quantifier after a quantifier at character 4",
    "a{2}{3}": "it has a quantifier after a quantifier at character 5",
    "x(?P=a)": `it has a backreference at character 2${UNSUPPORTED}`,
    "(a)(?(1)b)": `it has a condition at character 4${UNSUPPORTED}`,
    "x(?>a)": `it has an atomic group at character 2${UNSUPPORTED}`,
    "(?P<1>a)": "it has a bad or repeated group name at character 1",
    "(?P<>a)": "it has a bad or repeated group name at character 1",
    "(?P<a>x)(?P<a>y)": "it has a bad or repeated group name at character 9",
    "a(?i)b": "it has flags that are not at its start at character 2",
    "(?-)": "it has a group without a kind at character 3",
    "(?-:a)": "it has a group without a kind at character 3",
    "(?k:a)": 'it has an unknown extension "(?k" at character 3',
    "a(?i-k:a)": 'it has an unknown extension "(?k" at character 4',
    "(?x)a": `it has the flag x at character 3${UNSUPPORTED}`,
    "(?x:a)": `it has the flag x at character 3${UNSUPPORTED}`,
    "(?i-i:a)": "it has the flag i both on and off at character 3",
    "(?s-is:a)": "it has the flag s both on and off at character 3",
    "(?-a:a)": "it has the flag a off, which is always on at character 3",
    "(?i-u:a)": "it has the flag u off, which is always on at character 3",
    "(?au:a)": "it has both flags a and u at character 3",
    "(?<=a*)b": "it has a lookbehind of no fixed width at character 1",
    "x(?<!a|bc)d": "it has a lookbehind of no fixed width at character 2",
    "(a)\\1": `it has a backreference at character 4${UNSUPPORTED}`,
    "a\\9": `it has a backreference at character 2${UNSUPPORTED}`,
    "a\\q": 'it has a bad escape "\\q" at character 2',
    "\\x1": 'it has a bad escape "\\x" at character 1',
    "a\\u123": 'it has a bad escape "\\u" at character 2',
    "[\\q]": 'it has a bad escape "\\q" at character 2',
    "[\\8]": 'it has a bad escape "\\8" at character 2',
    "x[b-a]": "it has a bad range of characters at character 2",
    "[a-\\d]": "it has a bad range of characters at character 1",
    "[\\d-a]": "it has a bad range of characters at character 1",
    "a(?#b": "it has a comment without an end at character 2",
    "a(?#b)(?#": "it has a comment without an end at character 7",
  };
  for (const [source, message] of Object.entries(cases)) {
    assert.throws(() => parsePattern(source), { name: "RangeError", message }, source);
  }
});

Deno.test("a pattern may be as long and as deep as the limits say, and no more", () => {
  parsePattern("a".repeat(65_536));
  assert.throws(() => parsePattern("a".repeat(65_537)), {
    message: "it has 65537 characters, more than 65536",
  });
  const nested = (depth: number) => "(".repeat(depth) + "a" + ")".repeat(depth);
  parsePattern(nested(50));
  // One beside another is no deeper.
  parsePattern(nested(50) + nested(50));
  assert.throws(
    () => parsePattern(nested(51)),
    /^RangeError: it has more than 50 groups in a group at/,
  );
});

Deno.test("letters beyond ASCII in any case are refused, those in one case are not", () => {
  for (const source of ["(?i)é", "(?i)[é]", "(?i)[a-é]", "(?i:ſ)", "(?i)\\u017f"]) {
    assert.throws(
      () => parsePattern(source),
      /^RangeError: it has a letter beyond ASCII in any case at character \d+, which ortune does not/,
    );
  }
  for (const source of ["é", "[é]", "(?i)\\x7f", "(?i:(?-i:é))", "(?i:a)é"]) parsePattern(source);
});

Deno.test("only a pattern that is whole may begin with flags", () => {
  parsePattern("(?i)(?s)a");
  assert.throws(() => parsePattern("(?i)a", { flags: false }), {
    message: "it has flags that are not at its start at character 1",
  });
  parsePattern("(?i:a)", { flags: false });
});

Deno.test("text that stands together is one part, a quantifier takes the last character of it", () => {
  assert.deepEqual(parsePattern("abc"), { kind: "text", text: "abc" });
  assert.deepEqual(parsePattern("a(?#x)bc{2,}"), {
    kind: "sequence",
    parts: [
      { kind: "text", text: "ab" },
      { kind: "repeat", part: { kind: "text", text: "c" }, least: 2, most: Infinity },
    ],
  });
  const repeat = (least: number, most: number) => ({
    ...{ kind: "repeat", part: { kind: "text", text: "a" }, least, most },
  });
  const ranges: Readonly<Record<string, readonly [number, number]>> = {
    ...{
      "a*": [0, Infinity],
      "a+": [1, Infinity],
      "a?": [0, 1],
      "a*?": [0, Infinity],
      "a??": [0, 1],
    },
    ...{
      "a{3}": [3, 3],
      "a{,3}": [0, 3],
      "a{,}": [0, Infinity],
      "a{2,3}": [2, 3],
      "a{2,}?": [2, Infinity],
    },
  };
  for (const [source, [least, most]] of Object.entries(ranges)) {
    assert.deepEqual(parsePattern(source), repeat(least, most), source);
  }
  for (const source of ["a{", "a{}", "a{x}", "a{1", "a{1,2,3}", "{"]) {
    assert.deepEqual(parsePattern(source), { kind: "text", text: source }, source);
  }
  assert.deepEqual(parsePattern(""), { kind: "sequence", parts: [] });
  assert.deepEqual(parsePattern("a|"), {
    ...{ kind: "choice", parts: [{ kind: "text", text: "a" }, { kind: "sequence", parts: [] }] },
  });
});

Deno.test("lookbehinds begin as many characters before as they take", () => {
  const widths: Readonly<Record<string, number>> = {
    ...{ "(?<=abc)": 3, "(?<=)": 0, "(?<![ab].)": 2, "(?<=a{2}|bc)": 2, "(?<=(?:ab){3})": 6 },
    ...{ "(?<=a(?=x*)b)": 2, "(?<=a\\b)": 1, "(?<=(?:a{0}){3})": 0, "(?<=(?:){2,4})": 0 },
  };
  for (const [source, behind] of Object.entries(widths)) {
    const part = parsePattern(source);
    assert.deepEqual(part.kind === "look" && [part.behind, part.negative], [
      ...[behind, source.startsWith("(?<!")],
    ], source);
  }
  for (const source of ["(?=a*)", "(?!a)"]) {
    const part = parsePattern(source);
    assert.deepEqual(part.kind === "look" && [part.behind, part.negative], [
      ...[undefined, source === "(?!a)"],
    ]);
  }
});

Deno.test("escapes stand for characters, also in sets", () => {
  const escapes: Readonly<Record<string, string>> = {
    ...{ "\\x41": "A", "\\u0042": "B", "\\101": "A", "\\377": "\u00ff", "\\0": "\0" },
    ...{ "\\01": "\x01", "\\07": "\x07", "\\012": "\n", "\\.": ".", "\\-": "-", "\\é": "é" },
    ...{ "\\a": "\x07", "\\f": "\f", "\\n": "\n", "\\r": "\r", "\\t": "\t", "\\v": "\v" },
    "\\\\": "\\",
  };
  for (const [source, text] of Object.entries(escapes)) {
    assert.deepEqual(parsePattern(source), { kind: "text", text }, source);
    assert.deepEqual(parsePattern(`${source}z`), { kind: "text", text: `${text}z` }, source);
    assert.deepEqual(membersOf(`[${source}]`), text, source);
  }
  // Only in a set \b is a character.
  assert.equal(membersOf("[\\b]"), "\b");
});

/** The characters below U+0100 that a set or a class holds. */
function membersOf(source: string): string {
  const part = parsePattern(source);
  assert.ok(part.kind === "character", source);
  const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));
  return all.filter((each) => part.holds(each)).join("");
}

Deno.test("sets hold their members and ranges, or all others", () => {
  const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join("");
  const without = (text: string) => [...all].filter((each) => !text.includes(each)).join("");
  const word = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
  const sets: Readonly<Record<string, string>> = {
    ...{ "[ab]": "ab", "[a-a]": "a", "[a-c]": "abc", "[]a]": "]a", "[a-]": "-a", "[-a]": "-a" },
    ...{
      "[^a]": without("a"),
      "[^]a]": without("]a"),
      "[a^]": "^a",
      "[a\\-c]": "-ac",
      "[(|]": "(|",
    },
    ...{ "\\d": "0123456789", "\\D": without("0123456789"), "\\w": word, "\\W": without(word) },
    ...{ "\\s": "\t\n\v\f\r ", "\\S": without("\t\n\v\f\r "), ".": without("\n") },
    ...{
      "[\\dx]": "0123456789x",
      "[\\d-]": "-0123456789",
      "(?i)[b-d]": "BCDbcd",
      "(?i)[^b]": without("Bb"),
    },
    ...{ "(?i)B": "Bb", "(?i)[x]": "Xx" },
  };
  for (const [source, members] of Object.entries(sets)) {
    assert.equal(membersOf(source), [...members].sort().join(""), source);
  }
});
