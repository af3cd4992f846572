/** What reads the parts of a tokenizer.json: types, fields, sequences, normalizers and decoders. */

import assert from "node:assert/strict";
import { FieldTable } from "../../../internal/json/field_table.ts";
import { createNormalizer, replaceAll, trimmedEnd } from "./normalizer.ts";
import { createPreTokenizer } from "./pre_tokenizer.ts";
import { flattenSteps, reviewStep, stepField, type StepTypes } from "./step_review.ts";
import { createDecoder, textOfByteRun } from "./token_decoder.ts";

type Json = Record<string, unknown>;

function refuses(run: () => unknown, state: string): void {
  assert.throws(run, { name: "TypeError", message: `Cannot read the tokenizer: ${state}` });
}

const TYPES: StepTypes = {
  A: new FieldTable({
    honoured: ["type", "x"],
    ignored: ["y"],
    refused: { z: { unless: [0], remedy: "make it 0" }, w: { remedy: "leave it out" } },
  }),
  ByteLevel: new FieldTable({ honoured: ["type"] }),
  No: "it is not done; use another",
  Sequence: new FieldTable({ honoured: ["type", "list"] }),
};

Deno.test("reviewStep() gives a part whose type and fields are known", () => {
  const step = { type: "A", x: 1, y: 2, z: 0, w: null };
  assert.equal(reviewStep(step, "p", TYPES), step);
  refuses(() => reviewStep("A", "p", TYPES), 'p is string "A", expected an object');
  const expected = "expected A, ByteLevel, Sequence; use a model with another tokenizer";
  refuses(() => reviewStep({ type: "B" }, "p", TYPES), `p is of type "B", ${expected}`);
  refuses(() => reviewStep({}, "p", TYPES), `p is of type none, ${expected}`);
  refuses(() => reviewStep({ type: 1 }, "p", TYPES), `p is of type 1, ${expected}`);
  refuses(
    () => reviewStep({ type: "toString" }, "p", TYPES),
    `p is of type "toString", ${expected}`,
  );
  refuses(
    () => reviewStep({ type: "No" }, "p", TYPES),
    "p is of type No: it is not done; use another",
  );
  refuses(
    () => reviewStep({ type: "A", z: 1, w: true }, "p", TYPES),
    "p z is 1: make it 0; w is true: leave it out",
  );
  refuses(
    () => reviewStep({ type: "A", odd: 1, more: 2 }, "p", TYPES),
    "p (A) has fields that ortune doesn't know: odd, more; remove them if the Rust library ignores them, or use a model with another tokenizer",
  );
});

Deno.test("stepField() gives a field of a kind, or its default", () => {
  const step = { type: "A", s: "", b: false, n: 0, odd: "\ud800", none: null };
  assert.equal(stepField(step, "p", "s", "string", "d"), "");
  assert.equal(stepField(step, "p", "b", "boolean", true), false);
  assert.equal(stepField(step, "p", "n", "number", 5), 0);
  assert.equal(stepField(step, "p", "none", "number", 5), 5);
  assert.equal(stepField(step, "p", "missing", "string", "d"), "d");
  refuses(
    () => stepField(step, "p", "s", "number"),
    "p (A): s is an empty string, expected a number",
  );
  refuses(
    () => stepField(step, "p", "n", "boolean", true),
    "p (A): n is number 0, expected a boolean",
  );
  refuses(
    () => stepField(step, "p", "missing", "string"),
    "p (A): missing is nothing, expected a string",
  );
  refuses(
    () => stepField(step, "p", "odd", "string"),
    'p (A): odd is string "\ufffd", expected a string',
  );
});

