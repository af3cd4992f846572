import assert from "node:assert/strict";
import { JsonLanguages, type PropertyLanguage } from "./json_languages.ts";
import type { Language } from "./languages.ts";

const json = new JsonLanguages();
const { languages } = json;

/** Whether a language has a text or bytes. */
function has(language: Language, text: string | Iterable<number>): boolean {
  let left = language;
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  for (const byte of bytes) left = languages.after(left, byte);
  return left.nullable;
}

function check(language: Language, texts: Readonly<Record<string, boolean>>): void {
  for (const [text, expected] of Object.entries(texts)) {
    assert.equal(has(language, text), expected, JSON.stringify(text));
  }
}

/** Texts with whether a language has them. */
function each(
  right: readonly string[],
  wrong: readonly string[],
): Readonly<Record<string, boolean>> {
  return Object.fromEntries([
    ...right.map((text) => [text, true]),
    ...wrong.map((text) => [text, false]),
  ]);
}

Deno.test("a reply begins with nothing, a blank or up to two line ends", () => {
  check(json.start, each(["", " ", "\n", "\n\n"], ["  ", "\n\n\n", "\n ", " \n", "\t"]));
});

Deno.test("white space is nothing, a blank, or a line's start of up to 32 blanks or 8 tabs", () => {
  const blanks = (count: number): string => " ".repeat(count);
  const tabs = (count: number): string => "\t".repeat(count);
  check(
    json.space,
    each(
      ["", " ", "\n", "\n\n", "\n ", `\n\n${blanks(32)}`, "\n\t", `\n${tabs(8)}`],
      ["  ", "\t", "\n\n\n", `\n${blanks(33)}`, `\n${tabs(9)}`, "\n \t", "\n\t ", "\n \n"],
    ),
  );
});

Deno.test("a whole number has up to 16 digits and no leading zero", () => {
  const digits = (count: number): string => "1234567890123456789".slice(0, count);
  const right = ["0", "-0", "1", "9", "-10", "90", digits(16), `-${digits(16)}`];
  check(json.integer, each(right, ["", "-", "+1", "01", "00", digits(17), "1.0", "1e2", "a"]));
});

Deno.test("a number may have a fraction of up to 16 digits and an exponent of up to two", () => {
  const digits = "0123456789012345";
  check(
    json.number,
    each(
      [
        ...["0", "-1", "0.5", "-0.0", `1.${digits}`, "1e5", "1E5", "1e+5", "1E-05", "12.5e-10"],
        ...["1e99", "9.9"],
      ],
      [
        ...["", ".5", "1.", `1.${digits}6`, "1e", "1e+", "1e123", "1e1.5", "e5", "1e--5", "01.5"],
        ...["1.e5", "1.5.5", "1f5"],
      ],
    ),
  );
});

Deno.test("a string's escapes are those of JSON, without halves of pairs of surrogates", () => {
  const text = json.string();
  const escapes = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code));
  check(
    text,
    Object.fromEntries(
      escapes.map((letter) => [`"\\${letter}"`, '"\\/bfnrt'.includes(letter)]),
    ),
  );
  for (let high = 0; high < 256; high++) {
    const hex = high.toString(16).padStart(2, "0");
    const expected = high < 0xd8 || high > 0xdf;
    for (const code of [`${hex}00`, `${hex.toUpperCase()}fF`]) {
      assert.equal(has(text, `"\\u${code}"`), expected, code);
    }
  }
  check(
    text,
    each(['"\\u00e9x"', '"\\uABcd\\n"'], [
      ...['"\\u00g0"', '"\\u0g00"', '"\\u000g"', '"\\ug000"', '"\\u000"', '"\\u"', '"\\U0041"'],
      ...['"\\u00:0"', '"\\u00/0"', '"\\u00@0"', '"\\u00`0"'],
    ]),
  );
});

Deno.test("a string's bytes are UTF-8 as a decoder takes it, without quotes and controls", () => {
  const text = json.string();
  const decoder = new TextDecoder();
  const quote = '"'.charCodeAt(0);
  const wrong: string[] = [];
  const compare = (...bytes: readonly number[]): void => {
    // None of the bytes below are U+FFFD's own, which stands for what is not well-formed.
    const letters = [...decoder.decode(Uint8Array.from(bytes))];
    const expected = !letters.some((each) => each < " " || '"\\\ufffd'.includes(each));
    if (has(text, [quote, ...bytes, quote]) !== expected) wrong.push(bytes.join());
  };
  for (let first = 0; first < 256; first++) {
    compare(first);
    if (first < 0x80) continue;
    for (const second of [0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0]) {
      compare(first, second);
      for (const third of [0x7f, 0x80, 0xbf, 0xc0]) compare(first, second, third);
      for (const last of [0x7f, 0x80, 0xbf, 0xc0]) compare(first, second, 0xbf, last);
      compare(first, second, 0x80, 0x80, 0x80);
    }
  }
  assert.deepEqual(wrong, []);
});

