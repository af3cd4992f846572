import assert from "node:assert/strict";
import { BYTE_TO_CHAR } from "./gpt2_bytes.ts";
import { TokenPipeline } from "./token_pipeline.ts";

type Json = Record<string, unknown>;

const BYTES = Object.fromEntries(BYTE_TO_CHAR.map((char, byte) => [char, byte]));
const MODEL: Json = { type: "BPE", vocab: BYTES, merges: [] };
const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
const ADDED = { id: 256, content: "<s>", special: true };

/** A byte tokenizer with changes. */
function create(changes: Json = {}, model: Json = {}): TokenPipeline {
  const json = { version: "1.0", pre_tokenizer: BYTE_LEVEL, decoder: BYTE_LEVEL, ...changes };
  return new TokenPipeline(json, { ...MODEL, ...model });
}

function refuses(changes: Json, message: RegExp, model: Json = {}): void {
  assert.throws(() => create(changes, model), { name: "TypeError", message });
  assert.throws(() => create(changes, model), { message: /^Cannot read the tokenizer: / });
}

Deno.test("TokenPipeline names fields and types that it doesn't know", () => {
  refuses({ odd: 1 }, /tokenizer\.json has fields that ortune doesn't know: odd/);
  refuses({ version: "2.0" }, /version is "2\.0": the Rust library reads 1\.0 alone/);
  refuses({ normalizer: { type: "Odd" } }, /normalizer is of type "Odd", expected ByteLevel, /);
  refuses({ normalizer: { type: "NFC", odd: 1 } }, /normalizer \(NFC\) has fields .*: odd/);
  refuses({ pre_tokenizer: { type: "Odd" } }, /pre_tokenizer is of type "Odd", expected Bert/);
  refuses({ pre_tokenizer: { ...BYTE_LEVEL, odd: 1 } }, /\(ByteLevel\) has fields .*: odd/);
  refuses(
    { pre_tokenizer: "ByteLevel" },
    /pre_tokenizer is string "ByteLevel", expected an object/,
  );
  refuses({ decoder: { type: "Odd" } }, /decoder is of type "Odd", expected BPEDecoder/);
  refuses({ post_processor: { type: "Odd" } }, /post_processor is of type "Odd"/);
  refuses({ added_tokens: [{ ...ADDED, odd: 1 }] }, /added_tokens\[0\] has fields .*: odd/);
  refuses({}, /model \(BPE\) has fields .*: odd/, { odd: 1 });
  const nested = {
    type: "Sequence",
    pretokenizers: [{ type: "Sequence", pretokenizers: [{ type: "Odd" }] }],
  };
  refuses({ pre_tokenizer: nested }, /pre_tokenizer\.pretokenizers\[0\]\.pretokenizers\[0\] is of/);
});

Deno.test("TokenPipeline names what it knows and doesn't do, and the way out", () => {
  refuses({ normalizer: { type: "BertNormalizer" } }, /BertNormalizer: .*use a model with another/);
  refuses({ normalizer: { type: "StripAccents" } }, /StripAccents: .*use a model with another/);
  refuses({ normalizer: { type: "Precompiled" } }, /Precompiled: its charsmap/);
  refuses({ pre_tokenizer: { type: "UnicodeScripts" } }, /UnicodeScripts: it cuts by a table/);
  refuses({ decoder: { type: "CTC" } }, /CTC: it joins the frames of speech recognition/);
  refuses({}, /dropout is 0\.1: .*set it to null/, { dropout: 0.1 });
  assert.ok(create({}, { dropout: 0 }));
});

Deno.test("TokenPipeline names values of the wrong kind", () => {
  const step = (fields: Json): Json => ({ pre_tokenizer: fields });
  refuses(step({ type: "ByteLevel" }), /add_prefix_space is nothing, expected a boolean/);
  refuses(step({ type: "Digits", individual_digits: 1 }), /individual_digits is number 1/);
  refuses(step({ type: "FixedLength", length: 0 }), /length is 0, expected a whole number above 0/);
  refuses(
    step({ type: "Punctuation", behavior: "isolated" }),
    /behavior is "isolated", expected Rem/,
  );
  refuses(step({ type: "Metaspace", replacement: "ab" }), /replacement is "ab", expected one char/);
  refuses(
    step({ type: "Metaspace", replacement: "▁", prepend_scheme: "odd" }),
    /"odd", expected first/,
  );
  refuses(
    step({ type: "Metaspace", replacement: "▁", add_prefix_space: false }),
    /add_prefix_space is false and prepend_scheme is always; make it "never"/,
  );
  refuses(
    {
      ...step({ type: "Metaspace", replacement: "▁", prepend_scheme: "first" }),
      normalizer: { type: "Strip", strip_left: true, strip_right: false },
    },
    /prepend_scheme is "first", and the normalizer Strip may drop what is first/,
  );
  refuses({ added_tokens: [{ ...ADDED, lstrip: 1 }] }, /added_tokens\[0\] has lstrip number 1/);
  refuses({ added_tokens: {} }, /added_tokens is object, expected an array/);
});

Deno.test("TokenPipeline refuses a vocabulary whose ids are no ids", () => {
  for (const id of [1.5, "7", 2 ** 32 + 1, -1, -5000, NaN, null, 2 ** 24 + 1]) {
    refuses({}, /model\.vocab gives "ab" the id .*, expected a whole number from 0 to 16777216/, {
      vocab: { ...BYTES, ab: id },
    });
  }
  refuses({}, /model\.vocab gives the id 97 to "a" and to "ab"/, { vocab: { ...BYTES, ab: 97 } });
  refuses({}, /model\.vocab has the token string "�", expected Unicode text/, {
    vocab: { ...BYTES, "\ud800": 256 },
  });
  refuses({}, /model\.vocab is array of 1, expected an object/, { vocab: ["a"] });
});

Deno.test("TokenPipeline refuses merges that name no tokens", () => {
  const merges = (list: unknown, message: RegExp): void =>
    refuses({}, message, { merges: list, vocab: { ...BYTES, ab: 256 } });
  merges(["a b", "a bc"], /merges\[1\] needs the token "bc", which is not in the vocabulary/);
  merges([["a", "c"]], /merges\[0\] needs the token "ac", which is not in the vocabulary/);
  merges(["ab"], /merges\[0\] is string "ab", expected "left right" as in the first/);
  merges(["a b c"], /merges\[0\] is string "a b c"/);
  merges([["a", "b"], "a b"], /merges\[1\] is string "a b", expected \["left", "right"\]/);
  merges([["a", 1]], /merges\[0\] is array of 2/);
  merges({}, /merges is object, expected an array/);
});

Deno.test("TokenPipeline takes names of JavaScript's own for tokens", () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
  const vocab = JSON.parse(`{"__proto__":0,"constructor":1,"toString":2,"hasOwnProperty":3,"?":4}`);
  const pipeline = new TokenPipeline({ pre_tokenizer: { type: "WhitespaceSplit" } }, {
    type: "WordLevel",
    vocab,
    unk_token: "?",
  });
  assert.deepEqual(pipeline.encode(`${names.join(" ")} valueOf`), [0, 1, 2, 3, 4]);
  assert.equal(pipeline.decode([0, 1]), "__proto__ constructor");
});

