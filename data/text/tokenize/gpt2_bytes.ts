/**
 * The alphabet of byte-level tokenizers: one printable character for each of the 256 bytes.
 *
 * In: nothing. Out: a table byte → character and its inverse. GPT-2's rule: printable Latin-1 bytes
 * stand for themselves, the other 68 take U+0100 on, in byte order.
 */

/** `BYTE_TO_CHAR[byte]` is the character that stands for the byte. */
export const BYTE_TO_CHAR: readonly string[] = table();

/** The byte that a character stands for. */
export const CHAR_TO_BYTE: ReadonlyMap<string, number> = new Map(
  BYTE_TO_CHAR.map((char, byte) => [char, byte]),
);

function table(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) ||
      (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
    return String.fromCodePoint(printable ? byte : next++);
  });
}
