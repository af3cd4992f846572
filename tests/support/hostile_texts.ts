/**
 * Texts that tokenizers stumble over; tests/fixtures/tokenizers/texts.py makes the same.
 *
 * In: a seed. Out: texts of all planes: marks, blanks, numbers, contractions, near misses of tokens.
 */

import pieces from "../fixtures/tokenizers/pieces.json" with { type: "json" };

/** How many texts each tokenizer is tried with. */
export const TEXT_COUNT = 4096;

/** mulberry32: gives whole numbers below a bound. */
function randomNumbers(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % bound;
  };
}

type Random = (bound: number) => number;

function repeat(count: number, make: () => string): string {
  let text = "";
  for (let index = 0; index < count; index++) text += make();
  return text;
}

function codePoint(random: Random, low: number, high: number): string {
  const code = low + random(high - low);
  return code >= 0xd800 && code <= 0xdfff ? "\ufffd" : String.fromCodePoint(code);
}

function pick(random: Random, name: keyof typeof pieces): string {
  return pieces[name][random(pieces[name].length)];
}

function segment(random: Random): string {
  const kind = random(18);
  if (kind === 0) return repeat(1 + random(8), () => String.fromCharCode(97 + random(26)));
  if (kind <= 4) return pick(random, "words");
  if (kind === 5) return codePoint(random, 0, 0x110000);
  if (kind === 6) return repeat(1 + random(4), () => codePoint(random, 0, 0x3000));
  if (kind <= 8) {
    const blank = pick(random, "blanks");
    return blank.repeat(1 + random(4));
  }
  if (kind === 9) return repeat(1 + random(12), () => String.fromCharCode(48 + random(10)));
  if (kind === 10) {
    return String.fromCharCode(97 + random(26)) +
      repeat(1 + random(4), () => pick(random, "marks"));
  }
  if (kind === 11) return pick(random, "odd") + (random(2) ? pick(random, "marks") : "");
  if (kind === 12) {
    const word = pick(random, "words");
    return word.repeat(1 + random(6));
  }
  if (kind === 13) return repeat(1 + random(5), () => String.fromCharCode(33 + random(15)));
  if (kind === 14) return repeat(1 + random(6), () => codePoint(random, 0x4e00, 0xa000));
  if (kind === 15) return codePoint(random, 0x1f300, 0x1fb00) + (random(2) ? "\u200d" : "");
  const chars = Array.from(pick(random, "words"));
  // A near miss: one character of a piece is gone.
  if (kind === 16) return chars.toSpliced(random(chars.length), 1).join("");
  return chars.map((char) => /[a-z]/.test(char) && random(2) ? char.toUpperCase() : char).join("");
}

/** The texts. */
export function hostileTexts(seed = 20251128, count = TEXT_COUNT): string[] {
  const random = randomNumbers(seed);
  return Array.from(
    { length: count },
    (_, index) => repeat(index % 50 === 49 ? 60 : 1 + random(12), () => segment(random)),
  );
}
