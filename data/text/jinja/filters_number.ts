/** Filters of numbers. */

import { binary, negate } from "./arithmetic.ts";
import type { Budget } from "./budget.ts";
import { PythonError, typeError } from "./errors.ts";
import { filter, type NamedFilter } from "./filter_arguments.ts";
import { PyFloat } from "./float.ts";
import { roundFloat } from "./float_digits.ts";
import { asFloat, asInteger, integerOf, toInteger } from "./numbers.ts";
import { parseFloatText, parseInteger } from "./number_text.ts";
import { integerArgument } from "./string_argument.ts";
import { Undefined } from "./undefined.ts";
import { asString, typeName, type Value } from "./value.ts";

/** `float(value)`; undefined for a TypeError or a ValueError. */
function toFloat(budget: Budget, value: Value): number | undefined {
  const text = asString(value);
  if (text !== undefined) {
    budget.step(text.length / 4);
    return parseFloatText(text);
  }
  return value instanceof Undefined ? value.fail() : asFloat(value);
}

/** `int(value)` of a float; undefined for a ValueError. */
function truncateFloat(value: number): Value | undefined {
  if (Number.isNaN(value)) return undefined;
  return Number.isFinite(value) ? integerOf(Math.trunc(value)) : undefined;
}

function toInt(budget: Budget, value: Value, base: Value, fallback: Value): Value {
  const text = asString(value);
  if (text !== undefined) {
    budget.step(text.length / 4);
    const radix = asInteger(base);
    const integer = radix === undefined ? undefined : parseInteger(text, Number(radix));
    if (integer !== undefined) return integer;
    const float = parseFloatText(text);
    return (float === undefined ? undefined : truncateFloat(float)) ?? fallback;
  }
  const integer = asInteger(value);
  if (integer !== undefined) return integer;
  if (value instanceof Undefined) return value.fail();
  if (!(value instanceof PyFloat)) return fallback;
  if (Math.abs(value.value) === Infinity) {
    throw new PythonError("OverflowError", "cannot convert float infinity to integer");
  }
  return truncateFloat(value.value) ?? fallback;
}

/** `round(value, precision)`, half to even. */
function roundValue(budget: Budget, value: Value, precision: Value): Value {
  const integer = asInteger(value);
  if (integer === undefined && !(value instanceof PyFloat)) {
    typeError(`type ${typeName(value)} doesn't define __round__ method`);
  }
  const places = precision === null ? 0 : integerArgument(precision);
  if (integer !== undefined) return places >= 0 ? integer : roundInteger(budget, integer, -places);
  const float = (value as PyFloat).value;
  if (precision !== null) {
    // Exact digits are found with integers of a thousand bits and more.
    budget.step(20);
    const rounded = roundFloat(float, places);
    if (!Number.isFinite(rounded) && Number.isFinite(float)) {
      throw new PythonError("OverflowError", "rounded value too large to represent");
    }
    return new PyFloat(rounded);
  }
  return wholeFloat(roundFloat(float, 0));
}

function wholeFloat(value: number): Value {
  if (Number.isNaN(value)) {
    throw new PythonError("ValueError", "cannot convert float NaN to integer");
  }
  if (!Number.isFinite(value)) {
    throw new PythonError("OverflowError", "cannot convert float infinity to integer");
  }
  return integerOf(value);
}

function roundInteger(budget: Budget, value: number | bigint, zeros: number): Value {
  budget.integer(zeros * 4);
  const unit = 10n ** BigInt(zeros);
  const whole = BigInt(value);
  const rest = ((whole % unit) + unit) % unit;
  const down = whole - rest;
  const up = rest * 2n > unit || (rest * 2n === unit && (down / unit) % 2n !== 0n);
  return toInteger(up ? down + unit : down);
}

function round(budget: Budget, value: Value, rest: readonly (Value | undefined)[]): Value {
  const [precision = 0, method = "common"] = rest;
  const how = asString(method);
  if (how === "common") return roundValue(budget, value, precision);
  if (how !== "ceil" && how !== "floor") {
    throw new PythonError("FilterArgumentError", "method must be common, ceil or floor");
  }
  const unit = binary(budget, "**", 10, precision);
  const scaled = binary(budget, "*", value, unit);
  const integer = asInteger(scaled);
  if (integer === undefined && !(scaled instanceof PyFloat)) {
    typeError(`must be real number, not ${typeName(scaled)}`);
  }
  const whole = integer ?? wholeFloat(Math[how]((scaled as PyFloat).value));
  return binary(budget, "/", whole, unit);
}

/** The filters. */
export const NUMBER_FILTERS: readonly NamedFilter[] = [
  filter(
    "int",
    "default?, base?",
    (budget, value, [fallback = 0, base = 10]) => toInt(budget, value, base, fallback),
  ),
  filter("float", "default?", (budget, value, [fallback = new PyFloat(0)]) => {
    const float = toFloat(budget, value);
    return float === undefined ? fallback : new PyFloat(float);
  }),
  filter("abs", "/", (_budget, value) => {
    const integer = asInteger(value);
    if (integer !== undefined) return integer < 0 ? negate(integer) : integer;
    if (value instanceof PyFloat) return new PyFloat(Math.abs(value.value));
    return typeError(`bad operand type for abs(): '${typeName(value)}'`);
  }),
  filter("round", "precision?, method?", round),
];
