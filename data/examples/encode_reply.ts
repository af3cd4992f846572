/**
 * What the model is to write, as ids.
 *
 * In: a text. Out: its ids, checked to give it back, up to the token that ends a reply.
 */

import { append } from "./join_example.ts";
import { findTextLoss } from "./text_loss.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/**
 * The ids of a text.
 *
 * @param name what it is, for errors
 * @throws {Error} if the tokenizer does not give the text back
 */
export function encodeWhole(text: string, tokenizer: Tokenizer, name: string): Int32Array {
  const encoded = tokenizer.encode(text);
  const loss = findTextLoss(text, encoded, tokenizer);
  if (loss === undefined) return encoded;
  throw new Error(
    `Cannot make an example of ${name}: the tokenizer does not give its text back, ` +
      `${loss}; change that text, or leave the row out`,
  );
}

/**
 * Cuts blank text after the end-of-turn token; adds the eos token where the text ends without.
 */
export function endReply(
  ids: Int32Array,
  tokenizer: Tokenizer,
): { readonly ids: Int32Array; readonly terminated: boolean } {
  const { eosTokenId } = tokenizer;
  const end = ids.findLastIndex((id) => id === eosTokenId || tokenizer.isSpecial(id)) + 1;
  if (end > 0 && tokenizer.decode(ids.subarray(end)).trim() === "") {
    return { ids: ids.subarray(0, end), terminated: true };
  }
  if (eosTokenId === undefined) return { ids, terminated: false };
  return { ids: append(ids, eosTokenId), terminated: true };
}
