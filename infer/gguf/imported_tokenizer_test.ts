import assert from "node:assert/strict";
import type { GgufValue } from "../../gguf/mod.ts";
import { importedTokenizer, type ImportedTokenizerOptions } from "./imported_tokenizer.ts";
import { metadataReader } from "./metadata_reader.ts";

type Keys = Readonly<Record<string, GgufValue | undefined>>;

const whole = (value: number): GgufValue => ({ type: "uint32", value });
const text = (value: string): GgufValue => ({ type: "string", value });
const flag = (value: boolean): GgufValue => ({ type: "bool", value });
const texts = (...values: readonly string[]): GgufValue => ({
  type: "array",
  of: "string",
  values,
});
const numbers = (...values: readonly number[]): GgufValue => ({
  type: "array",
  of: "int32",
  values,
});

// llama.cpp's LLAMA_TOKEN_TYPE.
const [NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE] = [1, 2, 3, 4, 5, 6];

/** What a file without further keys makes, with these in place of or beside them. */
function imported(
  keys: Keys,
  options: ImportedTokenizerOptions = { maxLength: 99 },
): ReturnType<typeof importedTokenizer> {
  const metadata = new Map<string, GgufValue>();
  for (const [key, value] of Object.entries(keys)) {
    const name = key === "template" ? "tokenizer.chat_template" : `tokenizer.ggml.${key}`;
    if (value) metadata.set(name, value);
  }
  return importedTokenizer(metadataReader(metadata, "a.gguf"), options);
}

function fails(keys: Keys, key: string, problem: string): void {
  assert.throws(
    () => imported(keys),
    new RangeError(`Cannot import a.gguf: tokenizer.ggml.${key} ${problem}`),
  );
}

const BYTES: Keys = {
  model: text("gpt2"),
  pre: text("gpt-2"),
  tokens: texts("a", "b", "ab", "<bos>", "<|im_end|>", "<think>", "<unused0>", "[PAD7]", "<eos>"),
  token_type: numbers(NORMAL, NORMAL, NORMAL, CONTROL, CONTROL, USER, CONTROL, UNUSED, USER),
  merges: texts("a b"),
};
const added = (id: number, content: string, special: boolean) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special,
});
const ADDED = [
  added(3, "<bos>", true),
  added(4, "<|im_end|>", true),
  added(5, "<think>", false),
  added(6, "<unused0>", false),
  added(8, "<eos>", false),
];
const byId = (tokens: readonly ReturnType<typeof added>[]) =>
  Object.fromEntries(tokens.map(({ id, ...rest }) => [id, rest]));
const BPE = {
  type: "BPE",
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
};
const CONFIG = {
  tokenizer_class: "PreTrainedTokenizerFast",
  add_bos_token: false,
  add_eos_token: false,
  clean_up_tokenization_spaces: false,
  model_max_length: 99,
  spaces_between_special_tokens: false,
};
const LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
const first = (id: string, number: number) => ({
  type: "TemplateProcessing",
  single: [
    { SpecialToken: { id, type_id: 0 } },
    { Sequence: { id: "A", type_id: 0 } },
  ],
  pair: [
    { SpecialToken: { id, type_id: 0 } },
    { Sequence: { id: "A", type_id: 0 } },
    { SpecialToken: { id, type_id: 1 } },
    { Sequence: { id: "B", type_id: 1 } },
  ],
  special_tokens: { [id]: { id, ids: [number], tokens: [id] } },
});

Deno.test("importedTokenizer() makes the files of a byte-level tokenizer", () => {
  assert.deepEqual(imported(BYTES), {
    tokenizerJson: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: ADDED,
      normalizer: null,
      pre_tokenizer: { type: "Sequence", pretokenizers: [{ ...LEVEL, use_regex: true }] },
      post_processor: null,
      decoder: { ...LEVEL, use_regex: true },
      model: {
        ...BPE,
        vocab: {
          ...{ a: 0, b: 1, ab: 2, "<bos>": 3, "<|im_end|>": 4, "<think>": 5, "<unused0>": 6 },
          "<eos>": 8,
        },
        merges: ["a b"],
      },
    },
    tokenizerConfig: { ...CONFIG, added_tokens_decoder: byId(ADDED) },
    ids: {},
    // By its text; <eos> is no control token here.
    eosTokenIds: [4],
  });
});

Deno.test("importedTokenizer() names special tokens, the first one where sequences begin with it", () => {
  const { tokenizerJson, tokenizerConfig, ids, eosTokenIds } = imported({
    ...BYTES,
    pre: text("qwen2"),
    bos_token_id: whole(3),
    eos_token_id: whole(8),
    padding_token_id: whole(0),
    unknown_token_id: whole(1),
    eot_token_id: whole(5),
    eom_token_id: whole(9),
    add_bos_token: flag(true),
    add_eos_token: flag(true),
    template: text("T"),
  });
  assert.deepEqual(tokenizerConfig, {
    ...CONFIG,
    add_bos_token: true,
    add_eos_token: true,
    added_tokens_decoder: byId(ADDED),
    chat_template: "T",
    bos_token: "<bos>",
    eos_token: "<eos>",
    unk_token: "b",
    pad_token: "a",
  });
  assert.deepEqual(ids, { bos_token_id: 3, eos_token_id: 8, pad_token_id: 0 });
  // The file's own first; an id of no token ends nothing.
  assert.deepEqual(eosTokenIds, [8, 5, 4]);
  assert.deepEqual(tokenizerJson.post_processor, first("<bos>", 3));
  assert.deepEqual(tokenizerJson.normalizer, { type: "NFC" });
  const { pretokenizers } = tokenizerJson.pre_tokenizer as { pretokenizers: readonly unknown[] };
  assert.equal(pretokenizers.length, 2);
  assert.deepEqual(pretokenizers[1], { ...LEVEL, use_regex: false });
});

