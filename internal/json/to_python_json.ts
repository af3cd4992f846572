/**
 * A value of JSON as Python has it.
 *
 * In: what JSON.parse made, or another reader, with integers that may be bigints. Out: a PythonJson;
 * parts that are one already stay as they are.
 */

import { formatFloat, type PythonJson, PythonNumber } from "./python_json.ts";

/** As deep as the reader of texts goes. */
const MAX_DEPTH = 100;

/**
 * Converts it; what is undefined is left out of objects.
 *
 * @throws {TypeError} if it is no JSON, or has a text without UTF-8
 * @throws {RangeError} if it is nested too deeply
 *
 * @example
 * ```ts
 * import { formatPythonJson } from "./python_json.ts";
 * import { toPythonJson } from "./to_python_json.ts";
 * import assert from "node:assert/strict";
 *
 * const value = toPythonJson({ a: [1, 2.5, 10n], b: null });
 * assert.equal(formatPythonJson(value), '{"a": [1, 2.5, 10], "b": null}');
 * ```
 */
export function toPythonJson(value: unknown, depth = 0): PythonJson {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new TypeError("Cannot convert a text with a lone surrogate");
    return value;
  }
  if (typeof value === "bigint") return new PythonNumber(String(value));
  if (typeof value === "number") {
    return new PythonNumber(Number.isSafeInteger(value) ? String(value) : formatFloat(value));
  }
  if (value instanceof PythonNumber || value instanceof Map) return value;
  if (depth === MAX_DEPTH) throw new RangeError(`Cannot convert what nests deeper than ${depth}`);
  if (Array.isArray(value)) return value.map((item) => toPythonJson(item, depth + 1));
  const prototype = typeof value === "object" ? Object.getPrototypeOf(value) : undefined;
  if (prototype !== null && prototype !== Object.prototype) {
    throw new TypeError(`Cannot convert a ${typeof value} to JSON`);
  }
  const made = new Map<string, PythonJson>();
  for (const [key, item] of Object.entries(value as object)) {
    if (item === undefined) continue;
    made.set(toPythonJson(key) as string, toPythonJson(item, depth + 1));
  }
  return made;
}
