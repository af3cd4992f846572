/**
 * A pattern of a tokenizer.json, ready to find its matches.
 *
 * In: `{ "Regex": … }` or `{ "String": … }`. Out: a function that finds all matches in a text as
 * Oniguruma does. JavaScript's engine runs what is known to take linear time: the patterns of
 * published models and the simplest forms. Any other pattern runs in an engine that counts its steps.
 */

import { isRecord } from "../../../internal/json/is_record.ts";
import { boundedMatcher, PatternBudgetError } from "./bounded_matcher.ts";
import { KNOWN_PATTERNS } from "./known_patterns.ts";
import { isNullable, parsePattern, type PatternNode } from "./pattern.ts";
import { patternSource } from "./pattern_source.ts";
import { refuse } from "./step_review.ts";

/** Finds the matches of a pattern in a text. */
export interface PatternMatcher {
  /** All matches, `[start, end, start, end, …]`. */
  readonly find: (text: string) => number[];
  /** The pattern where JavaScript's engine runs it, with the flags `gv`. */
  readonly expression?: RegExp;
}

/**
 * Compiles a pattern.
 *
 * @param place where it stands, for messages
 * @throws {TypeError} if it is malformed, or has what is not read here
 */
export function compilePattern(pattern: unknown, place: string): PatternMatcher {
  const { Regex: source, String: literal, ...rest } = isRecord(pattern) ? pattern : {};
  const text = source ?? literal;
  const given = [source, literal].filter((each) => each !== undefined);
  if (typeof text !== "string" || given.length !== 1 || Object.keys(rest).length > 0) {
    refuse(
      place,
      `is ${JSON.stringify(pattern)?.slice(0, 80)}: expected {"String": …} or {"Regex": …}`,
    );
  }
  const name = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  const fail = (state: string): never =>
    refuse(
      place,
      `is ${name}: ${state}; write it with another pattern, or use another tokenizer`,
    );
  if (text === "" || !text.isWellFormed()) return fail("it is empty or no text");
  if (source === undefined) return literalMatcher(text);
  let tree: PatternNode;
  let expression: RegExp;
  let known = false;
  try {
    tree = parsePattern(text);
    const compiled = patternSource(tree);
    expression = new RegExp(compiled, "gv");
    known = knownSources().has(compiled);
  } catch (cause) {
    return fail(`${(cause as Error).message}, which is not supported`);
  }
  if (isNullable(tree)) return fail("it matches the empty text, which is not supported");
  if (known || isLinear(tree)) {
    return { find: (input) => findAll(expression, input), expression };
  }
  const find = boundedMatcher(tree);
  return {
    find: (input) => {
      try {
        return find(input);
      } catch (cause) {
        if (!(cause instanceof PatternBudgetError)) throw cause;
        throw new RangeError(
          `Cannot split a text of ${input.length} characters: ${place} is ${name}, which takes ` +
            `${cause.message} there; use a tokenizer without such a pattern`,
          { cause },
        );
      }
    },
  };
}

let sources: ReadonlySet<string> | undefined;

/** The known patterns as they run, so that it doesn't matter how a file writes `\\n`. */
function knownSources(): ReadonlySet<string> {
  return sources ??= new Set(KNOWN_PATTERNS.map((each) => patternSource(parsePattern(each))));
}

function literalMatcher(literal: string): PatternMatcher {
  return {
    find: (input) => {
      const found: number[] = [];
      for (let at = input.indexOf(literal); at !== -1;) {
        found.push(at, at + literal.length);
        at = input.indexOf(literal, at + literal.length);
      }
      return found;
    },
  };
}

/** All matches of an expression with the flag `g`, `[start, end, …]`. */
export function findAll(expression: RegExp, input: string): number[] {
  const found: number[] = [];
  for (const { 0: { length }, index } of input.matchAll(expression)) {
    found.push(index, index + length);
  }
  return found;
}

const MAX_WAYS = 64;

/**
 * Whether every attempt at a match is paid for by what it matches, whatever the text: alternatives
 * of single sets with a few counts, of which only the last may go on without a bound.
 */
function isLinear(node: PatternNode): boolean {
  const options = node.kind === "choice" ? node.options : [node];
  return options.every((option) => {
    const items = option.kind === "sequence" ? option.items : [option];
    // In how many ways the counts can be tried.
    let ways = 1;
    return items.every((item, index) => {
      if (item.kind === "set") return true;
      if (item.kind !== "repeat" || item.body.kind !== "set") return false;
      if (index === items.length - 1 && item.min <= 1) return true;
      ways *= item.max - item.min + 1;
      return item.max <= MAX_WAYS && ways <= MAX_WAYS;
    });
  });
}
