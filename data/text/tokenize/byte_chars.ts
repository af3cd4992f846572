/** A text in the byte alphabet: one character for each byte of its UTF-8. In: a text. Out: that. */

import { BYTE_TO_CHAR } from "./gpt2_bytes.ts";

const encoder = new TextEncoder();

/** Writes the UTF-8 bytes of a text as characters. */
export function toByteChars(text: string): string {
  // Printable ASCII but the blank stands for itself.
  if (/^[!-~]*$/.test(text)) return text;
  let chars = "";
  for (const byte of encoder.encode(text)) chars += BYTE_TO_CHAR[byte];
  return chars;
}
