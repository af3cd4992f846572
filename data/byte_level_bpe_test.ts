import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import assert from "node:assert/strict";
import { qwen3Files } from "../tests/support/qwen3_tokenizer.ts";
import { draws } from "../tests/support/random.ts";
import { byteTokenizerFiles } from "./byte_tokenizer.ts";
import { byteLevelParts } from "./byte_level_bpe.ts";
import { createTokenizer } from "./tokenizer.ts";

const files = await qwen3Files();
const qwen3 = createTokenizer(files);
const reference = new HuggingFaceTokenizer(files.tokenizerJson, files.tokenizerConfig);

function assertSame(text: string): void {
  const { ids } = reference.encode(text, { add_special_tokens: false });
  assert.deepEqual([...qwen3.encode(text)], ids, JSON.stringify(text));
}

/** Pieces that a pre-tokenizer, a normalizer or a merge may treat in a way of its own. */
const PIECES = [
  ..."aZ é ñ 0 9 ' , . ! <|> \n \r\n \t _ = -".split(" "),
  ...[" ", "  ", "\u3000", "\u0085", "\u2028", "\ufeff", "e\u0301", "\u0958", "ｱ", "ﬁ"],
  ...["don't", "I'LL", " the", "hyperglycaemia", " Krankenhaus", "🎉", "👨‍👩‍👧", "\ud800", "각", "ا"],
  ...["患者", "，", "高血压病史十年", "。", "嗯", "58岁", "血糖控制不佳", "𠮷"],
  ...["<think>", "</think>", "<|im_end|>", "<|im_start|>", "<|im_", "<think", "assistant\n"],
];

Deno.test("encode() gives the library's ids for random texts", () => {
  const draw = draws(11);
  let words = 0;
  for (let n = 0; n < 3000; n++) {
    const length = Math.floor(draw(1, 20));
    const text = Array.from({ length }, () => PIECES[Math.floor(draw(0, PIECES.length))]).join("");
    assertSame(text);
    words += length;
  }
  assert.ok(words > 20_000);
});

Deno.test("encode() gives the library's ids for every token of the vocabulary, alone and in pairs", () => {
  const draw = draws(12);
  for (let id = 0; id < qwen3.vocabSize; id += 7) {
    const other = Math.floor(draw(0, qwen3.vocabSize));
    assertSame(qwen3.decode([id, other]));
  }
});

Deno.test("encode() gives the library's ids for words longer than any cache or table", () => {
  assertSame("血".repeat(3000) + "ab".repeat(5000) + " " + "=".repeat(4097));
});

Deno.test("encode() gives the same ids again once its cache has forgotten", () => {
  const text = "Rest first, 多休息。";
  const before = qwen3.encode(text);
  for (let n = 0; n < 80_000; n++) qwen3.encode(`w${n.toString(36).replace(/\d/g, "z")}x`);
  assert.deepEqual(qwen3.encode(text), before);
  assertSame(text);
});

Deno.test("encode() takes a token whole where tokenizer.json says to ignore merges", () => {
  const { model } = files.tokenizerJson as { model: Record<string, unknown> };
  const merges = (model.merges as unknown[]).slice(0, 1000);
  for (const ignore_merges of [true, false]) {
    const tokenizerJson = { ...files.tokenizerJson, model: { ...model, merges, ignore_merges } };
    const library = new HuggingFaceTokenizer(tokenizerJson, files.tokenizerConfig);
    const text = "The hyperglycaemia of the patient 血糖控制不佳";
    const { ids } = library.encode(text, { add_special_tokens: false });
    const tokenizer = createTokenizer({ ...files, tokenizerJson });
    assert.deepEqual([...tokenizer.encode(text)], ids);
  }
});

const toy = byteTokenizerFiles();
const parts = (change: Record<string, unknown>, config: Record<string, unknown> = {}): unknown =>
  byteLevelParts({ ...toy.tokenizerJson, ...change }, { ...toy.tokenizerConfig, ...config });
const model = toy.tokenizerJson.model as Record<string, unknown>;
const [added] = toy.tokenizerJson.added_tokens as Record<string, unknown>[];
const bytes = toy.tokenizerJson.pre_tokenizer as Record<string, unknown>;

Deno.test("byteLevelParts() takes byte-level BPE", () => {
  assert.notEqual(byteLevelParts(files.tokenizerJson, files.tokenizerConfig), undefined);
  assert.notEqual(parts({}), undefined);
  assert.notEqual(parts({ post_processor: { type: "Sequence", processors: [] } }), undefined);
});

const OTHERS: Readonly<Record<string, unknown>> = {
  "another model": parts({ model: { ...model, type: "Unigram" } }),
  "byte fallback": parts({ model: { ...model, byte_fallback: true } }),
  "an unknown token": parts({ model: { ...model, unk_token: "<unk>" } }),
  "a vocabulary without a byte": parts({ model: { ...model, vocab: { a: 0 } } }),
  "a merge that gives no token": parts({ model: { ...model, merges: ["a b"] } }),
  "a merge that is no pair": parts({ model: { ...model, merges: [[1]] } }),
  "merges that are numbers": parts({ model: { ...model, merges: [1] } }),
  "an id that is a word": parts({
    model: { ...model, vocab: { ...model.vocab as Record<string, number>, ab: "seven" } },
  }),
  "two tokens of one id": parts({
    model: { ...model, vocab: { ...model.vocab as Record<string, number>, ab: 7 } },
  }),
  "an added token that takes the blank before it": parts({
    added_tokens: [{ ...added, lstrip: true }],
  }),
  "an added token that is looked for in normalized text": parts({
    normalizer: { type: "NFC" },
    added_tokens: [{ ...added, normalized: true }],
  }),
  "a blank before the text": parts({ pre_tokenizer: { ...bytes, add_prefix_space: true } }),
  "another pre-tokenizer": parts({ pre_tokenizer: { type: "Metaspace" } }),
  "another post-processor": parts({ post_processor: { type: "BertProcessing" } }),
  "lower case": parts({}, { do_lowercase_and_remove_accent: true }),
};

for (const [what, made] of Object.entries(OTHERS)) {
  Deno.test(`byteLevelParts() leaves a tokenizer with ${what} to the library`, () => {
    assert.equal(made, undefined);
  });
}
