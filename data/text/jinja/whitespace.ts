/**
 * What Python counts as white space and as a line's end. JavaScript's `\s` and `trim` differ: they
 * take U+FEFF, and leave U+001C to U+001F and U+0085.
 */

/** Members of `str.isspace()`, for a character class. */
export const SPACE =
  "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

/** Whether a UTF-16 unit is white space; no white space lies beyond U+FFFF. */
export function isSpace(code: number): boolean {
  if (code < 0x80) return code === 32 || (code >= 9 && code <= 13) || (code >= 28 && code <= 31);
  return code === 0x85 || code === 0xa0 || code === 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
    code === 0x2028 || code === 0x2029 || code === 0x202f || code === 0x205f || code === 0x3000;
}

/** Where a text without its leading white space begins. */
export function skipSpace(text: string, start = 0): number {
  while (start < text.length && isSpace(text.charCodeAt(start))) start++;
  return start;
}

/** Where a text without its trailing white space ends. */
export function skipSpaceBack(text: string, end = text.length): number {
  while (end > 0 && isSpace(text.charCodeAt(end - 1))) end--;
  return end;
}