Deno.test("TokenPipeline numbers added tokens by their order, and says where a file does not", () => {
  const other = { ...ADDED, id: 300, content: "<t>" };
  const pipeline = create({ added_tokens: [ADDED, other] });
  assert.deepEqual(pipeline.encode("a<t><s>"), [97, 257, 256]);
  assert.match(pipeline.notes[0], /<t> 257 and not 300/);
  assert.deepEqual(create({ added_tokens: [ADDED, { ...other, id: 257 }] }).notes, []);
  refuses({ added_tokens: [ADDED, ADDED] }, /added_tokens\[1\] has the token "<s>" a second time/);
});

Deno.test("TokenPipeline says where a vocabulary that leaves out ids makes two tokens one", () => {
  const pipeline = create({ added_tokens: [{ ...ADDED, id: 258 }] }, {
    vocab: { ...BYTES, ab: 257 },
  });
  assert.match(pipeline.added.notes[0], /some to two tokens: <s> and ab \(257\)/);
});

Deno.test("TokenPipeline says that unknown characters vanish where the model has no token for them", () => {
  const { "\u0120": _, ...vocab } = BYTES;
  const pipeline = create({}, { vocab });
  assert.deepEqual(pipeline.encode("a b"), [97, 98]);
  assert.match(pipeline.notes[0], /no unk_token and not all bytes/);
});

