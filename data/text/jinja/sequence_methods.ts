/** Methods of list and tuple. Those that change a list are refused by the sandbox. */

import { parameters } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { equals } from "./compare.ts";
import { valueError } from "./errors.ts";
import type { Method, Methods } from "./method.ts";
import type { PyList, PySequence, PyTuple } from "./sequence.ts";
import { toIndex } from "./slice_indices.ts";
import type { Args, Kwargs, Value } from "./value.ts";

const bindCount = parameters("count", "value, /");
const bindIndex = parameters("index", "value, start?, stop?, /");
const bindNone = parameters("copy", "");

function same(budget: Budget, a: Value, b: Value): boolean {
  return a === b || equals(budget, a, b);
}

function count(budget: Budget, { items }: PySequence, args: Args, kwargs: Kwargs): Value {
  const [value] = bindCount(args, kwargs);
  return items.filter((item) => same(budget, item, value!)).length;
}

function index(budget: Budget, { items }: PySequence, args: Args, kwargs: Kwargs): Value {
  const [value, start, stop] = bindIndex(args, kwargs);
  const clamp = (given: Value | undefined, missing: number): number => {
    if (given === undefined) return missing;
    const at = toIndex(given);
    return at < 0 ? Math.max(0, at + items.length) : at;
  };
  const to = Math.min(items.length, clamp(stop, items.length));
  for (let i = clamp(start, 0); i < to; i++) if (same(budget, items[i], value!)) return i;
  return valueError("the value is not in the sequence");
}

/** Of tuples. */
export const TUPLE_METHODS: Methods<PyTuple> = new Map<string, Method<PyTuple>>([
  ["count", count],
  ["index", index],
]);

/** Of lists. */
export const LIST_METHODS: Methods<PyList> = new Map<string, Method<PyList>>([
  ["count", count],
  ["index", index],
  ["copy", (budget, list, args, kwargs) => {
    bindNone(args, kwargs);
    budget.step(list.items.length);
    return list.like(list.items);
  }],
]);

/** Of lists, and refused. */
export const REFUSED_LIST_METHODS: ReadonlySet<string> = new Set([
  "append",
  "clear",
  "pop",
  "reverse",
  "insert",
  "sort",
  "extend",
  "remove",
]);
