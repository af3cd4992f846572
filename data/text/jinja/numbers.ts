/** Python's int, bool and float as JavaScript's numbers, and back. */

import { PythonError } from "./errors.ts";
import { PyFloat } from "./float.ts";
import type { Value } from "./value.ts";

/** An integer in its own form: number where that is safe. */
export function toInteger(value: bigint): number | bigint {
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
}

/** A whole float as an integer, exactly. */
export function integerOf(value: number): number | bigint {
  return Number.isSafeInteger(value) ? value + 0 : BigInt(value);
}

/** An int or bool as JavaScript's; undefined for anything else. */
export function asInteger(value: Value): number | bigint | undefined {
  if (typeof value === "number" || typeof value === "bigint") return value;
  return typeof value === "boolean" ? Number(value) : undefined;
}

/** An int, bool or float as float; undefined for anything else. */
export function asFloat(value: Value): number | undefined {
  if (value instanceof PyFloat) return value.value;
  const integer = asInteger(value);
  if (typeof integer !== "bigint") return integer;
  const float = Number(integer);
  if (!Number.isFinite(float)) {
    throw new PythonError("OverflowError", "int too large to convert to float");
  }
  return float;
}
