/**
 * Texts as tokens to compare: words, or in Chinese characters.
 *
 * In: a text, and whether it counts as Chinese. Out: tokens. English goes exactly as pip's rouge-score has
 * it without a stemmer; its tokenizer drops all that is neither a letter from a to z nor a digit.
 */

// Chinese characters, also those of Japanese, its kana, and U+3007, the zero: each is a token.
const CHARACTER =
  "\\u3007\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff\\u{20000}-\\u{2fa1f}\\u{30000}-\\u{323af}";
const CHARACTERS = new RegExp(`[${CHARACTER}]`, "gu");
const LATIN_WORDS = /\p{Script=Latin}+/gu;
const WORDS = /[a-z0-9]+/g;
const CHARACTERS_AND_WORDS = new RegExp(`[${CHARACTER}]|[a-z0-9]+`, "gu");

/** Whether a text is compared by characters: it has more of them than words of Latin letters. */
export function isChinese(text: string): boolean {
  const characters = text.match(CHARACTERS)?.length ?? 0;
  return characters > 0 && characters > (text.match(LATIN_WORDS)?.length ?? 0);
}

/** The tokens that ROUGE compares. */
export function rougeTokens(text: string, chinese: boolean): readonly string[] {
  return text.toLowerCase().match(chinese ? CHARACTERS_AND_WORDS : WORDS) ?? [];
}

/** Puts blanks around each Chinese character. */
export function spaceCharacters(text: string): string {
  return text.replace(CHARACTERS, " $& ");
}

/** The n-grams of tokens with how often each stands there. */
export function countNgrams(tokens: readonly string[], n: number): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= tokens.length; i++) {
    // No token holds a blank.
    const key = tokens.slice(i, i + n).join(" ");
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** How many n-grams two texts share, each as often as in the text that has it less often. */
export function sharedNgrams(
  a: ReadonlyMap<string, number>,
  b: ReadonlyMap<string, number>,
): number {
  let shared = 0;
  for (const [key, count] of a) shared += Math.min(count, b.get(key) ?? 0);
  return shared;
}

/** The harmonic mean of precision and recall, of what is shared and both lengths. */
export function fMeasure(shared: number, predicted: number, expected: number): number {
  const precision = shared / Math.max(predicted, 1);
  const recall = shared / Math.max(expected, 1);
  return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}
