/**
 * The value of a string literal: what Python's `unicode-escape` codec makes of it.
 *
 * @huggingface/jinja 0.5.11 knows a few escapes and drops the backslash of all others; Python keeps
 * it, and knows octal, \x, \u and \U.
 */

import { TemplateSyntaxError, UnsupportedError } from "./errors.ts";

const SIMPLE: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
const DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };
// A character that is not ASCII becomes an escape of its own before escapes are read, so that a
// backslash before it stands for itself and leaves the escape's text.
const ESCAPE = /\\([0-7]{1,3}|[^\u0080-\u{10ffff}]|[\u0080-\u{10ffff}]|$)/gsu;

/** The value of the text between the quotes; ends of lines are `\n` already. */
export function unescapeString(text: string, line: number): string {
  if (!text.includes("\\")) return text;
  let result = "";
  let at = 0;
  ESCAPE.lastIndex = 0;
  for (let match; (match = ESCAPE.exec(text)) !== null;) {
    result += text.slice(at, match.index);
    at = ESCAPE.lastIndex;
    const [, kind] = match;
    if (Object.hasOwn(SIMPLE, kind)) result += SIMPLE[kind];
    else if (/^[0-7]/.test(kind)) result += String.fromCodePoint(parseInt(kind, 8));
    else if (Object.hasOwn(DIGITS, kind)) {
      const digits = text.slice(at, at + DIGITS[kind]);
      if (digits.length < DIGITS[kind] || !/^[\da-fA-F]+$/.test(digits)) {
        throw new TemplateSyntaxError(`truncated \\${kind} escape in a string`, line);
      }
      const code = parseInt(digits, 16);
      if (code > 0x10ffff) throw new TemplateSyntaxError("illegal Unicode character", line);
      if (code >= 0xd800 && code <= 0xdfff) {
        throw new UnsupportedError(`line ${line}: the escape of a surrogate, \\${kind}${digits}`);
      }
      result += String.fromCodePoint(code);
      at += digits.length;
    } else if (kind === "N") {
      throw new UnsupportedError(`line ${line}: a character by its name, \\N`);
    } else if (kind === "") {
      throw new TemplateSyntaxError("\\ at end of string", line);
    } else {
      const code = kind.codePointAt(0)!;
      const hex = code.toString(16);
      if (code < 0x80) result += `\\${kind}`;
      else if (code < 0x100) result += `\\x${hex.padStart(2, "0")}`;
      else result += code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
    }
    ESCAPE.lastIndex = at;
  }
  return result + text.slice(at);
}