Deno.test("importedTokenizer() begins sequences as the file says, or as llama.cpp does by default", () => {
  const begins = (keys: Keys) => imported(keys).tokenizerConfig.add_bos_token;
  const bos = { bos_token_id: whole(3) };
  assert.equal(begins({ ...BYTES, ...bos }), false);
  assert.equal(begins({ ...BYTES, ...bos, add_bos_token: flag(true) }), true);
  assert.equal(begins({ ...BYTES, add_bos_token: flag(true) }), false);
  assert.equal(begins({ ...PIECES, bos_token_id: whole(1) }), true);
  assert.equal(begins({ ...PIECES, bos_token_id: whole(1), add_bos_token: flag(false) }), false);
});

Deno.test("importedTokenizer() takes the template that is given, or the file's, or none", () => {
  const template = (own: string | undefined, chatTemplate?: string): unknown =>
    imported(
      { ...BYTES, template: own === undefined ? undefined : text(own) },
      { maxLength: 1, chatTemplate },
    ).tokenizerConfig.chat_template;
  assert.deepEqual([template("A"), template("A", "B"), template(undefined, "B")], ["A", "B", "B"]);
  assert.deepEqual(
    [template(undefined), template(""), template("A", "")],
    Array(3).fill(undefined),
  );
});

Deno.test("importedTokenizer() ends replies at control tokens that llama.cpp knows by their text", () => {
  const known = [
    ...["<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>"],
    ...["<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "<eos>"],
  ];
  const tokens = ["<other>", ...known, "</s>"];
  const ends = (type: number): readonly number[] =>
    imported({
      ...BYTES,
      tokens: texts(...tokens),
      token_type: numbers(...tokens.map(() => type)),
    }).eosTokenIds;
  assert.deepEqual(ends(CONTROL), known.map((_, i) => i + 1));
  assert.deepEqual(ends(USER), []);
});

const PIECES: Keys = {
  model: text("llama"),
  tokens: texts("<unk>", "<s>", "</s>", " ", "a", " a", "  ", "<0x0A>"),
  token_type: numbers(UNKNOWN, CONTROL, CONTROL, NORMAL, NORMAL, NORMAL, USER, BYTE),
  scores: { type: "array", of: "float32", values: [0, 0, 0, -3, -4, -1, -9, 0] },
};

Deno.test("importedTokenizer() makes the files of a SentencePiece tokenizer", () => {
  const pieces = [added(1, "<s>", true), added(2, "</s>", true), added(6, "▁▁", false)];
  const blanks = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const json = (prefix: boolean, unknown: string | null, after: unknown) => ({
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: pieces,
    normalizer: prefix
      ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, blanks] }
      : blanks,
    pre_tokenizer: null,
    post_processor: after,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...prefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : [],
      ],
    },
    model: {
      ...BPE,
      unk_token: unknown,
      fuse_unk: true,
      byte_fallback: true,
      vocab: {
        ...{ "<unk>": 0, "<s>": 1, "</s>": 2, "▁": 3, a: 4, "▁a": 5, "▁▁": 6, "<0x0A>": 7 },
      },
      merges: [["▁", "▁"], ["▁", "a"]],
    },
  });
  const { tokenizerJson, tokenizerConfig, ids, eosTokenIds } = imported(PIECES);
  assert.deepEqual(tokenizerJson, json(true, null, null));
  assert.deepEqual(tokenizerConfig, { ...CONFIG, added_tokens_decoder: byId(pieces) });
  assert.deepEqual([ids, eosTokenIds], [{}, []]);
  const named = imported({
    ...PIECES,
    unknown_token_id: whole(0),
    bos_token_id: whole(1),
    eos_token_id: whole(2),
    add_space_prefix: flag(false),
  });
  assert.deepEqual(named.tokenizerJson, json(false, "<unk>", first("<s>", 1)));
  assert.deepEqual(named.tokenizerConfig, {
    ...CONFIG,
    add_bos_token: true,
    added_tokens_decoder: byId(pieces),
    bos_token: "<s>",
    eos_token: "</s>",
    unk_token: "<unk>",
  });
  assert.deepEqual([named.ids, named.eosTokenIds], [{ bos_token_id: 1, eos_token_id: 2 }, [2]]);
  assert.deepEqual(
    imported({ ...PIECES, add_space_prefix: flag(true) }).tokenizerJson,
    json(true, null, null),
  );
});

Deno.test("importedTokenizer() refuses kinds, cuts, counts and ids that are wrong", () => {
  fails({ ...BYTES, token_type: numbers(1, 1) }, "token_type", "has 2 types of 9 tokens");
  fails(
    { ...BYTES, model: text("bert") },
    "model",
    'is "bert": only gpt2 (byte-level BPE) and llama (SentencePiece) are supported',
  );
  for (const [pre, shown] of [[text("viking"), "viking"], [undefined, "default"]] as const) {
    fails(
      { ...BYTES, pre },
      "pre",
      `is "${shown}": how this tokenizer cuts text is not known; take the model from its own repository`,
    );
  }
  fails({ ...PIECES, scores: numbers(1, 2) }, "scores", "has 2 scores of 8 tokens");
  const names = { bos: "bos", eos: "eos", unk: "unknown", pad: "padding" };
  for (const name of Object.values(names)) {
    const key = `${name}_token_id`;
    fails({ ...BYTES, [key]: whole(9) }, key, "is 9, but there are 9 tokens");
    imported({ ...BYTES, [key]: whole(8) });
  }
});
