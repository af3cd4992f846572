import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import { BYTE_TOKENS, SENTENCEPIECE_DECODER } from "../../tests/support/sentencepiece_parts.ts";
import { tokenizerMetadata, type TokenizerMetadataOptions } from "./tokenizer_metadata.ts";

const SPECIALS = ["<unk>", "<s>", "</s>", "<pad>", "<eot>", "<eom>"];
const WORDS = ["▁", "a", "b", "ab", "▁▁"];
const TOKENS = [...SPECIALS, ...BYTE_TOKENS, ...WORDS, "▁tool"];

/** A tokenizer of SentencePiece's kind, with an added token that holds a blank. */
const tokenizerJson = {
  normalizer: null,
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false },
  decoder: SENTENCEPIECE_DECODER,
  added_tokens: [
    ...SPECIALS.map((content, id) => ({ id, content, special: true })),
    { id: TOKENS.length - 1, content: "▁tool", special: false },
  ],
  model: {
    type: "BPE",
    unk_token: "<unk>",
    byte_fallback: true,
    vocab: Object.fromEntries(TOKENS.slice(0, -1).map((token, id) => [token, id])),
    merges: [["a", "b"], ["▁", "▁"]],
  },
};

Deno.test("tokenizerMetadata() names the tokens, what they are, and each special one", () => {
  const tokenizer = createTokenizer({
    tokenizerJson,
    tokenizerConfig: {
      bos_token: "<s>",
      eos_token: "</s>",
      pad_token: "<pad>",
      chat_template: "T",
    },
  });
  const ids = (eosTokenIds: readonly number[], rows = TOKENS.length) => {
    const { entries, notes } = tokenizerMetadata({
      ...{ tokenizer, tokenizerJson, path: "tokenizer.json", rows, eosTokenIds, addBos: true },
    });
    const values = entries.map(([key, value]) => [
      key.replace("tokenizer.", ""),
      "values" in value ? value.values : value.value,
    ]);
    return { values: Object.fromEntries(values), notes };
  };
  const { values, notes } = ids([2, 4, 5, 3]);
  const { "ggml.tokens": tokens, "ggml.scores": scores, "ggml.token_type": types, ...others } =
    values;
  assert.deepEqual(others, {
    "ggml.model": "llama",
    "ggml.pre": "default",
    "ggml.bos_token_id": 1,
    "ggml.eos_token_id": 2,
    "ggml.eot_token_id": 4,
    "ggml.eom_token_id": 5,
    "ggml.unknown_token_id": 0,
    "ggml.padding_token_id": 3,
    "ggml.add_bos_token": true,
    "ggml.add_eos_token": false,
    "ggml.add_space_prefix": false,
    "chat_template": "T",
  });
  assert.deepEqual(tokens, [...SPECIALS, ...BYTE_TOKENS, ...WORDS, " tool"]);
  // llama.cpp's LLAMA_TOKEN_TYPE: 3 control, 6 byte, 1 normal, 4 user-defined.
  assert.deepEqual(types, [
    ...SPECIALS.map(() => 3),
    ...BYTE_TOKENS.map(() => 6),
    ...WORDS.map(() => 1),
    4,
  ]);
  // What is merged first scores highest.
  const [, , , ab, blanks] = scores.slice(SPECIALS.length + BYTE_TOKENS.length);
  assert.ok(0 >= ab && ab > blanks);
  assert.equal(scores.at(-1), -1000);
  assert.equal(notes.length, 2, "one more token ends replies, blanks");
  assert.match(notes[0], /4 tokens, of which a GGUF file names three: "<pad>" may not end them$/);

  const few = ids([2], TOKENS.length + 2);
  assert.ok(!("ggml.eot_token_id" in few.values) && !("ggml.eom_token_id" in few.values));
  assert.deepEqual(few.values["ggml.tokens"].slice(-2), ["[PAD268]", "[PAD269]"]);
  assert.deepEqual(few.values["ggml.token_type"].slice(-2), [5, 5]);
  assert.equal(few.notes.length, 1);
  assert.throws(
    () => ids([2], TOKENS.length - 1),
    /it has 268 tokens, but the model's embedding 267/,
  );
});

type Json = Readonly<Record<string, unknown>>;

/** Metadata without the texts and types of tokens, by keys, in their order. */
function metadata(
  json: Json,
  { rows = 300, tokenizer, ...change }:
    & Partial<Omit<TokenizerMetadataOptions, "tokenizerJson">>
    & { readonly tokenizer: Tokenizer },
) {
  const { entries, notes } = tokenizerMetadata({
    ...{ tokenizer, tokenizerJson: json, path: "a/tokenizer.json", rows, eosTokenIds: [] },
    ...{ addBos: false, ...change },
  });
  const all = entries.map(([key, value]) =>
    [
      key.replace("tokenizer.", ""),
      "values" in value ? Array.from(value.values as ArrayLike<unknown>) : value.value,
    ] as const
  );
  return { all, values: Object.fromEntries(all), notes };
}

