/**
 * JSON as Python reads and writes it, without loss.
 *
 * In: a text that `json.loads` takes. Out: a value that keeps what JavaScript would lose (integers
 * beyond 2^53, the difference of 4 and 4.0, NaN, the order of keys such as "1"), and from it the
 * text that `json.dumps(value, ensure_ascii=False)` writes, byte for byte.
 *
 * Stricter than Python on one point: a key that stands twice in an object is refused, as is text
 * that has no UTF-8.
 *
 * @module
 */

/** A number, as the text that Python writes for it, such as `4.0`, `1e-05` or `NaN`. */
export class PythonNumber {
  /** Python's own text of the number. */
  readonly text: string;

  /** Takes the text. */
  constructor(text: string) {
    this.text = text;
  }
}

/** A JSON value; objects are Maps, which keep any key in its place. */
export type PythonJson =
  | string
  | boolean
  | null
  | PythonNumber
  | PythonJson[]
  | Map<string, PythonJson>;

/**
 * Deepest nesting of objects and arrays: no data set comes near, and the reader and what follows
 * recurse.
 */
const MAX_DEPTH = 100;
/** Python itself refuses longer integers, as reading one takes quadratic time. */
const MAX_DIGITS = 4300;

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
// deno-lint-ignore no-control-regex -- control characters are what a string may not hold
const PLAIN = /[^"\\\x00-\x1f]*/y;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};
const WORDS: readonly (readonly [string, () => PythonJson])[] = [
  ["true", () => true],
  ["false", () => false],
  ["null", () => null],
  ["NaN", () => new PythonNumber("NaN")],
  ["Infinity", () => new PythonNumber("Infinity")],
  ["-Infinity", () => new PythonNumber("-Infinity")],
];

/**
 * Reads a text as Python's `json.loads` does.
 *
 * @throws {SyntaxError} naming what is wrong and the character where, counted from 1.
 *
 * @example
 * ```ts
 * import { formatPythonJson } from "@ortune/ortune";
 * import { parsePythonJson } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const value = parsePythonJson('{"b":4.0,"a":[1e-5,12345678901234567890,NaN]}');
 * assert.equal(formatPythonJson(value), '{"b": 4.0, "a": [1e-05, 12345678901234567890, NaN]}');
 * ```
 */
export function parsePythonJson(text: string): PythonJson {
  let at = 0;
  const fail = (problem: string, where = at): never => {
    throw new SyntaxError(`${problem} at character ${where + 1}`);
  };
  const found = (): string => {
    const code = text.codePointAt(at);
    return code === undefined ? "the end" : JSON.stringify(String.fromCodePoint(code));
  };
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const result = pattern.exec(text);
    if (result !== null) at = pattern.lastIndex;
    return result;
  };
  const expect = (character: string): void => {
    if (text[at] !== character) fail(`expected ${JSON.stringify(character)}, got ${found()}`);
    at++;
  };
  const parseString = (): string => {
    const start = at;
    if (text[at] !== '"') fail(`expected a string, got ${found()}`);
    at++;
    let result = "";
    while (true) {
      result += match(PLAIN)![0];
      const character = text[at];
      if (character === '"') break;
      if (character === undefined) fail("a string without its closing quote begins", start);
      if (character !== "\\") fail("a control character stands unescaped in a string");
      result += parseEscape();
    }
    at++;
    if (!result.isWellFormed()) {
      fail("a string with a lone surrogate, which has no UTF-8, begins", start);
    }
    return result;
  };
  const parseEscape = (): string => {
    const kind = text[at + 1] ?? "";
    if (Object.hasOwn(ESCAPES, kind)) {
      at += 2;
      return ESCAPES[kind];
    }
    const digits = text.slice(at + 2, at + 6);
    if (kind !== "u" || !/^[\da-fA-F]{4}$/.test(digits)) fail("an unknown escape stands");
    at += 6;
    return String.fromCharCode(parseInt(digits, 16));
  };
  const parseObject = (depth: number): Map<string, PythonJson> => {
    const object = new Map<string, PythonJson>();
    at++;
    match(SPACE);
    if (text[at] === "}") {
      at++;
      return object;
    }
    while (true) {
      const start = at;
      const key = parseString();
      if (object.has(key)) {
        fail(`the key ${JSON.stringify(key.slice(0, 40))} stands for the second time`, start);
      }
      match(SPACE);
      expect(":");
      object.set(key, parseValue(depth));
      if (text[at] === "}") break;
      expect(",");
      match(SPACE);
    }
    at++;
    return object;
  };
  const parseArray = (depth: number): PythonJson[] => {
    const array: PythonJson[] = [];
    at++;
    match(SPACE);
    if (text[at] === "]") {
      at++;
      return array;
    }
    while (true) {
      array.push(parseValue(depth));
      if (text[at] === "]") break;
      expect(",");
    }
    at++;
    return array;
  };
  const parseScalar = (): PythonJson => {
    for (const [word, value] of WORDS) {
      if (!text.startsWith(word, at)) continue;
      at += word.length;
      return value();
    }
    const start = at;
    const number = match(NUMBER);
    if (number === null) return fail(`expected a value, got ${found()}`);
    const [digits, fraction, exponent] = number;
    if (fraction !== undefined || exponent !== undefined) {
      return new PythonNumber(formatFloat(Number(digits)));
    }
    if (digits.length > MAX_DIGITS) {
      return fail(`an integer of more than ${MAX_DIGITS} digits begins`, start);
    }
    return new PythonNumber(digits === "-0" ? "0" : digits);
  };
  const parseValue = (depth: number): PythonJson => {
    match(SPACE);
    const opens = text[at] === "{" || text[at] === "[";
    if (opens && depth === MAX_DEPTH) fail(`nesting deeper than ${MAX_DEPTH} begins`);
    const value = text[at] === "{"
      ? parseObject(depth + 1)
      : text[at] === "["
      ? parseArray(depth + 1)
      : text[at] === '"'
      ? parseString()
      : parseScalar();
    match(SPACE);
    return value;
  };
  const value = parseValue(0);
  if (at < text.length) fail(`expected the end, got ${found()}`);
  return value;
}

