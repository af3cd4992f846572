import assert from "node:assert/strict";
import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { badWordsIds } from "./bad_words.ts";

Deno.test("badWordsIds() has a word alone, and after a blank where that is another token", async () => {
  const folder = new URL("../../tests/fixtures/parity/tokenizer", import.meta.url).pathname;
  const tokenizer = await loadTokenizer(folder);
  const texts = (word: string): string[] =>
    badWordsIds([word], tokenizer).map((ids) => tokenizer.decode(ids));
  // These merges have no words with a blank: the blank is a token of its own.
  assert.deepEqual(texts("fever"), ["fever"]);
  assert.deepEqual(texts(" fever"), ["fever"]);
  const joined = {
    ...tokenizer,
    encode: (text: string) => Int32Array.of(text.startsWith(" ") ? 7 : 5, 6),
  };
  assert.deepEqual(badWordsIds(["x"], joined), [[5, 6], [7, 6]]);
});
