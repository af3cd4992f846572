/**
 * The two fixed halves of Qwen's byte-level BPE, shared by the script that learns the merges and the
 * builder of the tokenizer: the alphabet that writes bytes as visible characters, and the pattern
 * that cuts text into pieces no merge may cross.
 *
 * @module
 */

/** Qwen2's and Qwen3's pre-tokenizer pattern, as their tokenizer.json spells it. */
export const piecePattern: string =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/**
 * GPT-2's byte alphabet in vocabulary order: the 188 bytes that print in Latin-1 under their own
 * character, then the 68 others under U+0100 onwards. An entry's index is its token id.
 *
 * Source: `bytes_to_unicode` in https://github.com/openai/gpt-2/blob/master/src/encoder.py
 */
export const byteAlphabet: readonly { readonly byte: number; readonly symbol: string }[] =
  makeAlphabet();

/** The symbol of each byte: `byteSymbols[0x20]` is `Ġ`. */
export const byteSymbols: readonly string[] = byteAlphabet
  .toSorted((a, b) => a.byte - b.byte)
  .map(({ symbol }) => symbol);

function makeAlphabet(): { byte: number; symbol: string }[] {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  // Latin-1's blanks and controls, with 0xAD, the invisible soft hyphen.
  const hidden = bytes.filter((byte) =>
    byte <= 0x20 || (byte >= 0x7f && byte <= 0xa0) || byte === 0xad
  );
  const printing = bytes.filter((byte) => !hidden.includes(byte));
  return [
    ...printing.map((byte) => ({ byte, symbol: String.fromCodePoint(byte) })),
    ...hidden.map((byte, index) => ({ byte, symbol: String.fromCodePoint(0x100 + index) })),
  ];
}
