/** Sorting as Python's `sorted` does it: stable, also backwards, by `<` alone. */

import type { Budget } from "./budget.ts";
import { compareValues } from "./compare.ts";
import { PyFloat } from "./float.ts";
import { UnsupportedError } from "./errors.ts";
import type { Value } from "./value.ts";

/** The values in the order of their keys. */
export function sortValues(
  budget: Budget,
  values: readonly Value[],
  keyOf: (value: Value) => Value,
  reverse: boolean,
): Value[] {
  const keyed = values.map((value) => ({ value, key: keyOf(value) }));
  for (const { key } of keyed) {
    if (key instanceof PyFloat && Number.isNaN(key.value)) {
      throw new UnsupportedError("sorting NaN, which has no order");
    }
  }
  keyed.sort((a, b) => {
    const order = compareValues(budget, a.key, b.key, "<");
    return reverse ? -order : order;
  });
  return keyed.map(({ value }) => value);
}