Deno.test("added tokens that one normalizer makes equal are named", () => {
  const normalizer = { type: "Lowercase" };
  const tokens = ["<A>", "<a>"].map((content, index) => ({
    ...ADDED,
    id: 256 + index,
    content,
    normalized: true,
  }));
  const pipeline = create({ normalizer, added_tokens: tokens });
  assert.throws(() => pipeline.build(), { message: /"<a>" is "<A>" after the normalizer/ });
});

Deno.test("a megabyte without a blank has its ids within seconds", () => {
  const merges = [["a", "a"], ["aa", "aa"]];
  const pipeline = create({ normalizer: { type: "NFC" } }, {
    vocab: { ...BYTES, aa: 256, aaaa: 257 },
    merges,
  });
  const start = performance.now();
  assert.equal(pipeline.encode("a".repeat(1_000_000)).length, 250_000);
  assert.equal(pipeline.encode("𠮷".repeat(250_000)).length, 1_000_000);
  assert.equal(pipeline.encode(`e${"\u0301\u0323".repeat(250_000)}`).length, 1_000_001);
  // Together 2 s on a machine of its own; a quadratic step takes hours.
  assert.ok(performance.now() - start < 30_000);
});

Deno.test("steps that would make a text endless are named", () => {
  const replace = (content: string): Json => ({
    type: "Replace",
    pattern: { String: "a" },
    content,
  });
  const many = (count: number, step: Json): Json => ({
    type: "Sequence",
    normalizers: Array.from({ length: count }, () => step),
  });
  for (const normalizer of [replace("a".repeat(1e6)), many(40, replace("aa"))]) {
    assert.throws(() => create({ normalizer }).encode("a".repeat(1000)), {
      name: "RangeError",
      message: /^Cannot normalize a text: tokenizer\.json: normalizer.* makes \d+ characters of it/,
    });
  }
  refuses({ normalizer: many(65, { type: "NFC" }) }, /normalizer has more than 64 steps/);
  refuses({ normalizer: many(3, { type: "ByteLevel" }) }, /has ByteLevel more than twice/);
  refuses({ decoder: replace("a".repeat(2000)) }, /content is longer than 1024 characters/);
  let deep: Json = { type: "NFC" };
  for (let depth = 0; depth < 20; depth++) deep = { type: "Sequence", normalizers: [deep] };
  refuses({ normalizer: deep }, /normalizer nests deeper than 16 sequences/);
});

Deno.test("a lone surrogate is U+FFFD", () => {
  assert.deepEqual(create().encode("\ud800"), [0xef, 0xbf, 0xbd]);
});

Deno.test("TokenPipeline gives the same ids in slices, of a long word and of many", () => {
  const merges = ["a b", "ab c", "b c", "\u00e4 \u00b8"];
  const vocab = {
    ...BYTES,
    ...Object.fromEntries(merges.map((merge, at) => [merge.replace(" ", ""), 257 + at])),
  };
  const spaces = { type: "Split", pattern: { String: " " }, behavior: "MergedWithNext" };
  const pretokenizers = [{ ...spaces, invert: false }, BYTE_LEVEL];
  const pipeline = create({
    pre_tokenizer: { type: "Sequence", pretokenizers },
    added_tokens: [ADDED],
  }, { vocab, merges });
  const texts = [
    "",
    "abc",
    "abcab".repeat(9000),
    "\u4e00".repeat(9001),
    // Pairs of surrogates on both sides of a slice's end.
    `x${"\u{1f389}".repeat(5000)}`,
    "abc ab <s> ".repeat(3000),
    `${"ab".repeat(4000)}<s>${" b".repeat(4000)}`,
  ];
  for (const text of texts) {
    const work = pipeline.encodeInSlices(text);
    let pauses = 0;
    let step = work.next();
    // Others' texts in between change nothing.
    for (; !step.done; step = work.next(), pauses++) pipeline.encode("abc <s> ab");
    assert.deepEqual(step.value, pipeline.encode(text));
    assert.ok(pauses >= Math.floor(text.length / 8192), `${pauses} pauses`);
  }
});