const bytes = byteTokenizerFiles();
const byteTokenizer = createTokenizer(bytes);
const GPT2 = { type: "ByteLevel", add_prefix_space: false, use_regex: true };
/** The byte tokenizer with two merges. */
const merging: Json = {
  ...bytes.tokenizerJson,
  pre_tokenizer: GPT2,
  model: { ...bytes.tokenizerJson.model as Json, merges: [["a", "b"], "c d"] },
};

Deno.test("tokenizerMetadata() has the keys of a byte-level tokenizer in llama.cpp's order", () => {
  const { all, values, notes } = metadata(merging, {
    tokenizer: byteTokenizer,
    rows: 263,
    eosTokenIds: [258],
    addBos: true,
  });
  const { "ggml.tokens": tokens, "ggml.token_type": types, chat_template: template, ...others } =
    values;
  assert.deepEqual(all.map(([key]) => key), [
    ...["model", "pre", "tokens", "token_type", "merges", "eos_token_id", "padding_token_id"]
      .map((key) => `ggml.${key}`),
    ...["ggml.add_bos_token", "ggml.add_eos_token", "chat_template"],
  ]);
  assert.deepEqual(others, {
    "ggml.model": "gpt2",
    "ggml.pre": "gpt-2",
    "ggml.merges": ["a b", "c d"],
    "ggml.eos_token_id": 258,
    "ggml.padding_token_id": byteTokenizer.padTokenId,
    "ggml.add_bos_token": true,
    "ggml.add_eos_token": false,
  });
  assert.equal(template, byteTokenizer.chatTemplate);
  // Three special tokens, two that are not, and two rows without a token.
  assert.deepEqual((types as number[]).slice(254), [1, 1, 3, 3, 3, 4, 4, 5, 5]);
  assert.ok((types as number[]).slice(0, 256).every((type) => type === 1));
  assert.deepEqual((tokens as string[]).slice(256), [
    ...["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"],
    ...["[PAD261]", "[PAD262]"],
  ]);
  assert.equal((tokens as string[])[97], "a");
  assert.deepEqual(notes, []);
  const none = metadata(merging, {
    tokenizer: { ...byteTokenizer, padTokenId: undefined, chatTemplate: undefined },
  });
  assert.deepEqual(
    none.all.map(([key]) => key).filter((key) => /pad|template|eos_token_id/.test(key)),
    [],
  );
  assert.equal(none.values["ggml.add_bos_token"], false);
});

Deno.test("tokenizerMetadata() names up to three ends of a reply, and says which are left", () => {
  const ends = (eosTokenIds: readonly number[]) => {
    const { values, notes } = metadata(merging, { tokenizer: byteTokenizer, eosTokenIds });
    return [
      ["eos", "eot", "eom"].map((name) => values[`ggml.${name}_token_id`]),
      notes,
    ];
  };
  assert.deepEqual(ends([]), [[undefined, undefined, undefined], []]);
  assert.deepEqual(ends([258, 256]), [[258, 256, undefined], []]);
  assert.deepEqual(ends([258, 256, 257]), [[258, 256, 257], []]);
  assert.deepEqual(ends([258, 256, 257, 259, 260]), [[258, 256, 257], [
    'replies end with 5 tokens, of which a GGUF file names three: "<think>", "</think>" may not end them',
  ]]);
});

Deno.test("tokenizerMetadata() takes tokens that look special for such, whatever their mark", () => {
  const looks = [
    ...["<pad>", "<mask>", "<2mass>", "[@BOS@]", "<|x\ny|>", "<｜x｜>", "<unused5>"],
    ...["<pad", "<|x>", "x<|y|>", "<unused", "a▁b"],
  ];
  const tokenizer = {
    ...byteTokenizer,
    vocabSize: looks.length,
    idToToken: (id: number) => looks[id],
    isAdded: () => true,
    isSpecial: () => false,
  };
  const { values } = metadata(merging, { tokenizer, rows: looks.length });
  assert.deepEqual(values["ggml.token_type"], [...Array(7).fill(3), ...Array(5).fill(4)]);
  assert.deepEqual((values["ggml.tokens"] as string[]).at(-1), "a b");
});

