/** `str` and `repr` of any value. */

import { type Budget, MAX_DIGITS } from "./budget.ts";
import { valueError } from "./errors.ts";
import type { Value } from "./value.ts";

/** `str(value)`. */
export function textOf(budget: Budget, value: Value): string {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
      return String(value);
    case "bigint":
      return bigText(budget, value);
    case "boolean":
      return value ? "True" : "False";
    default:
      return value === null ? "None" : value.text(budget);
  }
}

/** `repr(value)`. */
export function reprOf(budget: Budget, value: Value): string {
  budget.step(3);
  if (typeof value === "string") return reprString(budget, value);
  return typeof value === "object" && value !== null ? value.repr(budget) : textOf(budget, value);
}

function bigText(budget: Budget, value: bigint): string {
  const text = value.toString();
  // Takes the square of its length.
  budget.step((text.length / 64) ** 2);
  if (text.length - Number(value < 0n) > MAX_DIGITS) {
    valueError(`Exceeds the limit (${MAX_DIGITS} digits) for integer string conversion`);
  }
  return text;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};
// What str.isprintable() excludes, but the space.
const UNPRINTABLE = /[\\'\p{C}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/gu;

function reprString(budget: Budget, value: string): string {
  budget.text(value.length + 2);
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const body = value.replace(UNPRINTABLE, (character) => {
    if (character === "'") return quote === "'" ? "\\'" : "'";
    const escape = ESCAPES[character] ?? escapePoint(character.codePointAt(0)!);
    budget.text(escape.length);
    budget.step(0.5);
    return escape;
  });
  return quote + body + quote;
}

/** `\x`, `\u` or `\U` with as many digits as the code point needs. */
export function escapePoint(code: number): string {
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
