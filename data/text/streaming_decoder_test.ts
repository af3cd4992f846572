import assert from "node:assert/strict";
import { byteTokenizerFiles } from "./byte_tokenizer.ts";
import { qwen3Tokenizer } from "../../tests/support/qwen3_tokenizer.ts";
import { StreamingDecoder } from "./streaming_decoder.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import { BYTE_TOKENS, SENTENCEPIECE_DECODER } from "../../tests/support/sentencepiece_parts.ts";

const qwen3 = await qwen3Tokenizer();
const bytes = createTokenizer(byteTokenizerFiles());

/** A SentencePiece-like tokenizer with byte fallback, as Llama 2's. */
const pieces = createTokenizer({
  tokenizerJson: {
    added_tokens: [{ id: 0, content: "<unk>", special: true }, {
      id: 1,
      content: "</s>",
      special: true,
    }],
    normalizer: {
      type: "Sequence",
      normalizers: [{ type: "Prepend", prepend: "▁" }, {
        type: "Replace",
        pattern: { String: " " },
        content: "▁",
      }],
    },
    decoder: SENTENCEPIECE_DECODER,
    model: {
      type: "BPE",
      unk_token: "<unk>",
      byte_fallback: true,
      merges: [],
      vocab: Object.fromEntries([
        "<unk>",
        "</s>",
        ...BYTE_TOKENS,
        "▁",
        ..."abcdefgh",
      ].map((token, id) => [token, id])),
    },
  },
  tokenizerConfig: { eos_token: "</s>" },
});

function stream(tokenizer: Tokenizer, ids: ArrayLike<number>, skipSpecialTokens = false): string[] {
  const decoder = new StreamingDecoder(tokenizer, { skipSpecialTokens });
  return [...Array.from(ids, (id) => decoder.push(id)), decoder.flush()];
}

function randomText(random: (below: number) => number): string {
  const pool = [
    ..."abcxyz019 ,.!\n\téüñ患者高血压糖尿病的治疗，。？日本語한국어हिन्दीالعربيةไทย\ufeff\u2028\u3000",
    ...["😀", "👍🏽", "👨‍👩‍👧", "🇨🇳", "𠮷", "e\u0301", "<think>", "</think>", "<|im_end|>", "  ", "\r\n"],
  ];
  return Array.from({ length: 1 + random(40) }, () => pool[random(pool.length)]).join("");
}

function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

for (const [name, tokenizer] of [["Qwen3", qwen3], ["a byte tokenizer", bytes]] as const) {
  Deno.test(`StreamingDecoder gives decode()'s text for 300 random texts, with ${name}`, () => {
    const random = generator(1);
    for (let round = 0; round < 300; round++) {
      const text = randomText(random);
      const ids = tokenizer.encode(text);
      const parts = stream(tokenizer, ids);
      assert.equal(parts.join(""), tokenizer.decode(ids));
      assert.ok(!parts.join("").includes("\ufffd"), "a character was cut");
      for (const part of parts) assert.ok(part.isWellFormed());
      assert.equal(
        stream(tokenizer, ids, true).join(""),
        tokenizer.decode(ids, { skipSpecialTokens: true }),
      );
    }
  });

  Deno.test(`StreamingDecoder gives decode()'s text for 300 lists of random ids, with ${name}`, () => {
    const random = generator(2);
    for (let round = 0; round < 300; round++) {
      const ids = Array.from({ length: 1 + random(20) }, () => random(tokenizer.vocabSize + 10));
      assert.equal(stream(tokenizer, ids).join(""), tokenizer.decode(ids));
    }
  });
}

Deno.test("StreamingDecoder holds the bytes of a cut character back", () => {
  assert.deepEqual(stream(bytes, [0xe6, 0x82, 0xa3, 0x61]), ["", "", "患", "a", ""]);
});

Deno.test("StreamingDecoder shows an unfinished character before an added token and at the end", () => {
  assert.deepEqual(stream(bytes, [0xe6, 0x82, 259, 0xe6]), ["", "", "\ufffd<think>", "", "\ufffd"]);
});

Deno.test("StreamingDecoder starts anew after flush()", () => {
  const decoder = new StreamingDecoder(bytes);
  decoder.push(0xe6);
  assert.equal(decoder.flush(), "\ufffd");
  assert.equal(decoder.push(0x61), "a");
});

Deno.test("StreamingDecoder drops SentencePiece's first blank and joins its byte tokens", () => {
  for (const text of ["abc de", " a", "a 患 b", "😀"]) {
    const ids = pieces.encode(text);
    assert.equal(pieces.decode(ids), text);
    assert.equal(stream(pieces, ids).join(""), text);
  }
});

Deno.test("StreamingDecoder gives decode()'s text for byte tokens that are no UTF-8", () => {
  const byte = (value: number): number => 2 + value;
  for (
    const ids of [
      [byte(0xe6), byte(0x82), byte(0xa3), byte(0xff)],
      [byte(0xe6), pieces.tokenToId("a")!, byte(0xa3)],
      [byte(0x20), byte(0xe6), byte(0x82), byte(0xa3), pieces.tokenToId("b")!],
    ]
  ) assert.equal(stream(pieces, ids).join(""), pieces.decode(ids));
});
