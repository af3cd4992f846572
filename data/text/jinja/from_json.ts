/**
 * JSON values as Python's `json.loads` would have them: a number that is an integer is an int, any
 * other a float.
 */

import type { Budget } from "./budget.ts";
import { PyDict } from "./dict.ts";
import { PyFloat } from "./float.ts";
import { PythonNumber } from "../../../internal/json/python_json.ts";
import { integerOf, toInteger } from "./numbers.ts";
import { PyList } from "./sequence.ts";
import type { Value } from "./value.ts";

/** Characters of a value's texts, and some for each value. */
export function measureJson(value: unknown): number {
  if (typeof value === "string") return value.length + 8;
  if (typeof value !== "object" || value === null) return 8;
  if (value instanceof Map) {
    let sum = 8;
    for (const [key, item] of value) sum += String(key).length + measureJson(item);
    return sum;
  }
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + measureJson(item), 8);
  return Object.entries(value).reduce(
    (sum, [key, item]) => sum + key.length + measureJson(item),
    8,
  );
}

/** The value in Python's types. `undefined` among the items of an object counts as missing. */
export function fromJson(budget: Budget, value: unknown): Value {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isInteger(value) ? integerOf(value) : new PyFloat(value);
    case "bigint":
      return toInteger(value);
    case "object":
      break;
    default:
      throw new TypeError(`Cannot give a template a ${typeof value}: it is no JSON`);
  }
  if (value === null) return null;
  if (Array.isArray(value)) return new PyList(value.map((item) => fromJson(budget, item)));
  if (value instanceof PythonNumber) {
    return /^-?\d+$/.test(value.text)
      ? toInteger(BigInt(value.text))
      : new PyFloat(Number(value.text));
  }
  const dict = new PyDict();
  for (const [key, item] of value instanceof Map ? value : Object.entries(value)) {
    if (item !== undefined) dict.set(budget, String(key), fromJson(budget, item));
  }
  return dict;
}
