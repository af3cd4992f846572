/**
 * Scores of SentencePiece's tokens, which tokenizer.json has no more.
 *
 * In: merges in their order. Out: a score a token. SentencePiece, and llama.cpp with it, joins the two neighbours
 * whose whole has the highest score; tokenizer.json lists the pairs in that order.
 *
 * @module
 */

/** A merge of tokenizer.json, as newer files and as older ones write it. */
export type Merge = string | readonly [string, string];

/** The two parts. */
export function mergeParts(merge: Merge): readonly [string, string] {
  if (typeof merge !== "string") return merge;
  const at = merge.indexOf(" ", 1);
  return [merge.slice(0, at), merge.slice(at + 1)];
}

/**
 * A score for each token that a merge makes: −n of the nth that is made.
 *
 * @param vocabulary all tokens
 * @param added those that are cut out of texts before any merge
 * @throws {RangeError} where no scores stand for the merges: those of a token lie apart, or pairs are missing
 */
export function spmScores(
  merges: readonly Merge[],
  { vocabulary, added, path }: {
    readonly vocabulary: ReadonlySet<string>;
    readonly added: ReadonlySet<string>;
    readonly path: string;
  },
): ReadonlyMap<string, number> {
  const fail = (why: string): never => {
    throw new RangeError(
      `Cannot score the tokens of ${path} for llama.cpp: ${why}; SentencePiece's merges go by the token ` +
        "that they make, so no scores give the same tokens. Export with --format onnx",
    );
  };
  const scores = new Map<string, number>();
  const pairs = new Map<string, number>();
  let last: string | undefined;
  for (const [i, merge] of merges.entries()) {
    const token = mergeParts(merge).join("");
    if (added.has(token)) continue;
    if (token !== last) {
      if (scores.has(token)) fail(`merge ${i} makes ${JSON.stringify(token)} again, after others`);
      scores.set(token, -scores.size);
      last = token;
    }
    pairs.set(token, (pairs.get(token) ?? 0) + 1);
  }
  for (const [token, listed] of pairs) {
    let all = 0;
    for (let at = 1; at < token.length; at++) {
      if (vocabulary.has(token.slice(0, at)) && vocabulary.has(token.slice(at))) all++;
    }
    if (listed < all) {
      fail(`${JSON.stringify(token)} has ${listed} merges of the ${all} pairs that make it`);
    }
  }
  return scores;
}