Deno.test("a string has from least to most characters, escaped or of several bytes", () => {
  check(json.string(), each(['""', '"a"', `"${"a".repeat(100)}"`], ["", '"', "a", '"a', '"""']));
  check(
    json.string(2, 3),
    each(['"ab"', '"é🛌"', '"\\n\\u0041"', '"abc"'], ['""', '"a"', '"🛌"', '"abcd"', '"\\n"']),
  );
  check(json.string(0, 0), each(['""'], ['"a"']));
});

Deno.test("a literal is its JSON without white space", () => {
  check(json.literal({ a: [1, "é"] }), each(['{"a":[1,"é"]}'], ['{"a": [1,"é"]}', "{}"]));
});

Deno.test("an array has from least to most items", () => {
  const item = languages.text("1");
  check(
    json.array(item),
    each(["[]", "[1]", "[ 1, 1,\n  1\n]", "[\n]"], ["[1,]", "[,1]", "[1 1]"]),
  );
  check(json.array(item), each(["[1,1,1,1,1,1]"], ["1", "[1", "[1]]", "[1 ,1]"]));
  check(json.array(item, 1), each(["[1]", "[1,1,1]"], ["[]"]));
  check(json.array(item, 2), each(["[1,1]", "[1,1,1]"], ["[]", "[1]"]));
  check(json.array(item, 0, 1), each(["[]", "[1]"], ["[1,1]"]));
  check(json.array(item, 0, 2), each(["[]", "[1]", "[1,1]"], ["[1,1,1]"]));
  check(json.array(item, 2, 2), each(["[1,1]"], ["[]", "[1]", "[1,1,1]"]));
  check(json.array(item, 0, 0), each(["[]", "[ ]"], ["[1]"]));
  assert.equal(json.array(item, 1, 0), languages.none);
});

/** Properties by their names: a number each, and required where they end in !. */
function properties(...names: readonly string[]): readonly PropertyLanguage[] {
  return names.map((name, i) => ({
    name: name.replace("!", ""),
    value: languages.text(`${i}`),
    required: name.endsWith("!"),
  }));
}

Deno.test("an object has its properties in their order, those that are required always", () => {
  check(
    json.object([]),
    each(["{}", "{ }", "{\n}"], ['{"a":0}', "{", "{,}"]),
  );
  check(
    json.object(properties("a!", "b")),
    each(
      ['{"a":0}', '{"a":0,"b":1}', '{ "a": 0, "b": 1 }', '{\n  "a": 0,\n  "b": 1\n}'],
      [
        ...["{}", '{"b":1}', '{"b":1,"a":0}', '{"a":0,}', '{"a":0 "b":1}', '{"a":1}', '{"a" :0}'],
        ...['{"a":0,"b":1,}', '{"a":0,"a":0}', '{"a":0 ,"b":1}', '{"a":0,"c":1}'],
      ],
    ),
  );
  check(
    json.object(properties("a", "b!", "c")),
    each(
      ['{"b":1}', '{"a":0,"b":1}', '{"b":1,"c":2}', '{"a":0,"b":1,"c":2}'],
      ["{}", '{"a":0}', '{"a":0,"c":2}', '{"c":2}', '{,"b":1}'],
    ),
  );
  check(
    json.object(properties("a", "b")),
    each(["{}", '{"a":0}', '{"b":1}', '{"a":0,"b":1}'], ['{"a":0,}', '{,"b":1}', '{"b":1,"a":0}']),
  );
});

Deno.test("further properties come last, and have other names than an object's own", () => {
  const others = languages.text("9");
  check(
    json.object([], others),
    each(
      ["{}", '{"x":9}', '{"x":9,"y":9}', '{ "x": 9, "": 9, "é": 9 }'],
      ['{"x":8}', '{"x":9,}', "{,}", '{"\\u0041":9}', "{x:9}", '{"x" 9}'],
    ),
  );
  check(
    json.object(properties("a", "b!"), others),
    each(
      ['{"b":1}', '{"a":0,"b":1}', '{"b":1,"x":9}', '{"a":0,"b":1,"x":9,"aa":9}'],
      ['{"x":9}', '{"x":9,"b":1}', '{"b":1,"a":9}', '{"b":1,"b":9}', '{"b":1,"x":9,"a":0}'],
    ),
  );
  check(
    json.object(properties("a"), others),
    each(["{}", '{"x":9}', '{"a":0}', '{"a":0,"x":9}'], ['{"a":9}', '{"x":9,"a":0}']),
  );
});

Deno.test("any value is one of JSON's, in one another", () => {
  check(
    json.any,
    each(
      [
        ...["1", "-1.5", '"a"', "true", "false", "null", "[]", "{}", '[1, {"a": [null, "é"]}]'],
        ...['{"a": {"b": [true, false]}, "c": 1}'],
      ],
      ["", "tru", "nul", "undefined", "[1", '{"a"}', "{1:2}", "[1,]", " 1"],
    ),
  );
});
