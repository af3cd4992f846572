/** Lists and tuples, which share all but their brackets. */

import { parameters } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { compareValues, equals } from "./compare.ts";
import { PythonError, typeError, valueError } from "./errors.ts";
import { boundMethod, type Method, type Methods, refusedMethod } from "./method.ts";
import { reprOf } from "./repr.ts";
import { sliceIndices, toIndex } from "./slice_indices.ts";
import { hashKeyOf } from "./hash_key.ts";
import {
  type Args,
  type HashKey,
  iterateArray,
  iterateArrayBack,
  type Kwargs,
  type PyIterator,
  PyObject,
  typeName,
  type Value,
} from "./value.ts";

/** What lists and tuples have in common. */
export abstract class PySequence extends PyObject {
  readonly items: readonly Value[];

  /** Takes the items, which nobody else may change. */
  constructor(items: readonly Value[]) {
    super();
    this.items = items;
  }
  /** Makes another of the same type. */
  abstract like(items: readonly Value[]): PySequence;

  override length(): number {
    return this.items.length;
  }
  override truthy(): boolean {
    return this.items.length > 0;
  }
  override iterate(budget: Budget): PyIterator {
    return iterateArray(budget, this.items);
  }
  override iterateBack(budget: Budget): PyIterator {
    return iterateArrayBack(budget, this.items);
  }
  override get subscriptable(): boolean {
    return true;
  }
  override getItem(_budget: Budget, key: Value): Value {
    const index = typeof key === "number"
      ? key
      : toIndex(key, `${this.type} indices must be integers or slices`);
    const item = this.items[index < 0 ? index + this.items.length : index];
    if (item === undefined) throw new PythonError("IndexError", `${this.type} index out of range`);
    return item;
  }
  override getSlice(budget: Budget, startAt: Value, stop: Value, stepBy: Value): Value {
    const { start, step, count } = sliceIndices(this.items.length, startAt, stop, stepBy);
    budget.step(count);
    if (step === 1) return this.like(this.items.slice(start, start + count));
    return this.like(Array.from({ length: count }, (_, i) => this.items[start + i * step]));
  }
  override equals(budget: Budget, other: Value): boolean {
    if (this === other) return true;
    if (!(other instanceof PySequence) || other.type !== this.type) return false;
    if (other.items.length !== this.items.length) return false;
    budget.enter();
    const result = this.items.every((item, i) =>
      item === other.items[i] || equals(budget, item, other.items[i])
    );
    budget.leave();
    return result;
  }
  /** Lists compare with lists and tuples with tuples, by the first items that differ. */
  override compare(budget: Budget, other: Value): number | undefined {
    if (!(other instanceof PySequence) || other.type !== this.type) return undefined;
    budget.enter();
    const length = Math.min(this.items.length, other.items.length);
    let result = this.items.length - other.items.length;
    for (let i = 0; i < length; i++) {
      const [mine, theirs] = [this.items[i], other.items[i]];
      if (mine === theirs || equals(budget, mine, theirs)) continue;
      result = compareValues(budget, mine, theirs, "<");
      break;
    }
    budget.leave();
    return result;
  }
}

/** A list. Templates cannot change one, as the sandbox refuses the methods that do. */
export class PyList extends PySequence {
  override readonly type = "list";
  override like(items: readonly Value[]): PyList {
    return new PyList(items);
  }
  override repr(budget: Budget): string {
    return bracketed(budget, "[", this.items, "]");
  }
  override hashKey(): HashKey {
    return typeError("unhashable type: 'list'");
  }
  override attribute(_budget: Budget, name: string): Value | undefined {
    return refusedMethod(this, name, REFUSED_LIST_METHODS) ?? boundMethod(this, name, LIST_METHODS);
  }
}

/** A tuple; the fields of a named one are attributes. */
export class PyTuple extends PySequence {
  override readonly type = "tuple";
  readonly fields: readonly string[];

  /** Takes the items, and the fields' names where they have any. */
  constructor(items: readonly Value[], fields: readonly string[] = []) {
    super(items);
    this.fields = fields;
  }
  override like(items: readonly Value[]): PyTuple {
    return new PyTuple(items);
  }
  override repr(budget: Budget): string {
    return bracketed(budget, "(", this.items, this.items.length === 1 ? ",)" : ")");
  }
  override hashKey(budget: Budget): HashKey {
    budget.enter();
    // No text that is a key begins with half a pair, so no string is taken for a tuple.
    const keys = this.items.map((item) => {
      const key = hashKeyOf(budget, item);
      if (typeof key === "object" && key !== null) {
        return typeError(`a ${typeName(item)} in a tuple as a key`);
      }
      const text = typeof key === "string" ? JSON.stringify(key) : String(key);
      budget.text(text.length);
      return text;
    });
    budget.leave();
    return `\ud800(${keys.join(",")})`;
  }
  override attribute(_budget: Budget, name: string): Value | undefined {
    const field = this.fields.indexOf(name);
    return field === -1 ? boundMethod(this, name, TUPLE_METHODS) : this.items[field];
  }
}

function bracketed(budget: Budget, open: string, items: readonly Value[], close: string): string {
  budget.enter();
  let text = open;
  for (let i = 0; i < items.length; i++) text += (i === 0 ? "" : ", ") + reprOf(budget, items[i]);
  budget.leave();
  return text + close;
}

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

/** Methods of tuples. */
const TUPLE_METHODS: Methods<PyTuple> = new Map<string, Method<PyTuple>>([
  ["count", count],
  ["index", index],
]);

/** Methods of lists. */
const LIST_METHODS: Methods<PyList> = new Map<string, Method<PyList>>([
  ["count", count],
  ["index", index],
  ["copy", (budget, list, args, kwargs) => {
    bindNone(args, kwargs);
    budget.step(list.items.length);
    return list.like(list.items);
  }],
]);

/** Methods that change a list, which the sandbox refuses. */
const REFUSED_LIST_METHODS: ReadonlySet<string> = new Set([
  "append",
  "clear",
  "pop",
  "reverse",
  "insert",
  "sort",
  "extend",
  "remove",
]);
