import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import sets from "../../../tests/fixtures/tokenizers/sets.json" with { type: "json" };
import { createNormalizer } from "./normalizer.ts";
import { parsePattern } from "./pattern.ts";
import { patternSource } from "./pattern_source.ts";
import { DIGITS, newSmallLetter, PUNCTUATION, WORD_OF_REGEX } from "./rust_sets.ts";

const codes = Array.from({ length: 0x110000 }, (_, code) => code)
  .filter((code) => code < 0xd800 || code > 0xdfff);
const all = String.fromCodePoint(...codes.slice(0, 0xd800)) +
  codes.slice(0xd800).map((code) => String.fromCodePoint(code)).join("");

/** How many code points a set has, and a hash of its ranges. */
function fact(source: string): [number, string] {
  let count = 0;
  const ranges: [number, number][] = [];
  for (const { 0: char } of all.matchAll(new RegExp(source, "gv"))) {
    const code = char.codePointAt(0)!;
    count++;
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === code - 1) last[1] = code;
    else ranges.push([code, code]);
  }
  const text = ranges.map((pair) => pair.map((code) => code.toString(16)).join("-")).join(" ");
  return [count, createHash("sha256").update(text).digest("hex").slice(0, 16)];
}

// If V8 comes to a newer Unicode than Oniguruma, these say so, and rust_sets.ts must list what differs.
Deno.test("patterns take every code point for what Oniguruma takes it", () => {
  for (const [pattern, expected] of Object.entries(sets.patterns)) {
    assert.deepEqual(fact(patternSource(parsePattern(pattern))), expected, pattern);
  }
});

Deno.test("steps take every code point for what Rust's crates take it", () => {
  assert.deepEqual(fact(DIGITS), sets.digits);
  assert.deepEqual(fact(PUNCTUATION), sets.punctuation);
  assert.deepEqual(fact("\\p{White_Space}"), sets.blanks);
  assert.deepEqual(fact(`[^${WORD_OF_REGEX}]`), sets["no word"]);
});

function rewritten(type: string, probe: (char: string) => string): string {
  const { normalize } = createNormalizer({ type });
  const hash = createHash("sha256");
  for (let at = 0; at < codes.length; at += 4096) {
    const chunk = codes.slice(at, at + 4096).map((code) =>
      normalize!(probe(String.fromCodePoint(code)))
    );
    hash.update(`${chunk.join("\0")}\0`);
  }
  return hash.digest("hex").slice(0, 16);
}

for (const [type, expected] of Object.entries(sets.alone)) {
  Deno.test(`${type} rewrites every code point as the Rust library does`, () => {
    assert.equal(rewritten(type, (char) => char), expected);
  });
}

for (const [type, expected] of Object.entries(sets["among marks"])) {
  Deno.test(`${type} sorts every code point among marks as the Rust library does`, () => {
    const probe = (char: string): string => `a\u0345\u0315${char}\u0334\u0327\u0316\u0300`;
    assert.equal(rewritten(type, probe), expected);
  });
}

Deno.test("newSmallLetter() gives the small letters of capitals that V8 does not know", () => {
  const small = [..."\ua7ce\ua7d2\ua7d4\u{16ea0}\u{16eb8}"].map(newSmallLetter).join("");
  assert.equal(small, "\ua7cf\ua7d3\ua7d5\u{16ebb}\u{16ed3}");
});
