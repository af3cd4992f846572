/** Numbers from text: Python's `int(text, base)` and `float(text)`. */

import { MAX_DIGITS } from "./budget.ts";
import { UnsupportedError } from "./errors.ts";
import { toInteger } from "./numbers.ts";
import { skipSpace, skipSpaceBack } from "./whitespace.ts";

const FLOAT =
  /^[+-]?(?:(?:\d+(?:_\d+)*)?(?:\.(?:\d+(?:_\d+)*)?)?(?:e[+-]?\d+(?:_\d+)*)?|inf(?:inity)?|nan)$/i;
/** Longer texts are no numbers. */
const MAX_LENGTH = 20_000;
const PREFIX: Readonly<Record<number, string>> = { 2: "b", 8: "o", 16: "x" };

/** Text without white space at its ends, and with digits of any script as ASCII's. */
function plain(text: string): string {
  const start = skipSpace(text);
  const trimmed = text.slice(start, Math.max(start, skipSpaceBack(text)));
  if (/^\p{ASCII}*$/u.test(trimmed)) return trimmed;
  if (trimmed.length > MAX_LENGTH) throw new UnsupportedError("a number of so many digits");
  return trimmed.replace(/\p{Nd}/gu, (digit) => {
    // Decimal digits come in tens that begin at zero, and tens may follow one another.
    const code = digit.codePointAt(0)!;
    let value = 0;
    while (/\p{Nd}/u.test(String.fromCodePoint(code - value - 1))) value++;
    return String(value % 10);
  });
}

/** The integer that a text writes in a base; undefined for a ValueError. */
export function parseInteger(text: string, base: number): number | bigint | undefined {
  if (text.length > MAX_LENGTH || (base !== 0 && (base < 2 || base > 36))) return undefined;
  const source = plain(text).toLowerCase();
  const match = /^([+-]?)(?:0([box])_?)?([\da-z]+(?:_[\da-z]+)*)$/.exec(source);
  if (match === null) return undefined;
  let [, sign, prefix, digits] = match;
  let radix = base;
  if (base === 0) {
    radix = prefix === undefined ? 10 : { b: 2, o: 8, x: 16 }[prefix]!;
    if (prefix === undefined && /^0[0_]*[1-9]/.test(digits)) return undefined;
  } else if (prefix !== undefined && PREFIX[base] !== prefix) {
    // `0b1` in base 16 is the number 0xb1, not a prefix.
    const whole = /^[+-]?([\da-z]+(?:_[\da-z]+)*)$/.exec(source);
    if (whole === null) return undefined;
    digits = whole[1];
    prefix = "";
  }
  const plainDigits = digits.replaceAll("_", "");
  if (plainDigits.length > MAX_DIGITS) return undefined;
  if (radix === 10) {
    return /^\d+$/.test(plainDigits) ? toInteger(BigInt(`${sign}${plainDigits}`)) : undefined;
  }
  let value = 0n;
  for (const digit of plainDigits) {
    const number = parseInt(digit, 36);
    if (!(number < radix)) return undefined;
    value = value * BigInt(radix) + BigInt(number);
  }
  return toInteger(sign === "-" ? -value : value);
}

/** The float that a text writes; undefined for a ValueError. */
export function parseFloatText(text: string): number | undefined {
  const source = plain(text).toLowerCase();
  if (!FLOAT.test(source) || !/\d|inf|nan/.test(source) || /^[+-]?\.?e/.test(source)) {
    return undefined;
  }
  if (source.includes("nan")) return NaN;
  if (source.includes("inf")) return source.startsWith("-") ? -Infinity : Infinity;
  return Number(source.replaceAll("_", ""));
}
