/** Case of text. JavaScript has Unicode's upper and lower case, but no title case. */

import { TITLECASE } from "./titlecase.ts";

const CASED = /\p{Cased}/u;
const UPPER = /[\p{Uppercase}\p{Lt}]/u;
const LOWER = /\p{Lowercase}/u;

/** A character in title case. */
function titleCharacter(character: string): string {
  return TITLECASE.get(character) ?? character.toUpperCase();
}

/** Characters before and after a sigma that are looked at. */
const CONTEXT = 32;

/** The character at an offset in lower case: a sigma that ends a word has a form of its own. */
function lowerCharacter(text: string, at: number, character: string): string {
  if (character !== "\u03a3") return character.toLowerCase();
  const before = text.slice(Math.max(0, at - CONTEXT), at);
  const lower = (before + text.slice(at, at + CONTEXT)).toLowerCase();
  return lower[before.toLowerCase().length];
}

/** `text.capitalize()`. */
export function capitalize(text: string): string {
  const [first = ""] = /^[^]/u.exec(text) ?? [];
  return titleCharacter(first) + text.toLowerCase().slice(first.toLowerCase().length);
}

/** `text.title()`. */
export function titleCase(text: string): string {
  let at = 0;
  let inWord = false;
  let result = "";
  for (const character of text) {
    result += inWord ? lowerCharacter(text, at, character) : titleCharacter(character);
    inWord = CASED.test(character);
    at += character.length;
  }
  return result;
}

/** `text.swapcase()`. */
export function swapCase(text: string): string {
  let at = 0;
  let result = "";
  for (const character of text) {
    if (/\p{Uppercase}/u.test(character)) result += lowerCharacter(text, at, character);
    else result += LOWER.test(character) ? character.toUpperCase() : character;
    at += character.length;
  }
  return result;
}

/** `text.islower()` and `text.isupper()`. */
export function isCase(text: string, wanted: "lower" | "upper"): boolean {
  if (wanted === "lower") return !UPPER.test(text) && LOWER.test(text);
  return !/[\p{Lowercase}\p{Lt}]/u.test(text) && /\p{Uppercase}/u.test(text);
}

/** `text.istitle()`. */
export function isTitle(text: string): boolean {
  let previousCased = false;
  let found = false;
  for (const character of text) {
    const isUpper = UPPER.test(character);
    if (isUpper || LOWER.test(character)) {
      if (previousCased === isUpper) return false;
      previousCased = found = true;
    } else previousCased = false;
  }
  return found;
}
