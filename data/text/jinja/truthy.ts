/** Whether a value counts as true. */

import type { Budget } from "./budget.ts";
import type { Value } from "./value.ts";

/** `bool(value)`. */
export function truthy(budget: Budget, value: Value): boolean {
  switch (typeof value) {
    case "boolean":
      return value;
    case "string":
      return value !== "";
    case "number":
      return value !== 0;
    case "bigint":
      return true;
    default:
      return value !== null && value.truthy(budget);
  }
}