Deno.test("TokenPipeline gives the same ids in slices of a Unigram piece", () => {
  const vocab = [["<unk>", 0], ["a", -1], ["b", -2], ["ab", -2.5], ["bab", -3]];
  const json = { version: "1.0", added_tokens: [] };
  const pipeline = new TokenPipeline(json, { type: "Unigram", vocab, unk_id: 0 });
  const text = "abbabaxb".repeat(2000);
  const work = pipeline.encodeInSlices(text);
  let pauses = 0;
  let step = work.next();
  for (; !step.done; step = work.next()) pauses++;
  assert.deepEqual(step.value, pipeline.encode(text));
  assert.ok(pauses >= 7, `${pauses} pauses`);
});

Deno.test("TokenPipeline pauses after 2048 characters, in one piece and in many", () => {
  const pauses = (pipeline: TokenPipeline, text: string): number => {
    const work = pipeline.encodeInSlices(text);
    let count = 0;
    for (let step = work.next(); !step.done; step = work.next()) count++;
    return count;
  };
  const one = create();
  assert.equal(pauses(one, "a".repeat(2047)), 0);
  assert.equal(pauses(one, "a".repeat(2048)), 1);
  // After the normalizer, the pre-tokenizer, two slices of bytes, the model's own, the model, the piece.
  assert.equal(pauses(one, "a".repeat(2049)), 7);
  const split = { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious" };
  const many = create({
    pre_tokenizer: { type: "Sequence", pretokenizers: [{ ...split, invert: false }, BYTE_LEVEL] },
  });
  assert.equal(pauses(many, "ab ".repeat(682)), 0);
  assert.equal(pauses(many, "ab ".repeat(683)), 2 + 1);
  assert.equal(pauses(many, "ab ".repeat(1366)), 2 + 2);
});

Deno.test("TokenPipeline gives the same ids where words come again, and where its memory is full", () => {
  const pipeline = create({ pre_tokenizer: { ...BYTE_LEVEL, use_regex: true } });
  const words = Array.from({ length: 17_000 }, (_, index) => ` ${index}`);
  const ids = (text: string): number[] => [...new TextEncoder().encode(text)];
  for (const text of [words.join(""), words.slice(0, 5).join(""), words.slice(-5).join("")]) {
    assert.deepEqual(pipeline.encode(text), ids(text));
    assert.deepEqual(pipeline.encode(text), ids(text));
  }
  for (const length of [31, 32, 33]) {
    const word = "w".repeat(length);
    assert.deepEqual(pipeline.encode(word), ids(word));
    assert.deepEqual(pipeline.encode(word), ids(word));
  }
});

Deno.test("TokenPipeline names four of many tokens that are numbered in another way", () => {
  const tokens = Array.from({ length: 5 }, (_, index) => ({
    ...ADDED,
    content: `<${index}>`,
    id: 300 + index,
  }));
  assert.deepEqual(create({ added_tokens: tokens }).notes, [
    "tokenizer.json numbers added tokens in another way than the Rust library and transformers, which go by their order: " +
    "<0> 256 and not 300, <1> 257 and not 301, <2> 258 and not 302, <3> 259 and not 303 and 1 more",
  ]);
  const vocab = {
    ...BYTES,
    ...Object.fromEntries([257, 258, 259, 260, 261, 262].map((id) => [`v${id}`, id + 6])),
  };
  const shared = create({ added_tokens: tokens.map((each, at) => ({ ...each, id: 262 + at })) }, {
    vocab,
  });
  assert.match(
    shared.added.notes[0],
    /two tokens: <1> and v257 \(263\), <2> and v258 \(264\), <3> and v259 \(265\), <4> and v260 \(266\); use/,
  );
});