/**
 * Writes a value as Python's `json.dumps(value, ensure_ascii=False)` does.
 *
 * @example
 * ```ts
 * import { formatPythonJson } from "@ortune/ortune";
 * import { parsePythonJson } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const value = parsePythonJson('{"a":1.0,"b":"é"}');
 * assert.equal(formatPythonJson(value), '{"a": 1.0, "b": "é"}');
 * ```
 */
export function formatPythonJson(value: PythonJson): string {
  if (value instanceof PythonNumber) return value.text;
  if (Array.isArray(value)) return `[${value.map(formatPythonJson).join(", ")}]`;
  if (value instanceof Map) {
    const entries = [...value].map(([key, item]) =>
      `${JSON.stringify(key)}: ${formatPythonJson(item)}`
    );
    return `{${entries.join(", ")}}`;
  }
  // JavaScript escapes what Python does: quote, backslash and control characters below U+0020.
  return JSON.stringify(value);
}

/** Python's `repr` of a float: the shortest digits, as JavaScript's, but with other exponents. */
export function formatFloat(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [mantissa, power] = value.toExponential().split("e");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  const sign = value < 0 ? "-" : "";
  const digits = mantissa.replace(/[-.]/g, "");
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}

/** The value as JavaScript has it, numbers rounded; objects have no prototype. */
export function toPlainJson(value: PythonJson): unknown {
  if (value instanceof PythonNumber) return Number(value.text);
  if (Array.isArray(value)) return value.map(toPlainJson);
  if (!(value instanceof Map)) return value;
  const object: Record<string, unknown> = Object.create(null);
  for (const [key, item] of value) object[key] = toPlainJson(item);
  return object;
}
