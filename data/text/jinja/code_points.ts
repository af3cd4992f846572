/**
 * Strings by code points, as Python counts them; JavaScript, and with it @huggingface/jinja 0.5.11,
 * counts an emoji as two.
 */

// Deliberately without the u flag: matches any half of a pair.
const SURROGATE = /[\ud800-\udfff]/;

/** Whether a text is all code points of one unit. */
export function isFlat(text: string): boolean {
  return !SURROGATE.test(text);
}

/** Number of code points between two offsets. */
export function countPoints(text: string, start = 0, end = text.length): number {
  let count = end - start;
  for (let i = start; i < end - 1; i++) {
    if (isPairAt(text, i)) {
      count--;
      i++;
    }
  }
  return count;
}

/** `len(text)`. */
export function pointLength(text: string): number {
  return isFlat(text) ? text.length : countPoints(text);
}

/** Offset of the code point of an index from 0 to the length. */
export function offsetOf(text: string, index: number): number {
  let offset = 0;
  for (let i = 0; i < index && offset < text.length; i++) offset += isPairAt(text, offset) ? 2 : 1;
  return offset;
}

/** The text's code points, each a string. */
export function splitPoints(text: string): string[] {
  return isFlat(text) ? text.split("") : Array.from(text);
}

/** Whether two units at an offset are one code point. */
function isPairAt(text: string, offset: number): boolean {
  return (text.charCodeAt(offset) & 0xfc00) === 0xd800 &&
    (text.charCodeAt(offset + 1) & 0xfc00) === 0xdc00;
}

/** Compares two texts by code points: negative, 0 or positive. */
export function comparePoints(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i < length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  if (i === length) return a.length - b.length;
  const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
  // A unit of a pair stands for a code point beyond all of one unit.
  const isPart = (unit: number): boolean => (unit & 0xf800) === 0xd800;
  if (isPart(x) !== isPart(y)) return isPart(x) ? 1 : -1;
  return x - y;
}
