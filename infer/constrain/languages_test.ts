import assert from "node:assert/strict";
import { draws } from "../../tests/support/random.ts";
import { type Language, Languages } from "./languages.ts";

/** Strings of a and b up to this length. */
const LONGEST = 5;
const STRINGS = Array.from(
  { length: LONGEST + 1 },
  (_, length) =>
    Array.from(
      { length: 2 ** length },
      (_, bits) => Array.from({ length }, (_, i) => bits >> i & 1 ? "b" : "a").join(""),
    ),
).flat();

/** Whether a language has a text. */
function has(languages: Languages, language: Language, text: string): boolean {
  let left = language;
  for (const byte of new TextEncoder().encode(text)) left = languages.after(left, byte);
  return left.nullable;
}

/** Which of all short strings a language has. */
function stringsOf(languages: Languages, language: Language): readonly string[] {
  return STRINGS.filter((text) => has(languages, language, text));
}

Deno.test("a language has the strings of the regular expression that is made like it", () => {
  const random = draws(11);
  const pick = (below: number): number => Math.floor(random(0, below));
  for (let round = 0; round < 40; round++) {
    const made = new Languages();
    /** A language beside its regular expression. */
    const build = (depth: number): readonly [Language, string] => {
      const kind = depth === 0 ? pick(2) : pick(7);
      const part = (): readonly [Language, string] => build(depth - 1);
      if (kind === 0) {
        const text = ["a", "b", "ab", "ba"][pick(4)];
        return [made.text(text), text];
      }
      if (kind === 1) return [made.bytes([97, 98]), "[ab]"];
      if (kind === 2 || kind === 3) {
        const parts = Array.from({ length: 2 + pick(2) }, part);
        const texts = parts.map(([, text]) => `(?:${text})`);
        const all = parts.map(([language]) => language);
        return kind === 2
          ? [made.sequence(...all), texts.join("")]
          : [made.choice(...all), texts.join("|")];
      }
      if (kind === 4) {
        const [language, text] = part();
        return [made.optional(language), `(?:${text})?`];
      }
      if (kind === 5) {
        const [language, text] = part();
        return [made.apart(language), text];
      }
      const [language, text] = part();
      if (language.nullable) return [language, text];
      const least = pick(3);
      const most = pick(2) === 0 ? Infinity : least + pick(3);
      const count = `{${least},${most === Infinity ? "" : most}}`;
      return [made.repetition(language, least, most), `(?:${text})${count}`];
    };
    const [language, expression] = build(3);
    const whole = new RegExp(`^(?:${expression})$`);
    assert.deepEqual(
      stringsOf(made, language),
      STRINGS.filter((text) => whole.test(text)),
      expression,
    );
  }
});

Deno.test("a language's difference has what the other one has not", () => {
  const made = new Languages();
  const [a, b] = [made.text("a"), made.text("b")];
  const many = made.repetition(made.choice(a, b));
  const cases: readonly (readonly [Language, Language, (text: string) => boolean])[] = [
    [many, made.repetition(a), (text) => text.includes("b")],
    [many, made.empty, (text) => text !== ""],
    [made.repetition(a), many, () => false],
    [many, made.text("ab"), (text) => text !== "ab"],
    [many, made.none, () => true],
    [made.none, many, () => false],
    [made.repetition(made.choice(a, b), 1), made.sequence(a, many), (text) => /^b/.test(text)],
  ];
  for (const [left, right, holds] of cases) {
    assert.deepEqual(stringsOf(made, made.difference(left, right)), STRINGS.filter(holds));
  }
});

Deno.test("bytes of ranges are those from first to last", () => {
  const made = new Languages();
  const set = made.bytes([3, 5], [9, 9], [250, 255]);
  const found = Array.from({ length: 256 }, (_, byte) => byte)
    .filter((byte) => made.after(set, byte) === made.empty);
  assert.deepEqual(found, [3, 4, 5, 9, 250, 251, 252, 253, 254, 255]);
  assert.equal(made.after(set, 6), made.none);
  assert.equal(set.nullable, false);
});

Deno.test("text is UTF-8, the empty one too", () => {
  const made = new Languages();
  assert.ok(has(made, made.text("é头"), "é头"));
  assert.ok(!has(made, made.text("é头"), "é"));
  assert.equal(made.text(""), made.empty);
});

