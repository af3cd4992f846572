/** Python's slices: which items `[start:stop:step]` takes. */

import { typeError, valueError } from "./errors.ts";
import { typeName, type Value } from "./value.ts";

/** An index as `__index__` gives it: int and bool; huge ones are cut to what any length exceeds. */
export function toIndex(value: Value, what = "slice indices must be integers"): number {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "bigint") {
    return value > 0n ? Number.MAX_SAFE_INTEGER : -Number.MAX_SAFE_INTEGER;
  }
  return typeError(`${what}, not ${typeName(value)}`);
}

/** First index, the one that ends it, step and number of the items that a slice of something of a length takes. */
export function sliceIndices(
  length: number,
  startValue: Value,
  stopValue: Value,
  stepValue: Value,
): {
  readonly start: number;
  readonly stop: number;
  readonly step: number;
  readonly count: number;
} {
  const step = stepValue === null ? 1 : toIndex(stepValue);
  if (step === 0) valueError("slice step cannot be zero");
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  const clamp = (value: Value, missing: number): number => {
    if (value === null) return missing;
    const index = toIndex(value);
    return index < 0 ? Math.max(index + length, low) : Math.min(index, high);
  };
  const start = clamp(startValue, step > 0 ? low : high);
  const stop = clamp(stopValue, step > 0 ? high : low);
  const count = Math.max(0, Math.ceil((stop - start) / step));
  return { start, stop, step, count };
}
