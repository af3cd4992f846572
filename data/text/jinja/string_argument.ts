/** Arguments of methods of text, and the part of a text that `start` and `end` leave. */

import { countPoints, isFlat, offsetOf } from "./code_points.ts";
import { typeError } from "./errors.ts";
import { toIndex } from "./slice_indices.ts";
import { asString, typeName, type Value } from "./value.ts";

/** A text, or a TypeError. */
export function stringArgument(method: string, value: Value | undefined): string {
  const text = value === undefined ? undefined : asString(value);
  return text ?? typeError(`${method}() argument must be str, not ${typeName(value ?? null)}`);
}

/** A text; undefined where it is None or missing. */
export function optionalString(method: string, value: Value | undefined): string | undefined {
  return value === undefined || value === null ? undefined : stringArgument(method, value);
}

/** An integer. */
export function integerArgument(value: Value): number {
  return toIndex(value, "an integer is required");
}

/** Offsets that `start` and `end` mean; undefined where start lies beyond the end. */
export function bounds(
  text: string,
  start: Value | undefined,
  end: Value | undefined,
): { readonly from: number; readonly to: number } | undefined {
  if ((start ?? null) === null && (end ?? null) === null) return { from: 0, to: text.length };
  const flat = isFlat(text);
  const length = flat ? text.length : countPoints(text);
  const clamp = (value: Value | undefined, missing: number): number => {
    if (value === undefined || value === null) return missing;
    const index = toIndex(value);
    return index < 0 ? Math.max(0, index + length) : index;
  };
  const from = clamp(start, 0);
  const to = Math.min(length, clamp(end, length));
  if (from > length || from > to) return undefined;
  return flat ? { from, to } : { from: offsetOf(text, from), to: offsetOf(text, to) };
}