Deno.test("equal languages are one object", () => {
  const made = new Languages();
  const [a, b, c] = ["a", "b", "c"].map((each) => made.text(each));
  assert.equal(made.text("abc"), made.sequence(a, b, c));
  assert.equal(made.sequence(made.sequence(a, b), c), made.sequence(a, made.sequence(b, c)));
  assert.equal(made.sequence(), made.empty);
  assert.equal(made.sequence(a), a);
  assert.equal(made.sequence(made.empty, a, made.empty), a);
  assert.equal(made.sequence(made.none, a), made.none);
  assert.equal(made.sequence(a, made.none), made.none);
  assert.equal(made.choice(b, a, made.none, b), made.choice(a, b));
  assert.equal(made.choice(made.choice(c, a), b), made.choice(a, b, c));
  assert.equal(made.choice(), made.none);
  assert.equal(made.choice(made.none), made.none);
  assert.equal(made.choice(a), a);
  assert.equal(made.optional(a), made.choice(a, made.empty));
  assert.equal(made.apart(a), made.apart(a));
  // Within a choice it stays one part.
  assert.notEqual(made.choice(made.apart(made.choice(a, b)), c), made.choice(a, b, c));
  assert.equal(made.bytes([97, 97]), a);
  assert.equal(made.repetition(a), made.repetition(a, 0, Infinity));
  assert.equal(made.difference(a, made.none), a);
  assert.equal(made.difference(made.none, a), made.none);
  assert.equal(made.byId(c.id), c);
  const { size } = made;
  made.text("abc");
  assert.equal(made.size, size);
  assert.equal(new Languages().size, 2);
});

Deno.test("repetition of nothing, or none times, is the empty text or no text", () => {
  const made = new Languages();
  const a = made.text("a");
  assert.equal(made.repetition(a, 0, 0), made.empty);
  assert.equal(made.repetition(a, 1, 0), made.none);
  assert.equal(made.repetition(made.none), made.empty);
  assert.equal(made.repetition(made.none, 1), made.none);
  assert.deepEqual([0, 1].map((least) => made.repetition(a, least).nullable), [true, false]);
  assert.throws(
    () => made.repetition(made.optional(a)),
    new TypeError("Cannot repeat what may be empty"),
  );
});

Deno.test("a language that is made later may be around itself, and is made when it is needed", () => {
  const made = new Languages();
  let count = 0;
  // As many a as b.
  const nested: Language = made.later(() => {
    count++;
    return made.sequence(made.text("a"), made.optional(nested), made.text("b"));
  });
  assert.notEqual(made.later(() => nested), made.later(() => nested));
  assert.equal(nested.nullable, false);
  assert.equal(count, 0);
  assert.deepEqual(stringsOf(made, nested), ["ab", "aabb"]);
  assert.ok(count > 0);
});

Deno.test("what may follow a byte is known once it was asked for", () => {
  const made = new Languages();
  const language = made.text("ab");
  const b = made.text("b");
  const known = made.known(language);
  assert.deepEqual([...new Set(known)], [-1]);
  assert.equal(made.after(language, 97), b);
  assert.equal(made.after(language, 98), made.none);
  assert.equal(made.known(language), known);
  assert.deepEqual(
    [...known],
    Array.from({ length: 256 }, (_, byte) => byte === 97 ? b.id : byte === 98 ? made.none.id : -1),
  );
  assert.equal(made.after(language, 97), b);
});

Deno.test("tables are dropped where there are as many as may be, and made anew", () => {
  const made = new Languages();
  made.text("a".repeat(16_385));
  const first = made.known(made.byId(0));
  for (let id = 1; id < 16_384; id++) made.known(made.byId(id));
  assert.equal(made.known(made.byId(0)), first);
  made.known(made.byId(16_384));
  const again = made.known(made.byId(0));
  assert.notEqual(again, first);
  // They are counted from there on.
  for (let id = 1; id < 16_383; id++) made.known(made.byId(id));
  assert.equal(made.known(made.byId(0)), again);
  made.known(made.byId(16_383));
  assert.notEqual(made.known(made.byId(0)), again);
});

Deno.test("languages have no more than 250,000 sets", () => {
  const made = new Languages();
  const make = (): Language => made.empty;
  while (made.size < 249_999) made.later(make);
  const a = made.text("a");
  assert.throws(
    () => made.text("b"),
    new RangeError("Cannot hold a reply to a format of more than 250000 states"),
  );
  assert.equal(made.text("a"), a);
});
