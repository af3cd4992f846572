/** Iterating over any value. */

import type { Budget } from "./budget.ts";
import { splitPoints } from "./code_points.ts";
import { typeError } from "./errors.ts";
import { iterateArray, type PyIterator, PyObject, typeName, type Value } from "./value.ts";

/** `iter(value)`, or undefined where it is a TypeError. */
export function tryIterate(budget: Budget, value: Value): PyIterator | undefined {
  if (typeof value === "string") {
    budget.step(value.length);
    return iterateArray(budget, splitPoints(value));
  }
  return value instanceof PyObject ? value.iterate(budget) : undefined;
}

/** `iter(value)`. */
export function iterate(budget: Budget, value: Value): PyIterator {
  return tryIterate(budget, value) ?? typeError(`'${typeName(value)}' object is not iterable`);
}

/** `list(value)`, as an array of its own. */
export function toArray(budget: Budget, value: Value): Value[] {
  const iterator = iterate(budget, value);
  const items: Value[] = [];
  for (let item = iterator.next(); item !== undefined; item = iterator.next()) items.push(item);
  return items;
}