Deno.test("flattenSteps() lists the steps of sequences with their places", () => {
  const flat = (value: unknown): unknown => flattenSteps(value, "p", TYPES, "list");
  const a = { type: "A" };
  const sequence = (...list: unknown[]): Json => ({ type: "Sequence", list });
  assert.deepEqual(flat(null), []);
  assert.deepEqual(flat(undefined), []);
  assert.deepEqual(flat(a), [{ step: a, place: "p" }]);
  assert.deepEqual(flat(sequence(a, sequence(), sequence(a))), [
    { step: a, place: "p.list[0]" },
    { step: a, place: "p.list[2].list[0]" },
  ]);
  refuses(() => flat(sequence(a, 1)), "p.list[1] is number 1, expected an object");
  refuses(() => flat({ type: "Sequence" }), "p (Sequence): list is nothing, expected an array");
  const times = (count: number, step: Json): Json => sequence(...new Array(count).fill(step));
  assert.equal((flat(times(64, a)) as unknown[]).length, 64);
  refuses(() => flat(times(65, a)), "p has more than 64 steps");
  const nested = (depth: number): Json => depth === 0 ? a : sequence(nested(depth - 1));
  assert.equal((flat(nested(16)) as unknown[]).length, 1);
  refuses(() => flat(nested(17)), "p nests deeper than 16 sequences");
  assert.equal((flat(times(2, { type: "ByteLevel" })) as unknown[]).length, 2);
  refuses(() => flat(times(3, { type: "ByteLevel" })), "p has ByteLevel more than twice");
});

const normalize = (value: unknown, text: string): string =>
  createNormalizer(value).normalize!(text);

Deno.test("createNormalizer() does its steps one after the other, and says which may drop what is first", () => {
  const replace = (String: string, content: string): Json => ({
    type: "Replace",
    pattern: { String },
    content,
  });
  const both = { type: "Sequence", normalizers: [replace("a", "bb"), replace("b", "c")] };
  assert.equal(normalize(both, "ab"), "ccc");
  assert.deepEqual(createNormalizer(null), {});
  assert.deepEqual(createNormalizer({ type: "Sequence", normalizers: [] }), {});
  const drops: [Json, string | undefined][] = [
    [{ type: "NFC" }, undefined],
    [{ type: "Nmt" }, "Nmt"],
    [replace("a", ""), "Replace"],
    [replace("a", "b"), undefined],
    [{ type: "Strip", strip_left: true, strip_right: false }, "Strip"],
    [{ type: "Strip", strip_left: false, strip_right: true }, undefined],
    [{ type: "Sequence", normalizers: [{ type: "NFC" }, { type: "Nmt" }] }, "Nmt"],
  ];
  for (const [value, expected] of drops) assert.equal(createNormalizer(value).drops, expected);
});

Deno.test("createNormalizer() strips the blanks of Unicode at the ends that are asked for", () => {
  const strip = (strip_left: boolean, strip_right: boolean, text: string): string =>
    normalize({ type: "Strip", strip_left, strip_right }, text);
  const text = " \u0085\u3000a b\u2028\t";
  assert.equal(strip(true, true, text), "a b");
  assert.equal(strip(true, false, text), "a b\u2028\t");
  assert.equal(strip(false, true, text), " \u0085\u3000a b");
  assert.equal(strip(false, false, text), text);
  for (const blank of ["", " ", " \t "]) {
    assert.equal(strip(true, true, blank), "");
    assert.equal(strip(true, false, blank), "");
    assert.equal(strip(false, true, blank), "");
  }
  // U+FEFF is none.
  assert.equal(strip(true, true, "\ufeffa\ufeff"), "\ufeffa\ufeff");
  refuses(
    () => createNormalizer({ type: "Strip", strip_left: 1, strip_right: true }),
    "tokenizer.json: normalizer (Strip): strip_left is number 1, expected a boolean",
  );
});

Deno.test("createNormalizer() lets a text grow 64 times, and by 65536 characters", () => {
  const prepend = (length: number, text: string): string =>
    normalize({ type: "Prepend", prepend: "x".repeat(length) }, text);
  const grown = (length: number, limit: number, place = ""): { name: string; message: string } => ({
    name: "RangeError",
    message:
      `Cannot normalize a text: tokenizer.json: normalizer${place} makes ${length} characters of it, ` +
      `more than ${limit}; use a model with another tokenizer`,
  });
  // 64 * (2 + 1024) for a text of two.
  assert.equal(prepend(65_662, "ab").length, 65_664);
  assert.throws(() => prepend(65_663, "ab"), grown(65_665, 65_664));
  assert.equal(prepend(1, ""), "");
  const replace = (length: number, text: string): string =>
    normalize(
      {
        type: "Sequence",
        normalizers: [{ type: "NFC" }, {
          type: "Replace",
          pattern: { String: "a" },
          content: "x".repeat(length),
        }],
      },
      text,
    );
  // What is replaced counts too.
  assert.equal(replace(32_831, "aa").length, 65_662);
  assert.throws(() => replace(32_832, "aa"), grown(65_666, 65_664, ".normalizers[1]"));
});

