import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../text/byte_tokenizer.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { encodeWhole, endReply } from "./encode_reply.ts";

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
    ["<|im_end|>", "<|im_end|>"],
    ["<|im_end|>\n", "<|im_end|>"],
    // Any special token ends a reply.
    ["a<|im_start|> ", "a<|im_start|>"],
  ];
  for (const [text, wanted] of cases) {
    const { ids, terminated } = endReply(tokenizer.encode(text), tokenizer);
    assert.deepEqual([tokenizer.decode(ids), terminated], [wanted, true], JSON.stringify(text));
  }
  const marked = endReply(endless.encode("a<|im_end|> "), endless);
  assert.deepEqual(marked, { ids: Int32Array.of(97, 258), terminated: true });
  for (const text of ["a \n", " \n\t"]) {
    const { ids, terminated } = endReply(endless.encode(text), endless);
    assert.deepEqual([endless.decode(ids), terminated], [text, false], JSON.stringify(text));
  }
});

Deno.test("encodeWhole() gives ids that decode to the text, and refuses others", () => {
  assert.deepEqual(encodeWhole("aé<|im_end|>", tokenizer, "it"), Int32Array.of(97, 195, 169, 258));
  assert.deepEqual(encodeWhole("", tokenizer, "it"), new Int32Array());
  const lossy = createTokenizer({
    ...byteTokenizerFiles(),
    tokenizerJson: { ...files.tokenizerJson, normalizer: { type: "Lowercase" } },
  });
  assert.deepEqual(encodeWhole("a b", lossy, "it"), Int32Array.of(97, 32, 98));
  assert.throws(() => encodeWhole("a B", lossy, "the end"), {
    name: "Error",
    message:
      "Cannot make an example of the end: the tokenizer does not give its text back, at character 2 " +
      '"a B" becomes "a b"; change that text, or leave the row out',
  });
});
