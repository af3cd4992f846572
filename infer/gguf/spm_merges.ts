/**
 * Merges of a SentencePiece vocabulary, which GGUF files have scores in place of.
 *
 * In: tokens with their scores and types. Out: pairs in the order that tokenizer.json lists them in.
 *
 * @module
 */

import { NORMAL, USER_DEFINED } from "./token_types.ts";

/** What {@linkcode spmMerges} goes by. */
export interface SpmMergesOptions {
  /** One a token. */
  readonly scores: ArrayLike<number>;
  /** llama.cpp's type of each token. */
  readonly types: readonly number[];
}

/**
 * The merges: each split of a token into two tokens, best scores first. Pieces of the user's own, such as runs
 * of blanks, have the score 0, which llama.cpp does not keep.
 */
export function spmMerges(
  tokens: readonly string[],
  { scores, types }: SpmMergesOptions,
): readonly (readonly [string, string])[] {
  const known = new Set(tokens);
  interface Ranked {
    readonly score: number;
    readonly parts: readonly [string, string];
    /** Characters of both parts. */
    readonly lengths: readonly [number, number];
  }
  const ranked: Ranked[] = [];
  for (const [id, token] of tokens.entries()) {
    if (types[id] !== NORMAL && types[id] !== USER_DEFINED) continue;
    const score = types[id] === USER_DEFINED ? 0 : scores[id];
    const characters = [...token].length;
    let at = 0;
    for (let left = 1; left < characters; left++) {
      at += token.codePointAt(at)! > 0xffff ? 2 : 1;
      const parts = [token.slice(0, at), token.slice(at)] as const;
      if (!known.has(parts[0]) || !known.has(parts[1])) continue;
      ranked.push({ score, parts, lengths: [left, characters - left] });
    }
  }
  // Sorting is stable: of equal scores and lengths the token with the lower id is first.
  ranked.sort((x, y) =>
    y.score - x.score || y.lengths[0] - x.lengths[0] || y.lengths[1] - x.lengths[1]
  );
  return ranked.map(({ parts }) => parts);
}
