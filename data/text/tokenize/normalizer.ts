/**
 * The normalizer of a tokenizer.json: a text as Hugging Face's Rust library rewrites it.
 *
 * In: the parsed normalizer. Out: a function from text to text.
 */

import { FieldTable } from "../../../internal/json/field_table.ts";
import { toByteChars } from "./byte_chars.ts";
import { compilePattern } from "./compile_pattern.ts";
import { NEW_CAPITALS, newSmallLetter } from "./rust_sets.ts";
import { flattenSteps, type Step, stepField, type StepTypes } from "./step_review.ts";
import { type UnicodeForm, unicodeForm } from "./unicode_form.ts";

/** A normalizer. */
export interface Normalizer {
  /** Rewrites a text; absent where there is nothing to rewrite. */
  readonly normalize?: (text: string) => string;
  /** The type of a step that may drop a text's first characters. */
  readonly drops?: string;
}

const NO_FIELDS = new FieldTable({ honoured: ["type"] });
const TABLES = "it goes by tables of old Unicode versions that ortune doesn't have; use a model " +
  "with another tokenizer";

const TYPES: StepTypes = {
  Bert: TABLES,
  BertNormalizer: TABLES,
  ByteLevel: NO_FIELDS,
  Lowercase: NO_FIELDS,
  NFC: NO_FIELDS,
  NFD: NO_FIELDS,
  NFKC: NO_FIELDS,
  NFKD: NO_FIELDS,
  Nmt: NO_FIELDS,
  Precompiled: "its charsmap is SentencePiece's own form, which ortune doesn't read; use a model " +
    "with another tokenizer",
  Prepend: new FieldTable({ honoured: ["type", "prepend"] }),
  Replace: new FieldTable({ honoured: ["type", "pattern", "content"] }),
  Sequence: new FieldTable({ honoured: ["type", "normalizers"] }),
  Strip: new FieldTable({ honoured: ["type", "strip_left", "strip_right"] }),
  StripAccents: TABLES,
};

/** Rewrites a text, which must not grow beyond the limit. */
type Rewrite = (text: string, limit: number) => string;

// ByteLevel makes four characters of one, and NFKD up to eighteen.
const MAX_GROWTH = 64;

/**
 * Reads a normalizer.
 *
 * @throws {TypeError} naming the type, the field or the pattern that is not honoured
 */
export function createNormalizer(value: unknown): Normalizer {
  const steps = flattenSteps(value, "tokenizer.json: normalizer", TYPES, "normalizers");
  const rewrites = steps.map(({ step, place }) => createRewrite(step, place));
  const drops = steps.find(({ step }) => mayDropFirst(step))?.step.type;
  if (rewrites.length === 0) return {};
  return {
    normalize: (text) => {
      const limit = MAX_GROWTH * (text.length + 1024);
      return rewrites.reduce((each, rewrite) => rewrite(each, limit), text);
    },
    drops,
  };
}

function mayDropFirst({ type, content, strip_left }: Step): boolean {
  return type === "Nmt" || (type === "Strip" && strip_left === true) ||
    (type === "Replace" && content === "");
}

function createRewrite(step: Step, place: string): Rewrite {
  switch (step.type) {
    case "ByteLevel":
      return toByteChars;
    case "Lowercase":
      return lowercase;
    case "Nmt":
      return nmt;
    case "Prepend": {
      const prefix = stepField(step, place, "prepend", "string");
      return (text, limit) => {
        if (text === "") return "";
        checkGrowth(text.length + prefix.length, limit, place);
        return prefix + text;
      };
    }
    case "Replace": {
      const content = stepField(step, place, "content", "string");
      const { find } = compilePattern(step.pattern, `${place}.pattern`);
      return (text, limit) => {
        const found = find(text);
        checkGrowth(text.length + found.length / 2 * content.length, limit, place);
        return replaceAll(text, found, content);
      };
    }
    case "Strip": {
      const left = stepField(step, place, "strip_left", "boolean");
      const right = stepField(step, place, "strip_right", "boolean");
      return (text) => {
        const start = left ? text.search(/[^\p{White_Space}]/v) : 0;
        return start === -1 ? "" : text.slice(start, right ? trimmedEnd(text) : text.length);
      };
    }
    default:
      return (text) => unicodeForm(text, step.type as UnicodeForm);
  }
}

function checkGrowth(length: number, limit: number, place: string): void {
  if (length <= limit) return;
  throw new RangeError(
    `Cannot normalize a text: ${place} makes ${length} characters of it, more than ${limit}; use a model with another tokenizer`,
  );
}

/** Puts a text in the place of every match, `[start, end, …]`. */
export function replaceAll(text: string, found: readonly number[], content: string): string {
  if (found.length === 0) return text;
  let result = "";
  let at = 0;
  for (let index = 0; index < found.length; index += 2) {
    result += text.slice(at, found[index]) + content;
    at = found[index + 1];
  }
  return result + text.slice(at);
}

/** Where the blanks at the end of a text begin; a pattern would try every run of blanks before. */
export function trimmedEnd(text: string, until = text.length): number {
  let end = until;
  while (end > 0 && /\p{White_Space}/v.test(text[end - 1])) end--;
  return end;
}

const CAPITALS = new RegExp(NEW_CAPITALS, "gv");

/** Character by character: a sigma at the end of a word is σ, not ς as JavaScript has it. */
function lowercase(text: string): string {
  return text.replaceAll("Σ", "σ").replace(CAPITALS, newSmallLetter).toLowerCase();
}

// SentencePiece's nmt_nfkc, the part before nfkc.
// deno-lint-ignore no-control-regex
const NMT_REMOVED = /[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/g;
const NMT_BLANKS = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;

function nmt(text: string): string {
  return text.replace(NMT_REMOVED, "").replace(NMT_BLANKS, " ");
}
