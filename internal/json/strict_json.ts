/**
 * A strict JSON reader for files that nobody vouches for.
 *
 * In: JSON text. Out: Maps, arrays, strings, numbers, booleans and null. Unlike JSON.parse it
 * refuses duplicate keys, lone surrogates, deep nesting, long collections, and numbers that are not
 * plain non-negative integer literals (JSON.parse takes 1e2, 1.0 and −0 and rounds 2^53 + 1).
 * Objects are Maps, so a key such as `__proto__` is a key and nothing else.
 *
 * The grammar is RFC 8259.
 */

/** What {@linkcode parseStrictJson} returns. */
export type StrictJson =
  | string
  | number
  | boolean
  | null
  | StrictJson[]
  | Map<string, StrictJson>;

/** Limits of {@linkcode parseStrictJson}. */
export interface StrictJsonOptions {
  /** Objects and arrays inside each other. @default 4 */
  maxDepth?: number;
  /** Entries of any one object or array. @default 65_537 */
  maxEntries?: number;
  /** Take every JSON number instead of non-negative safe integers. @default false */
  anyNumber?: boolean;
}

/** Where and why a text is not the JSON that {@linkcode parseStrictJson} reads. */
export class StrictJsonError extends SyntaxError {
  /** 0-based character of the fault. */
  readonly position: number;
  /** What is wrong there, in a few words. */
  readonly problem: string;

  /** Builds the message of the fault. */
  constructor(position: number, problem: string) {
    super(`Cannot parse JSON at character ${position}: ${problem}. Correct it there`);
    this.position = position;
    this.problem = problem;
  }
}

const [tab, lineFeed, carriageReturn, space, quote, backslash] = [9, 10, 13, 32, 34, 92];
const plainEscapes: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ["\\", "\\"],
  ["/", "/"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);

/**
 * Reads one JSON value that spans the whole text. Throws a {@linkcode StrictJsonError}.
 *
 * @example
 * ```ts
 * import { parseStrictJson } from "./strict_json.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(parseStrictJson('{"shape": [2, 3]}'), new Map([["shape", [2, 3]]]));
 * assert.throws(() => parseStrictJson('{"a": 1, "a": 2}'), /duplicate key "a"/);
 * assert.throws(() => parseStrictJson("1e2"), SyntaxError);
 * ```
 */
export function parseStrictJson(text: string, options: StrictJsonOptions = {}): StrictJson {
  const { maxDepth = 4, maxEntries = 65_537, anyNumber = false } = options;
  const number = anyNumber ? /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y : /(?:0|[1-9]\d*)/y;
  let at = 0;

  const fail = (problem: string, position = at): never => {
    throw new StrictJsonError(position, problem);
  };
  const found = (): string =>
    at < text.length ? `found ${JSON.stringify(text[at])}` : "the text ends";
  const skipSpace = (): void => {
    for (;; at++) {
      const code = text.charCodeAt(at);
      if (code !== space && code !== lineFeed && code !== tab && code !== carriageReturn) return;
    }
  };
  const expect = (character: string): void => {
    if (text[at] !== character) fail(`expected ${JSON.stringify(character)}, ${found()}`);
    at++;
  };

  const string = (): string => {
    const opening = at;
    expect('"');
    let value = "";
    let start = at;
    for (;; at++) {
      const code = text.charCodeAt(at);
      if (code === quote) break;
      if (code === backslash) {
        value += text.slice(start, at);
        value += escape();
        start = at + 1;
      } else if (code < space) fail("a control character in a string must be escaped");
      else if (Number.isNaN(code)) fail("the string is not closed", opening);
    }
    value += text.slice(start, at);
    at++;
    if (!value.isWellFormed()) fail("the string holds a lone surrogate", opening);
    return value;
  };
  /** From the backslash to the last character of the escape. */
  const escape = (): string => {
    const plain = plainEscapes.get(text[at + 1]);
    if (plain !== undefined) {
      at++;
      return plain;
    }
    const digits = text.slice(at + 2, at + 6);
    if (text[at + 1] !== "u" || !/^[\da-fA-F]{4}$/.test(digits)) fail("the escape is unknown");
    at += 5;
    return String.fromCharCode(parseInt(digits, 16));
  };

  const literal = (): StrictJson => {
    for (const [word, value] of [["true", true], ["false", false], ["null", null]] as const) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return value;
      }
    }
    number.lastIndex = at;
    const digits = number.exec(text)?.[0];
    if (digits === undefined) return fail(`expected a value, ${found()}`);
    const start = at;
    at += digits.length;
    if (/[\d.eE+-]/.test(text[at] ?? "")) {
      fail(
        anyNumber
          ? "this is no JSON number"
          : "only plain non-negative integers are accepted as numbers",
        start,
      );
    }
    const value = Number(digits);
    if (anyNumber ? !Number.isFinite(value) : !Number.isSafeInteger(value)) {
      fail(anyNumber ? "the number is too large" : "the integer exceeds 2^53 − 1", start);
    }
    return value;
  };

  /** The entries between two brackets, separated by commas. */
  const entries = (close: string, depth: number, entry: () => void): void => {
    if (depth > maxDepth) fail(`nesting is deeper than ${maxDepth}`);
    at++;
    skipSpace();
    if (text[at] === close) {
      at++;
      return;
    }
    for (let count = 1;; count++) {
      if (count > maxEntries) fail(`more than ${maxEntries} entries in one collection`);
      skipSpace();
      entry();
      skipSpace();
      if (text[at] === close) break;
      if (text[at] !== ",") fail(`expected "," or ${JSON.stringify(close)}, ${found()}`);
      at++;
    }
    at++;
  };

  const value = (depth: number): StrictJson => {
    switch (text[at]) {
      case "{": {
        const map = new Map<string, StrictJson>();
        entries("}", depth, () => {
          const start = at;
          const key = string();
          if (map.has(key)) fail(`duplicate key ${JSON.stringify(key.slice(0, 120))}`, start);
          skipSpace();
          expect(":");
          skipSpace();
          map.set(key, value(depth + 1));
        });
        return map;
      }
      case "[": {
        const list: StrictJson[] = [];
        entries("]", depth, () => list.push(value(depth + 1)));
        return list;
      }
      case '"':
        return string();
      default:
        return literal();
    }
  };

  skipSpace();
  const result = value(1);
  skipSpace();
  if (at < text.length) fail(`expected the end, ${found()}`);
  return result;
}