Deno.test("createNormalizer() writes small letters one by one, and SentencePiece's blanks", () => {
  assert.equal(
    normalize({ type: "Lowercase" }, "\u039f\u03a3 \u0130 \u{16ea0}A"),
    "\u03bf\u03c3 i\u0307 \u{16ebb}a",
  );
  assert.equal(normalize({ type: "Nmt" }, "a\x01\x7f\tb\u200bc\ufeffd\n"), "a b c d ");
  assert.equal(normalize({ type: "ByteLevel" }, "a \u00e9"), "a\u0120\u00c3\u00a9");
});

Deno.test("replaceAll() and trimmedEnd() look at nothing else", () => {
  assert.equal(replaceAll("abcabc", [], "x"), "abcabc");
  assert.equal(replaceAll("abcabc", [1, 2, 3, 6], "xy"), "axycxy");
  assert.equal(replaceAll("ab", [0, 1, 1, 2], ""), "");
  assert.equal(trimmedEnd("ab \t"), 2);
  assert.equal(trimmedEnd("  "), 0);
  assert.equal(trimmedEnd(""), 0);
  assert.equal(trimmedEnd("a b c", 4), 3);
  assert.equal(trimmedEnd("a b c", 3), 3);
});

const decode = (value: unknown, ...tokens: readonly string[]): string =>
  createDecoder(value)(tokens);
const sequence = (...decoders: unknown[]): Json => ({ type: "Sequence", decoders });

Deno.test("createDecoder() joins tokens as each type does", () => {
  assert.equal(decode(null, "a", "b"), "a b");
  assert.equal(decode(undefined, "a"), "a");
  assert.equal(decode({ type: "Fuse" }, "a", "b"), "ab");
  assert.equal(decode(sequence(), "a", "b"), "ab");
  const bpe = { type: "BPEDecoder", suffix: "</w>" };
  assert.equal(decode(bpe, "a</w>", "b", "c</w>"), "a bc");
  assert.equal(decode(bpe, "a</w>"), "a");
  const fallback = { type: "ByteFallback" };
  assert.equal(
    decode(fallback, "x", "<0xC3>", "<0xa9>", "y", "<0xFF>", "<0x41>"),
    "xéy\ufffd\ufffd",
  );
  assert.equal(decode(fallback, "<0x41>", "<0x4>", "<0x4G>", "<0x42>"), "A<0x4><0x4G>B");
  assert.equal(decode({ type: "ByteLevel" }, "\u00c3", "\u00a9\u0120", "中"), "é 中");
  const strip = { type: "Strip", content: "_", start: 2, stop: 1 };
  assert.equal(decode(strip, "___a___", "_b_", "__", "_", ""), "_a__b");
  assert.equal(decode({ ...strip, start: 0, stop: 0 }, "__a_"), "__a_");
  assert.equal(decode({ ...strip, content: "\u{1f389}" }, "\u{1f389}\u{1f389}a\u{1f389}"), "a");
  const replace = { type: "Replace", pattern: { String: "a" }, content: "bc" };
  assert.equal(decode(replace, "aa", "xa"), "bcbcxbc");
});

Deno.test("createDecoder() takes every mark of Metaspace for a blank, and none in the first token", () => {
  const meta = { type: "Metaspace", replacement: "_" };
  const both = (changes: Json): string => decode({ ...meta, ...changes }, "_a_", "_b");
  assert.equal(both({}), "a b");
  assert.equal(both({ prepend_scheme: "first" }), "a b");
  assert.equal(both({ prepend_scheme: "always" }), "a b");
  assert.equal(both({ prepend_scheme: "never" }), " a  b");
  assert.equal(both({ add_prefix_space: true }), "a b");
  assert.equal(both({ add_prefix_space: false }), " a  b");
});

