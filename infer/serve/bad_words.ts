/**
 * Words that a reply is not to have, as tokens.
 *
 * In: words and the tokenizer. Out: sequences of tokens: each word as it begins a text and, where
 * that is one token more for it, as it follows a blank. As vLLM does.
 */

import type { Tokenizer } from "../../data/text/tokenizer.ts";

/** The sequences of tokens that spell words. */
export function badWordsIds(
  words: readonly string[],
  tokenizer: Tokenizer,
): readonly (readonly number[])[] {
  return words.flatMap((word) => {
    const bare = [...tokenizer.encode(word.trimStart())];
    const after = [...tokenizer.encode(` ${word.trimStart()}`)];
    const another = after[0] !== bare[0] && after.length === bare.length;
    return another ? [bare, after] : [bare];
  }).filter((ids) => ids.length > 0);
}
