/**
 * A row's JSON, with its tools and the arguments of their calls as they are written.
 *
 * In: a text. Out: what JSON.parse makes of it; but numbers that it would change (21.0, 1e-5, integers
 * beyond 2^53) and keys that it would move stay in `tools`, `functions` and `arguments`, as chat
 * templates write those into the text that is learned.
 */

import { isRecord } from "../../internal/json/is_record.ts";
import { parsePythonJson, type PythonJson } from "../../internal/json/python_json.ts";

const KEPT: readonly string[] = ["tools", "functions", "arguments"];
/** What JSON.parse may change: fractions, exponents, long integers, keys that are numbers. */
const CHANGED = /\d\.\d|\d[eE]|\d{16}|"\d+"\s*:/;

/**
 * Parses a row.
 *
 * @throws {SyntaxError} as JSON.parse
 */
export function parseRowJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  // Most rows have none, and a search for a word is quick.
  if (!KEPT.some((key) => text.includes(`"${key}"`)) || !CHANGED.test(text)) return value;
  try {
    keepWritten(value, parsePythonJson(text));
  } catch {
    // Stricter than JSON.parse: a key that stands twice, a lone surrogate.
  }
  return value;
}

function keepWritten(value: unknown, written: PythonJson): void {
  if (Array.isArray(value) && Array.isArray(written)) {
    value.forEach((item, index) => keepWritten(item, written[index]));
  } else if (isRecord(value) && written instanceof Map) {
    for (const [key, item] of written) {
      const held = value[key];
      if (!KEPT.includes(key)) keepWritten(held, item);
      else if (typeof held === "object" && held !== null) value[key] = item;
    }
  }
}
