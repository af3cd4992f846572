/**
 * Unicode's normalization forms as Hugging Face's Rust library has them, in n log n.
 *
 * In: a text. Out: its form. V8's own `normalize` knows a newer Unicode, and sorts the marks of one
 * letter by insertion: a text of 100,000 marks takes it seconds, and one of a million many minutes.
 */

import { UNKNOWN_TO_NORMALIZATION } from "./rust_sets.ts";

/** A normalization form. */
export type UnicodeForm = "NFC" | "NFD" | "NFKC" | "NFKD";

const UNKNOWN = new RegExp(UNKNOWN_TO_NORMALIZATION, "v");
const AROUND_UNKNOWN = new RegExp(`(${UNKNOWN_TO_NORMALIZATION})`, "v");
// deno-lint-ignore no-control-regex
const ASCII = /^[\x00-\x7f]*$/;
/** More marks than any script writes on one letter. */
const MANY_MARKS = /\p{M}{128,}/gv;

/** The form of a text. */
export function unicodeForm(text: string, form: UnicodeForm): string {
  if (ASCII.test(text)) return text;
  if (!UNKNOWN.test(text)) return normalize(text, form);
  // Split with a group: every second part is a character that stands as it is, and stops the rest.
  return text.split(AROUND_UNKNOWN)
    .map((part, index) => index % 2 === 0 ? normalize(part, form) : part)
    .join("");
}

function normalize(text: string, form: UnicodeForm): string {
  const sorted = text.length < 128 ? text : text.replace(MANY_MARKS, sortMarks);
  return sorted.normalize(form);
}

/** Marks in canonical order, which is an equal text that needs no more sorting. */
function sortMarks(run: string): string {
  let sorted = "";
  let marks: string[] = [];
  const flush = (): void => {
    sorted += marks.sort(compareMarks).join("");
    marks = [];
  };
  for (const mark of run) {
    // A mark of two in one, such as U+0344, sorts as the two.
    for (const part of mark.normalize("NFD")) {
      if (stays(part)) {
        flush();
        sorted += part;
      } else marks.push(part);
    }
  }
  flush();
  return sorted;
}

const known = new Map<string, boolean>();

/** Whether two marks change places. JavaScript shows no combining class, but normalizes by it. */
function swaps(first: string, second: string): boolean {
  const pair = first + second;
  let swapped = known.get(pair);
  if (swapped === undefined) known.set(pair, swapped = pair.normalize("NFD") !== pair);
  return swapped;
}

function compareMarks(a: string, b: string): number {
  if (a === b) return 0;
  return swaps(a, b) ? 1 : swaps(b, a) ? -1 : 0;
}

/** Whether a character changes places with none: neither with the first class nor with the last. */
function stays(char: string): boolean {
  return !swaps("\u0345", char) && !swaps(char, "\u0334");
}
