import assert from "node:assert/strict";
import { byteTokenizerFiles } from "./byte_tokenizer.ts";
import { createTokenizer } from "./tokenizer.ts";

Deno.test("byteTokenizerFiles() are the files of 261 tokens", () => {
  const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
  const level = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: false,
    use_regex: false,
  };
  const { model, added_tokens, ...rest } = tokenizerJson;
  assert.deepEqual(rest, {
    version: "1.0",
    truncation: null,
    padding: null,
    normalizer: null,
    pre_tokenizer: level,
    post_processor: level,
    decoder: level,
  });
  const { vocab, ...fields } = model as Record<string, unknown>;
  assert.deepEqual(fields, {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: "",
    end_of_word_suffix: "",
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    merges: [],
  });
  assert.deepEqual(Object.values(vocab as Record<string, number>).length, 256);
  const names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"];
  assert.deepEqual(
    added_tokens,
    names.map((content, index) => ({
      id: 256 + index,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: [true, true, true, false, false][index],
    })),
  );
  const { chat_template: _, ...config } = tokenizerConfig;
  assert.deepEqual(config, {
    bos_token: null,
    eos_token: "<|im_end|>",
    pad_token: "<|endoftext|>",
    model_max_length: 4096,
    clean_up_tokenization_spaces: false,
    tokenizer_class: "Qwen2Tokenizer",
  });
  const tokenizer = createTokenizer(byteTokenizerFiles());
  assert.deepEqual(tokenizer.notes, []);
  const bytes = Uint8Array.from({ length: 128 }, (_, byte) => byte);
  assert.deepEqual([...tokenizer.encode(new TextDecoder().decode(bytes))], [...bytes]);
});