Deno.test("createDecoder() takes WordPiece's prefix away, and cleans up where it is asked to", () => {
  const piece = { type: "WordPiece", prefix: "##", cleanup: false };
  assert.equal(decode(piece, "##a", "##b", "c", "###"), "##ab c#");
  const clean = { ...piece, cleanup: true };
  const cases: [string, string][] = [
    ["a .", "a."],
    ["a ?", "a?"],
    ["a !", "a!"],
    ["a ,", "a,"],
    ["a ' b", "a'b"],
    ["do n't", "don't"],
    ["I 'm", "I'm"],
    ["we do not", "we don't"],
    ["it 's", "it's"],
    ["I 've", "I've"],
    ["we 're", "we're"],
  ];
  for (const [token, expected] of cases) {
    assert.equal(decode(clean, token), expected);
    assert.equal(decode(piece, token), token);
  }
  assert.equal(decode(clean, "a", "."), "a.");
  assert.equal(decode(piece, "a", "."), "a .");
});

Deno.test("createDecoder() names what it does not do", () => {
  const place = "tokenizer.json: decoder";
  const bad: [Json, string][] = [
    [{ type: "Strip", content: "ab", start: 1, stop: 0 }, " (Strip): content is not one character"],
    [{ type: "Strip", content: "", start: 1, stop: 0 }, " (Strip): content is not one character"],
    [{ type: "Strip", content: "a", start: -1, stop: 0 }, " (Strip): start is -1"],
    [{ type: "Strip", content: "a", start: 0, stop: 1.5 }, " (Strip): stop is 1.5"],
    [{ type: "Strip", content: "a", start: 0 }, " (Strip): stop is nothing, expected a number"],
    [{ type: "Metaspace", replacement: "ab" }, " (Metaspace): replacement is not one character"],
    [
      { type: "Replace", pattern: { String: "a" }, content: "x".repeat(1025) },
      " (Replace): content is longer than 1024 characters",
    ],
  ];
  for (const [value, state] of bad) refuses(() => createDecoder(value), place + state);
  const most = { type: "Replace", pattern: { String: "a" }, content: "x".repeat(1024) };
  assert.equal(decode(most, "a").length, 1024);
});

Deno.test("textOfByteRun() is UTF-8 as a whole, or U+FFFD for each byte", () => {
  assert.equal(textOfByteRun([0xef, 0xbb, 0xbf, 0x61]), "\ufeffa");
  assert.equal(textOfByteRun([0x61, 0xc3]), "\ufffd\ufffd");
  assert.equal(textOfByteRun([]), "");
});

Deno.test("createPreTokenizer() says whether bytes are left to write and who asks for the start", () => {
  const level = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
  const meta = { type: "Metaspace", replacement: "_", prepend_scheme: "first" };
  const pre = (...pretokenizers: Json[]): ReturnType<typeof createPreTokenizer> =>
    createPreTokenizer({ type: "Sequence", pretokenizers });
  const facts = (made: ReturnType<typeof createPreTokenizer>, text: string): unknown => [
    made.split(text, true),
    made.split(text, false),
    made.bytes,
    made.asksStart,
  ];
  assert.deepEqual(facts(createPreTokenizer(null), "a b"), [["a b"], ["a b"], false, false]);
  assert.deepEqual(facts(pre(level), "é b"), [["é b"], ["é b"], true, false]);
  assert.deepEqual(facts(pre(level, { type: "WhitespaceSplit" }), "é b"), [
    ...[["\u00c3\u00a9\u0120b"], ["\u00c3\u00a9\u0120b"], false, false],
  ]);
  assert.deepEqual(facts(pre(meta), "a b"), [["_a", "_b"], ["a", "_b"], false, true]);
  // What is first is not the text's first any more.
  assert.deepEqual(facts(pre({ type: "WhitespaceSplit" }, meta), " a b"), [
    ...[["a", "b"], ["a", "b"], false, true],
  ]);
  assert.deepEqual(facts(pre({ type: "WhitespaceSplit" }, meta), "a b"), [
    ...[["_a", "b"], ["a", "b"], false, true],
  ]);
  assert.deepEqual(facts(pre({ type: "FixedLength" }), "abcdefg"), [
    ...[["abcde", "fg"], ["abcde", "fg"], false, false],
  ]);
  assert.deepEqual(facts(pre({ type: "FixedLength", length: 2 }), "a\u{1f389}c"), [
    ...[["a\u{1f389}", "c"], ["a\u{1f389}", "c"], false, false],
  ]);
  const never = { ...meta, prepend_scheme: "never", add_prefix_space: false, split: false };
  assert.deepEqual(facts(pre(never), "a b"), [["a_b"], ["a_b"], false, false]);
  assert.deepEqual(facts(pre({ ...meta, prepend_scheme: "always", split: false }), "_a"), [
    ...[["_a"], ["_a"], false, false],
  ]);
  assert.deepEqual(facts(pre({ type: "CharDelimiterSplit", delimiter: "-" }), "a--b-"), [
    ...[["a", "b"], ["a", "b"], false, false],
  ]);
  assert.deepEqual(facts(pre({ ...level, add_prefix_space: true, use_regex: true }), "a b"), [
    ...[[" a", " b"], [" a", " b"], true, false],
  ]);
});

