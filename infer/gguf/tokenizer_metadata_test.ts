import assert from "node:assert/strict";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import { BYTE_TOKENS, SENTENCEPIECE_DECODER } from "../../tests/support/sentencepiece_parts.ts";
import { tokenizerMetadata } from "./tokenizer_metadata.ts";

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
