/**
 * `strip`, `lstrip` and `rstrip`.
 *
 * @huggingface/jinja 0.5.11 ignores the characters: Qwen3's own template, which strips line breaks,
 * lost the indentation of code and the U+3000 that begins a Chinese paragraph. Without characters
 * it takes JavaScript's white space away, not Python's.
 */

import { skipSpace, skipSpaceBack } from "./whitespace.ts";

/** Which ends are stripped. */
export type Side = "both" | "left" | "right";

/** The text without the characters at its ends; without white space where none are given. */
export function strip(text: string, chars: string | undefined, side: Side): string {
  if (chars === undefined) {
    const start = side === "right" ? 0 : skipSpace(text);
    return text.slice(start, side === "left" ? undefined : Math.max(start, skipSpaceBack(text)));
  }
  const set = new Set(chars);
  let start = 0;
  let end = text.length;
  while (side !== "right" && start < end) {
    const point = String.fromCodePoint(text.codePointAt(start)!);
    if (!set.has(point)) break;
    start += point.length;
  }
  while (side !== "left" && end > start) {
    const isPair = end - start > 1 && (text.charCodeAt(end - 1) & 0xfc00) === 0xdc00 &&
      (text.charCodeAt(end - 2) & 0xfc00) === 0xd800;
    const point = text.slice(isPair ? end - 2 : end - 1, end);
    if (!set.has(point)) break;
    end -= point.length;
  }
  return text.slice(start, end);
}
