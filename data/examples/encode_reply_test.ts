import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../text/byte_tokenizer.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { endReply } from "./encode_reply.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());
const { tokenizerConfig, ...files } = byteTokenizerFiles();
const endless = createTokenizer({
  ...files,
  tokenizerConfig: { ...tokenizerConfig, eos_token: null },
});

Deno.test("endReply() cuts blanks behind a special token alone, and ends what has none", () => {
  const cases = [
    ["a<|im_end|>", "a<|im_end|>"],
    ["a<|im_end|> \n", "a<|im_end|>"],
    ["a<|im_end|>b", "a<|im_end|>b<|im_end|>"],
    ["a \n", "a \n<|im_end|>"],
    [" \n\t", " \n\t<|im_end|>"],
    ["", "<|im_end|>"],
  ];
  for (const [text, wanted] of cases) {
    const { ids, terminated } = endReply(tokenizer.encode(text), tokenizer);
    assert.deepEqual([tokenizer.decode(ids), terminated], [wanted, true], JSON.stringify(text));
  }
  for (const text of ["a \n", " \n\t"]) {
    const { ids, terminated } = endReply(endless.encode(text), endless);
    assert.deepEqual([endless.decode(ids), terminated], [text, false], JSON.stringify(text));
  }
});