Deno.test("tokenizerMetadata() refuses what llama.cpp has not, before a byte-level tokenizer's merges", () => {
  const of = (change: Json) => metadata({ ...merging, ...change }, { tokenizer: byteTokenizer });
  const note =
    "llama.cpp does not compose characters (NFC) as the tokenizer does: texts with letters and accents " +
    "apart get other tokens there";
  const nfc = { type: "NFC" };
  assert.deepEqual(of({ normalizer: nfc }).notes, [note]);
  assert.deepEqual(of({ normalizer: { type: "Sequence", normalizers: [nfc] } }).notes, [note]);
  assert.deepEqual(of({ normalizer: { type: "Sequence", normalizers: [] } }).notes, []);
  for (
    const normalizer of [
      { type: "Lowercase" },
      { type: "Sequence", normalizers: [nfc, { type: "Lowercase" }] },
    ]
  ) {
    assert.throws(
      () => of({ normalizer }),
      new RangeError(
        'Cannot write a/tokenizer.json into a GGUF file: llama.cpp has no "Lowercase" before a byte-level ' +
          "tokenizer's merges",
      ),
    );
  }
  for (const [model, shown] of [[{ type: "Unigram" }, '"Unigram"'], [null, "undefined"]] as const) {
    assert.throws(
      () => of({ model }),
      new RangeError(
        `Cannot write a/tokenizer.json into a GGUF file: its model is ${shown}, and only BPE is supported`,
      ),
    );
  }
  assert.throws(
    () => metadata(merging, { tokenizer: byteTokenizer, rows: 260 }),
    new RangeError(
      "Cannot write a/tokenizer.json into a GGUF file: it has 261 tokens, but the model's embedding 260 " +
        "rows; llama.cpp wants one for each",
    ),
  );
});

Deno.test("tokenizerMetadata() says before which parts SentencePiece puts a blank", () => {
  const tokenizer = createTokenizer({ tokenizerJson, tokenizerConfig: {} });
  const of = (change: Json) => {
    const { values, notes } = metadata({ ...tokenizerJson, ...change }, { tokenizer });
    return [values["ggml.add_space_prefix"], notes.length];
  };
  const [never, always, first] = [[false, 0], [true, 0], [false, 1]];
  const sequence = (list: string, ...steps: readonly unknown[]): Json => ({
    type: "Sequence",
    [list]: steps,
  });
  const replace = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const prepend = { type: "Prepend", prepend: "▁" };
  const split = { type: "Split", pattern: { String: " " } };
  const metaspace = (change: Json) => ({
    pre_tokenizer: { type: "Metaspace", replacement: "▁", split: false, ...change },
  });
  const none = { pre_tokenizer: null };
  assert.deepEqual(of({ ...none, normalizer: null }), never);
  assert.deepEqual(of({ ...none, normalizer: replace }), never);
  assert.deepEqual(of({ ...none, normalizer: sequence("normalizers", prepend, replace) }), always);
  assert.deepEqual(of({ normalizer: replace, pre_tokenizer: split }), never);
  assert.deepEqual(of({ pre_tokenizer: sequence("pretokenizers", split) }), never);
  assert.deepEqual(of(metaspace({})), always);
  assert.deepEqual(of(metaspace({ prepend_scheme: "always" })), always);
  assert.deepEqual(of(metaspace({ prepend_scheme: "never" })), never);
  assert.deepEqual(of(metaspace({ prepend_scheme: "first" })), first);
  const wrong: readonly (readonly [Json, unknown])[] = [
    ...[
      { type: "NFKC" },
      { ...prepend, prepend: "_" },
      { ...replace, content: "_" },
      { ...replace, pattern: { String: "a" } },
      { ...replace, pattern: { Regex: " " } },
    ].map((step) => [{ ...none, normalizer: step }, step] as const),
    ...[
      { type: "Whitespace" },
      { ...split, pattern: { String: "a" } },
      { ...metaspace({}).pre_tokenizer, replacement: "_" },
      { ...metaspace({}).pre_tokenizer, split: true },
      { ...metaspace({}).pre_tokenizer, prepend_scheme: "last" },
    ].map((step) => [{ pre_tokenizer: step }, step] as const),
  ];
  for (const [change, step] of wrong) {
    assert.throws(
      () => of(change),
      new RangeError(
        `Cannot write a/tokenizer.json into a GGUF file: llama.cpp has nothing like ${
          JSON.stringify(step).slice(0, 200)
        } before SentencePiece's merges`,
      ),
    );
  }
});

Deno.test("tokenizerMetadata() scores SentencePiece's tokens in the order of their merges", () => {
  const tokenizer = createTokenizer({ tokenizerJson, tokenizerConfig: {} });
  const { all, values } = metadata(tokenizerJson, { tokenizer, rows: TOKENS.length });
  assert.deepEqual(all.slice(0, 5).map(([key]) => key), [
    ...["model", "pre", "tokens", "scores", "token_type"].map((key) => `ggml.${key}`),
  ]);
  const scores = (values["ggml.scores"] as number[]).map((score) => score + 0);
  assert.deepEqual(scores, [
    ...SPECIALS.map(() => -1000),
    ...BYTE_TOKENS.map(() => 0),
    // Two are made; those that are not come behind them.
    ...[-2, -2, -2, 0, -1],
    -1000,
  ]);
});
