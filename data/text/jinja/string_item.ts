/** Characters and slices of a text. */

import type { Budget } from "./budget.ts";
import { countPoints, isFlat, offsetOf, splitPoints } from "./code_points.ts";
import { PythonError } from "./errors.ts";
import { sliceIndices, toIndex } from "./slice_indices.ts";
import type { Value } from "./value.ts";

/** `text[index]`. */
export function getStringItem(budget: Budget, text: string, key: Value): string {
  const index = toIndex(key, "string indices must be integers");
  budget.text(text.length);
  const flat = isFlat(text);
  const length = flat ? text.length : countPoints(text);
  const at = index < 0 ? index + length : index;
  if (at < 0 || at >= length) throw new PythonError("IndexError", "string index out of range");
  return flat ? text[at] : String.fromCodePoint(text.codePointAt(offsetOf(text, at))!);
}

/** `text[start:stop:step]`. */
export function getStringSlice(
  budget: Budget,
  text: string,
  startAt: Value,
  stop: Value,
  stepBy: Value,
): string {
  budget.text(text.length);
  const flat = isFlat(text);
  const length = flat ? text.length : countPoints(text);
  const { start, step, count } = sliceIndices(length, startAt, stop, stepBy);
  if (count === 0) return "";
  if (step === 1) {
    if (flat) return text.slice(start, start + count);
    const from = offsetOf(text, start);
    return text.slice(from, start + count === length ? undefined : offsetOf(text, start + count));
  }
  budget.step(text.length + count);
  const points = splitPoints(text);
  return Array.from({ length: count }, (_, i) => points[start + i * step]).join("");
}
