/** Floats as `%e`, `%f`, `%g` and their like print them. */

import type { Budget } from "./budget.ts";
import { fixedDigits, leadingDigits } from "./float_digits.ts";

/** How {@linkcode formatFloat} prints. */
export interface FloatFormat {
  /** e, E, f, F, g or G. */
  readonly type: string;
  /** Digits after the point, or digits in all with g. */
  readonly precision: number;
  /** Keep the point and zeros at the end. */
  readonly alternate: boolean;
  /** As `format` prints without a type: g, with a digit after the point. */
  readonly addPointZero?: boolean;
}

function exponentText(exponent: number): string {
  return `e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/** The text of `|value|`, without a sign. */
export function formatMagnitude(budget: Budget, value: number, format: FloatFormat): string {
  const { type, precision, alternate } = format;
  budget.text(precision + 320);
  // Exact digits are found with integers of a thousand bits and more.
  budget.step(20);
  const upper = type === type.toUpperCase();
  const text = Number.isFinite(value)
    ? finite(value, type.toLowerCase(), format)
    : Number.isNaN(value)
    ? "nan"
    : "inf";
  const pointed = alternate ? alternateForm(text) : text;
  return upper ? pointed.toUpperCase() : pointed;
}

/** With a point, where the text of a number has none. */
export function alternateForm(text: string): string {
  return text.replace(/^\d+(?=e|$)/, "$&.");
}

function finite(value: number, type: string, format: FloatFormat): string {
  const { precision, alternate, addPointZero = false } = format;
  if (type === "f") return fixedDigits(value, precision);
  if (type === "e") {
    const { digits, exponent } = leadingDigits(value, precision + 1);
    return withPoint(digits, 1) + exponentText(exponent);
  }
  const count = Math.max(1, precision);
  const { digits, exponent } = leadingDigits(value, count);
  const kept = alternate ? digits : digits.replace(/0+$/, "");
  if (exponent < -4 || exponent >= count - Number(addPointZero)) {
    return withPoint(kept === "" ? "0" : kept, 1) + exponentText(exponent);
  }
  const text = exponent < 0
    ? withPoint("0".repeat(-exponent) + kept, 1)
    : withPoint(kept.padEnd(exponent + 1, "0"), exponent + 1);
  return addPointZero && !text.includes(".") ? `${text}.0` : text;
}

function withPoint(digits: string, whole: number): string {
  return digits.length > whole ? `${digits.slice(0, whole)}.${digits.slice(whole)}` : digits;
}
