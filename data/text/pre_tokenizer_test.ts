import assert from "node:assert/strict";
import { byteTokenizerFiles } from "./byte_tokenizer.ts";
import { BYTE_TO_CHAR } from "./tokenize/gpt2_bytes.ts";
import { createTokenizer } from "./tokenizer.ts";

/** SmolLM's pre-tokenizer over the byte tokenizer, with merges that show where a text is split. */
function smollm(individual_digits: boolean): ReturnType<typeof createTokenizer> {
  const toy = byteTokenizerFiles();
  const char = (...bytes: number[]): string => bytes.map((byte) => BYTE_TO_CHAR[byte]).join("");
  const merges = [
    [char(0x20), char(0x20)],
    [char(0x20), char(0xc2)],
    [char(0xa3), char(0xd9)],
    [char(0x20, 0x20), char(0xc2)],
    [char(0xef), char(0xbb)],
  ];
  const { vocab, ...model } = toy.tokenizerJson.model as { vocab: Record<string, number> };
  const merged = merges.map((pair, index) => [pair.join(""), 261 + index]);
  return createTokenizer({
    ...toy,
    tokenizerJson: {
      ...toy.tokenizerJson,
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "Digits", individual_digits },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
        ],
      },
      model: { ...model, vocab: { ...vocab, ...Object.fromEntries(merged) }, merges },
    },
  });
}

// Expected ids are those of tokenizers 0.22 (Rust) for the same tokenizer.json.
Deno.test("Digits takes every number of Unicode for one, as Rust does", () => {
  const [one, runs] = [smollm(true), smollm(false)];
  assert.deepEqual([...one.encode(" ½")], [32, 194, 189]);
  assert.deepEqual([...runs.encode(" ½")], [32, 194, 189]);
  assert.deepEqual([...one.encode("٣٤")], [217, 163, 217, 164]);
  assert.deepEqual([...runs.encode("٣٤")], [217, 263, 164]);
  assert.deepEqual([...one.encode("12")], [49, 50]);
});

Deno.test("ByteLevel's blanks are Unicode's: U+0085 is one and U+FEFF is not", () => {
  assert.deepEqual([...smollm(true).encode("a  \x85 b")], [97, 264, 133, 32, 98]);
  assert.deepEqual([...smollm(true).encode("a  \ufeff")], [97, 32, 32, 265, 191]);
});
