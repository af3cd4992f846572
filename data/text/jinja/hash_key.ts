/** What a dict finds a value by. */

import type { Budget } from "./budget.ts";
import type { HashKey, Value } from "./value.ts";

/** Equal for values that are equal in Python: 1, 1.0 and True are one key. */
export function hashKeyOf(budget: Budget, value: Value): HashKey {
  if (typeof value === "string") {
    budget.text(value.length);
    return value;
  }
  if (typeof value === "boolean") return Number(value);
  return typeof value === "object" && value !== null ? value.hashKey(budget) : value;
}
