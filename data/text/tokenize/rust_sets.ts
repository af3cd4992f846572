/**
 * Where the Rust library's tables of characters differ from V8's, counted over all code points.
 *
 * In: nothing. Out: classes of JavaScript's `v` mode. Oniguruma (patterns of a tokenizer.json) and V8
 * 15.0 both have Unicode 16: no code point differs. The crates behind the other steps are older, and
 * Rust's standard library is newer. `rust_sets_test.ts` compares every code point with the library.
 */

/** `\w` of Rust's regex crate: Whitespace, and single_word of added tokens. None differs. */
export const WORD_OF_REGEX = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";

/** `char::is_numeric` of Rust's standard library (Unicode 17): 13 more than V8's `\p{N}`. */
export const DIGITS = "[\\p{N}\\u{11de0}-\\u{11de9}\\u{16ff4}-\\u{16ff6}]";

/** Punctuation of the crate unicode_categories (Unicode 8) and ASCII's: 2 more, 140 fewer. */
export const PUNCTUATION = "[[\\p{P}\\u{166d}\\u{111c9}!-\\/:-@\\[-`\\{-~]--[" +
  "\\u{61d}\\u{9fd}\\u{a76}\\u{c77}\\u{c84}\\u{1b4e}-\\u{1b4f}\\u{1b7d}-\\u{1b7f}\\u{2e43}-\\u{2e4f}" +
  "\\u{2e52}-\\u{2e5d}\\u{10d6e}\\u{10ead}\\u{10f55}-\\u{10f59}\\u{10f86}-\\u{10f89}" +
  "\\u{113d4}-\\u{113d5}\\u{113d7}-\\u{113d8}\\u{1144b}-\\u{1144f}\\u{1145a}-\\u{1145b}\\u{1145d}" +
  "\\u{11660}-\\u{1166c}\\u{116b9}\\u{1183b}\\u{11944}-\\u{11946}\\u{119e2}\\u{11a3f}-\\u{11a46}" +
  "\\u{11a9a}-\\u{11a9c}\\u{11a9e}-\\u{11aa2}\\u{11b00}-\\u{11b09}\\u{11be1}\\u{11c41}-\\u{11c45}" +
  "\\u{11c70}-\\u{11c71}\\u{11ef7}-\\u{11ef8}\\u{11f43}-\\u{11f4f}\\u{11fff}\\u{12ff1}-\\u{12ff2}" +
  "\\u{16d6d}-\\u{16d6f}\\u{16e97}-\\u{16e9a}\\u{16fe2}\\u{1e5ff}\\u{1e95e}-\\u{1e95f}]]";

/**
 * What the crate unicode-normalization-alignments (Unicode 9) doesn't know: 329 characters that it
 * neither takes apart nor puts together nor moves, whatever Unicode 16 says of them.
 */
export const UNKNOWN_TO_NORMALIZATION = "[" +
  "\\u{7fd}\\u{897}-\\u{89f}\\u{8ca}-\\u{8d3}\\u{9fe}\\u{c3c}\\u{d3b}-\\u{d3c}\\u{eba}\\u{1715}" +
  "\\u{1abf}-\\u{1ace}\\u{1df6}-\\u{1dfa}\\u{a82c}\\u{105c9}\\u{105d2}\\u{105da}\\u{105e4}" +
  "\\u{10d24}-\\u{10d27}\\u{10d69}-\\u{10d6d}\\u{10eab}-\\u{10eac}\\u{10efd}-\\u{10eff}" +
  "\\u{10f46}-\\u{10f50}\\u{10f82}-\\u{10f85}\\u{11070}\\u{1133b}\\u{11382}-\\u{11385}\\u{1138b}" +
  "\\u{1138e}\\u{11390}-\\u{11391}\\u{113b8}\\u{113bb}\\u{113c2}\\u{113c5}\\u{113c7}-\\u{113c9}" +
  "\\u{113ce}-\\u{113d0}\\u{1145e}\\u{11839}-\\u{1183a}\\u{11930}\\u{11935}\\u{11938}" +
  "\\u{1193d}-\\u{1193e}\\u{11943}\\u{119e0}\\u{11a34}\\u{11a47}\\u{11a99}\\u{11d42}" +
  "\\u{11d44}-\\u{11d45}\\u{11d97}\\u{11f41}-\\u{11f42}\\u{1611e}-\\u{16129}\\u{1612f}\\u{16d63}" +
  "\\u{16d67}-\\u{16d6a}\\u{16ff0}-\\u{16ff1}\\u{1e08f}\\u{1e130}-\\u{1e136}\\u{1e2ae}" +
  "\\u{1e2ec}-\\u{1e2ef}\\u{1e4ec}-\\u{1e4ef}\\u{1e5ee}-\\u{1e5ef}" +
  // These are taken apart by NFKC and NFKD alone.
  "\\u{32ff}\\u{a7f2}-\\u{a7f4}\\u{ab69}\\u{10781}-\\u{10785}\\u{10787}-\\u{107b0}" +
  "\\u{107b2}-\\u{107ba}\\u{1ccd6}-\\u{1ccf9}\\u{1e030}-\\u{1e06d}\\u{1f16c}\\u{1fbf0}-\\u{1fbf9}]";

/** Capital letters that Rust's standard library knows (Unicode 17) and V8 does not: 28. */
export const NEW_CAPITALS = "[\\u{a7ce}\\u{a7d2}\\u{a7d4}\\u{16ea0}-\\u{16eb8}]";

/** The small letter of one of {@linkcode NEW_CAPITALS}. */
export function newSmallLetter(capital: string): string {
  const code = capital.codePointAt(0)!;
  return String.fromCodePoint(code < 0x10000 ? code + 1 : code + 0x1b);
}
