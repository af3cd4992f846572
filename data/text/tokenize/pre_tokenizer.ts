/**
 * The pre_tokenizer of a tokenizer.json: a text to pieces, as Hugging Face's Rust library cuts it.
 *
 * In: the parsed pre_tokenizer. Out: a function from a text to its pieces, which the model takes one
 * by one.
 */

import { FieldTable } from "../../../internal/json/field_table.ts";
import { compilePattern, findAll } from "./compile_pattern.ts";
import { GPT2_PATTERN } from "./known_patterns.ts";
import { DIGITS, PUNCTUATION, WORD_OF_REGEX } from "./rust_sets.ts";
import { SPLIT_BEHAVIORS, type SplitBehavior, splitText } from "./split_text.ts";
import { flattenSteps, refuse, type Step, stepField, type StepTypes } from "./step_review.ts";
import { toByteChars } from "./byte_chars.ts";

/** Pieces of a text. */
export interface Pieces {
  pieces: string[];
  /** Whether the first piece begins where the whole text does, which Metaspace asks. */
  fromStart: boolean;
}

/** A pre-tokenizer. */
export interface PreTokenizer {
  /** The pieces of a text that stands between added tokens. */
  readonly split: (text: string, fromStart: boolean) => string[];
  /** Whether each piece still has to be written in the byte alphabet: the last step of most. */
  readonly bytes: boolean;
  /** Whether a step asks where the text begins. */
  readonly asksStart: boolean;
}

const NO_FIELDS = new FieldTable({ honoured: ["type"] });

const TYPES: StepTypes = {
  BertPreTokenizer: NO_FIELDS,
  ByteLevel: new FieldTable({
    honoured: ["type", "add_prefix_space", "use_regex"],
    // It moves offsets, which nothing here asks for.
    ignored: ["trim_offsets"],
  }),
  CharDelimiterSplit: new FieldTable({ honoured: ["type", "delimiter"] }),
  Digits: new FieldTable({ honoured: ["type", "individual_digits"] }),
  FixedLength: new FieldTable({ honoured: ["type", "length"] }),
  Metaspace: new FieldTable({
    honoured: ["type", "replacement", "prepend_scheme", "split", "add_prefix_space"],
    // The Rust library computes it anew.
    ignored: ["str_rep"],
  }),
  Punctuation: new FieldTable({ honoured: ["type", "behavior"] }),
  Sequence: new FieldTable({ honoured: ["type", "pretokenizers"] }),
  Split: new FieldTable({ honoured: ["type", "pattern", "behavior", "invert"] }),
  UnicodeScripts:
    "it cuts by a table of scripts that ortune doesn't have; use a model with another tokenizer",
  Whitespace: NO_FIELDS,
  WhitespaceSplit: NO_FIELDS,
};

type Cut = (pieces: Pieces) => Pieces;

/**
 * Reads a pre_tokenizer.
 *
 * @throws {TypeError} naming the type, the field or the pattern that is not honoured
 */
export function createPreTokenizer(value: unknown): PreTokenizer {
  const steps = flattenSteps(value, "tokenizer.json: pre_tokenizer", TYPES, "pretokenizers");
  const bytes = steps.at(-1)?.step.type === "ByteLevel";
  const cuts = steps.map(({ step, place }, index) => {
    return createCut(step, place, bytes && index === steps.length - 1);
  });
  return {
    split: (text, fromStart) => {
      let pieces: Pieces = { pieces: [text], fromStart };
      for (const cut of cuts) pieces = cut(pieces);
      return pieces.pieces;
    },
    bytes,
    asksStart: steps.some(({ step }) => step.prepend_scheme === "first"),
  };
}

function createCut(step: Step, place: string, lastBytes: boolean): Cut {
  switch (step.type) {
    case "BertPreTokenizer": {
      const words = cutBy(/\p{White_Space}/gv, "Removed");
      const marks = cutBy(new RegExp(PUNCTUATION, "gv"), "Isolated");
      return (pieces) => marks(words(pieces));
    }
    case "ByteLevel":
      return byteLevel(step, place, lastBytes);
    case "CharDelimiterSplit": {
      const delimiter = oneCharacter(step, place, "delimiter");
      const { find } = compilePattern({ String: delimiter }, `${place}.delimiter`);
      return (pieces) => mapPieces(pieces, (text) => splitText(text, find(text), "Removed"));
    }
    case "Digits":
      return stepField(step, place, "individual_digits", "boolean")
        ? cutBy(new RegExp(DIGITS, "gv"), "Isolated")
        : cutBy(new RegExp(`${DIGITS}+`, "gv"), "Isolated");
    case "FixedLength": {
      const length = stepField(step, place, "length", "number", 5);
      if (!Number.isSafeInteger(length) || length < 1) {
        refuse(place, `(FixedLength): length is ${length}, expected a whole number above 0`);
      }
      return (pieces) =>
        mapPieces(pieces, (text) => ({ pieces: fixedLength(text, length), fromStart: true }));
    }
    case "Metaspace":
      return metaspace(step, place);
    case "Punctuation":
      return cutBy(new RegExp(PUNCTUATION, "gv"), behaviorOf(step, place, "Isolated"));
    case "Split":
      return splitStep(step, place);
    case "Whitespace":
      return cutBy(
        new RegExp(`${WORD_OF_REGEX}+|[^${WORD_OF_REGEX}\\p{White_Space}]+`, "gv"),
        "Removed",
        true,
      );
    default:
      return cutBy(/\p{White_Space}/gv, "Removed");
  }
}

