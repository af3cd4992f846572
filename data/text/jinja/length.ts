/** `len(value)`. */

import type { Budget } from "./budget.ts";
import { pointLength } from "./code_points.ts";
import { PyObject, type Value } from "./value.ts";

/** The length, or undefined where it is a TypeError. */
export function lengthOf(budget: Budget, value: Value): number | undefined {
  if (typeof value === "string") {
    budget.text(value.length);
    return pointLength(value);
  }
  return value instanceof PyObject ? value.length(budget) : undefined;
}
