/**
 * What a text has that its reference does not.
 *
 * In: two texts. Out: markup of the first, words or Chinese characters that are in no longest common
 * subsequence with the reference marked.
 */

import { escapeHtml, Markup } from "../../train/track/html.ts";

// A Chinese character or a kana, a word, blanks, or one sign.
const PIECES = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[\p{L}\p{N}]+|\s+|[^]/gu;
/** Most pairs of pieces that are compared: some milliseconds. */
const MAX_PAIRS = 4_000_000;

/** The text with marks; without any where both texts are too long to compare. */
export function markDifferences(text: string, reference: string): Markup {
  const [own, expected] = [text, reference].map((each) => each.match(PIECES) ?? []);
  if (own.length * expected.length > MAX_PAIRS || expected.length === 0) {
    return new Markup(escapeHtml(text));
  }
  const common = commonPieces(own, expected);
  let marked = "";
  let open = false;
  own.forEach((piece, i) => {
    // Blanks between two marked words belong to them.
    const differs = !common[i] && (piece.trim() !== "" || open);
    if (differs !== open) marked += differs ? "<mark>" : "</mark>";
    open = differs;
    marked += escapeHtml(piece);
  });
  return new Markup(open ? `${marked}</mark>` : marked);
}

/** Which pieces of the first list are in the longest common subsequence. */
function commonPieces(a: readonly string[], b: readonly string[]): readonly boolean[] {
  const width = b.length + 1;
  // Lengths of the common subsequences of both ends, from each place on.
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] = a[i] === b[j]
        ? lengths[(i + 1) * width + j + 1] + 1
        : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const common = new Array<boolean>(a.length).fill(false);
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) {
      common[i++] = true;
      j++;
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i++;
    else j++;
  }
  return common;
}