/** Cuts every piece, and leaves out empty ones. */
function mapPieces(
  { pieces, fromStart }: Pieces,
  cut: (
    text: string,
    fromStart: boolean,
  ) => { readonly pieces: string[]; readonly fromStart: boolean },
): Pieces {
  if (pieces.length === 1) {
    const only = cut(pieces[0], fromStart);
    return { pieces: only.pieces, fromStart: fromStart && only.fromStart };
  }
  const all: string[] = [];
  let starts = fromStart;
  for (const [index, text] of pieces.entries()) {
    const part = cut(text, fromStart && index === 0);
    if (index === 0) starts = fromStart && part.fromStart;
    for (const piece of part.pieces) all.push(piece);
  }
  return { pieces: all, fromStart: starts };
}

function cutBy(expression: RegExp, behavior: SplitBehavior, invert = false): Cut {
  return (pieces) =>
    mapPieces(pieces, (text) => splitText(text, findAll(expression, text), behavior, invert));
}

function splitStep(step: Step, place: string): Cut {
  const { find, expression } = compilePattern(step.pattern, `${place}.pattern`);
  const behavior = behaviorOf(step, place);
  const invert = stepField(step, place, "invert", "boolean");
  // Most patterns match all of a text, and then the matches are the pieces.
  const whole =
    expression !== undefined && (behavior === "Isolated" || (behavior === "Removed" && invert))
      ? expression
      : undefined;
  return (pieces) =>
    mapPieces(pieces, (text) => {
      if (whole !== undefined) {
        const matches = text.match(whole) ?? [];
        if (totalLength(matches) === text.length) return { pieces: matches, fromStart: true };
      }
      return splitText(text, find(text), behavior, invert);
    });
}

function totalLength(texts: readonly string[]): number {
  let total = 0;
  for (const { length } of texts) total += length;
  return total;
}

function behaviorOf(step: Step, place: string, missing?: string): SplitBehavior {
  const behavior = stepField(step, place, "behavior", "string", missing);
  const known = SPLIT_BEHAVIORS.find((each) => each === behavior);
  if (known !== undefined) return known;
  refuse(
    place,
    `(${step.type}): behavior is ${JSON.stringify(behavior)}, expected ${
      SPLIT_BEHAVIORS.join(", ")
    }`,
  );
}

function byteLevel(step: Step, place: string, last: boolean): Cut {
  const prefix = stepField(step, place, "add_prefix_space", "boolean");
  const { expression } = compilePattern({ Regex: GPT2_PATTERN }, place);
  const useRegex = stepField(step, place, "use_regex", "boolean", true);
  return (given) => {
    let { pieces } = given;
    if (prefix) pieces = pieces.map((text) => text.startsWith(" ") ? text : ` ${text}`);
    // The pattern matches every character.
    if (useRegex) pieces = pieces.flatMap((text) => text.match(expression!) ?? []);
    return { pieces: last ? pieces : pieces.map(toByteChars), fromStart: given.fromStart };
  };
}

function oneCharacter(step: Step, place: string, name: string): string {
  const text = stepField(step, place, name, "string");
  if ([...text].length !== 1) {
    refuse(place, `(${step.type}): ${name} is ${JSON.stringify(text)}, expected one character`);
  }
  return text;
}

const SCHEMES: readonly string[] = ["first", "never", "always"];

function metaspace(step: Step, place: string): Cut {
  const replacement = oneCharacter(step, place, "replacement");
  let scheme = stepField(step, place, "prepend_scheme", "string", "always");
  if (!SCHEMES.includes(scheme)) {
    refuse(
      place,
      `(Metaspace): prepend_scheme is ${JSON.stringify(scheme)}, expected ${SCHEMES.join(", ")}`,
    );
  }
  if (!stepField(step, place, "add_prefix_space", "boolean", true)) {
    // The Rust library takes `never` from it only where the scheme says so too.
    if (scheme !== "never") {
      refuse(
        place,
        `(Metaspace): add_prefix_space is false and prepend_scheme is ${scheme}; make it "never"`,
      );
    }
    scheme = "never";
  }
  const split = stepField(step, place, "split", "boolean", true);
  const { find } = compilePattern({ String: replacement }, `${place}.replacement`);
  return (pieces) =>
    mapPieces(pieces, (text, fromStart) => {
      let marked = text.replaceAll(" ", replacement);
      const wanted = scheme === "always" || (scheme === "first" && fromStart);
      if (wanted && !marked.startsWith(replacement)) marked = replacement + marked;
      if (!split) return { pieces: [marked], fromStart: true };
      return splitText(marked, find(marked), "MergedWithNext");
    });
}

function fixedLength(text: string, length: number): string[] {
  const chars = Array.from(text);
  const pieces: string[] = [];
  for (let at = 0; at < chars.length; at += length) {
    pieces.push(chars.slice(at, at + length).join(""));
  }
  return pieces;
}