Deno.test("createPreTokenizer() names what it does not do", () => {
  const place = "tokenizer.json: pre_tokenizer";
  const bad: [Json, string][] = [
    [
      { type: "FixedLength", length: 0 },
      " (FixedLength): length is 0, expected a whole number above 0",
    ],
    [
      { type: "FixedLength", length: 1.5 },
      " (FixedLength): length is 1.5, expected a whole number above 0",
    ],
    [
      { type: "Punctuation", behavior: "Odd" },
      ' (Punctuation): behavior is "Odd", expected Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous',
    ],
    [
      { type: "Split", pattern: { String: "a" }, invert: false },
      " (Split): behavior is nothing, expected a string",
    ],
    [
      { type: "Split", pattern: { String: "a" }, behavior: "Removed" },
      " (Split): invert is nothing, expected a boolean",
    ],
    [
      { type: "Metaspace", replacement: "_", prepend_scheme: "odd" },
      ' (Metaspace): prepend_scheme is "odd", expected first, never, always',
    ],
    [
      { type: "Metaspace", replacement: "_", prepend_scheme: "first", add_prefix_space: false },
      ' (Metaspace): add_prefix_space is false and prepend_scheme is first; make it "never"',
    ],
  ];
  for (const [value, state] of bad) refuses(() => createPreTokenizer(value), place + state);
});

Deno.test("createPreTokenizer() knows over several steps whether the first piece begins the text", () => {
  const meta = { type: "Metaspace", replacement: "_", prepend_scheme: "first" };
  const words = { type: "WhitespaceSplit" };
  const dashes = { type: "CharDelimiterSplit", delimiter: "-" };
  const split = (text: string, ...pretokenizers: Json[]): string[] =>
    createPreTokenizer({ type: "Sequence", pretokenizers }).split(text, true);
  assert.deepEqual(split("-a b", words, dashes, meta), ["a", "b"]);
  assert.deepEqual(split("a- b", words, dashes, meta), ["_a", "b"]);
  assert.deepEqual(split("a -b", words, dashes, meta), ["_a", "b"]);
  assert.deepEqual(split(" a -b", words, dashes, meta), ["a", "b"]);
  assert.deepEqual(split("-a", dashes, words, meta), ["a"]);
  assert.deepEqual(split("ab", { type: "FixedLength", length: 1 }, meta), ["_a", "b"]);
  const whole = { ...meta, prepend_scheme: "never", split: false };
  assert.deepEqual(split("a", whole, meta), ["_a"]);
  assert.deepEqual(split("12a", { type: "Digits", individual_digits: true }, meta), [
    "_1",
    "2",
    "a",
  ]);
  assert.deepEqual(split("12a", { type: "Digits", individual_digits: false }, meta), ["_12", "a"]);
  // The pattern of GPT-2 is applied where nothing is said of it.
  assert.deepEqual(split("a b", { type: "ByteLevel", add_prefix_space: false }), ["a", " b"]);
});

Deno.test("parts of a tokenizer name one field, one character", () => {
  refuses(
    () => reviewStep({ type: "A", odd: 1 }, "p", TYPES),
    "p (A) has fields that ortune doesn't know: odd; remove them if the Rust library ignores them, or use a model with another tokenizer",
  );
  refuses(
    () => createPreTokenizer({ type: "Metaspace", replacement: "ab" }),
    'tokenizer.json: pre_tokenizer (Metaspace): replacement is "ab", expected one character',
  );
  // U+FEFF is text.
  assert.equal(decode({ type: "ByteLevel" }, "\u00ef\u00bb\u00bfa"), "\ufeffa");
});
