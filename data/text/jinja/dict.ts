/** Python's dict, and the views of its keys, values and items. */

import { parameters } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { equals } from "./compare.ts";
import { PythonError, typeError } from "./errors.ts";
import { hashKeyOf } from "./hash_key.ts";
import { boundMethod, type Method, type Methods, refusedMethod } from "./method.ts";
import { reprOf } from "./repr.ts";
import { PyTuple } from "./sequence.ts";
import {
  type HashKey,
  iterateArray,
  iterateArrayBack,
  orElse,
  type PyIterator,
  PyObject,
  type Value,
} from "./value.ts";

/** A key and its value. */
interface Entry {
  readonly key: Value;
  readonly value: Value;
}

/** A dict; templates cannot change one that they were given. */
export class PyDict extends PyObject {
  override readonly type: string = "dict";
  readonly #entries = new Map<HashKey, Entry>();

  /** Adds an item; one of an equal key keeps that key, and its place. */
  set(budget: Budget, key: Value, value: Value): void {
    budget.step();
    const hash = hashKeyOf(budget, key);
    const known = this.#entries.get(hash);
    this.#entries.set(hash, { key: known === undefined ? key : known.key, value });
  }
  /** The value of a key, if it has it. */
  get(budget: Budget, key: Value): Value | undefined {
    return this.#entries.get(hashKeyOf(budget, key))?.value;
  }
  /** The value of a key that is a string, free of charge as names in a template are short. */
  getName(name: string): Value | undefined {
    return this.#entries.get(name)?.value;
  }
  /** Whether it has a key. */
  has(budget: Budget, key: Value): boolean {
    return this.#entries.has(hashKeyOf(budget, key));
  }
  /** Its keys and values, in order. */
  entries(): IterableIterator<Entry> {
    return this.#entries.values();
  }
  /** Its keys. */
  keys(): Value[] {
    return Array.from(this.#entries.values(), ({ key }) => key);
  }
  override length(): number {
    return this.#entries.size;
  }
  override truthy(): boolean {
    return this.#entries.size > 0;
  }
  override iterate(budget: Budget): PyIterator {
    return iterateArray(budget, this.keys());
  }
  override iterateBack(budget: Budget): PyIterator {
    return iterateArrayBack(budget, this.keys());
  }
  override get subscriptable(): boolean {
    return true;
  }
  override getItem(budget: Budget, key: Value): Value {
    const value = this.get(budget, key);
    if (value === undefined) throw new PythonError("KeyError", reprOf(budget, key));
    return value;
  }
  override getSlice(): Value {
    return typeError("unhashable type: 'slice'");
  }
  override attribute(_budget: Budget, name: string): Value | undefined {
    return refusedMethod(this, name, REFUSED_DICT_METHODS) ?? boundMethod(this, name, DICT_METHODS);
  }
  override repr(budget: Budget): string {
    budget.enter();
    let text = "{";
    for (const { key, value } of this.#entries.values()) {
      if (text.length > 1) text += ", ";
      text += `${reprOf(budget, key)}: `;
      text += reprOf(budget, value);
    }
    budget.leave();
    return `${text}}`;
  }
  override contains(budget: Budget, item: Value): boolean {
    return this.has(budget, item);
  }
  override equals(budget: Budget, other: Value): boolean {
    if (this === other) return true;
    if (!(other instanceof PyDict) || other.#entries.size !== this.#entries.size) return false;
    budget.enter();
    let same = true;
    for (const [hash, { value }] of this.#entries) {
      const theirs = other.#entries.get(hash);
      same = theirs !== undefined && equals(budget, value, theirs.value);
      if (!same) break;
    }
    budget.leave();
    return same;
  }
  override hashKey(): HashKey {
    return typeError("unhashable type: 'dict'");
  }
}

/** What `keys()`, `values()` and `items()` give. */
export class PyDictView extends PyObject {
  override readonly type: string;
  readonly dict: PyDict;
  readonly kind: "keys" | "values" | "items";

  /** Takes the dict and what of it is seen. */
  constructor(dict: PyDict, kind: "keys" | "values" | "items") {
    super();
    this.dict = dict;
    this.kind = kind;
    this.type = `dict_${kind}`;
  }
  /** What it holds. */
  items(budget: Budget): Value[] {
    budget.step(this.dict.length());
    const pick = { keys: pickKey, values: pickValue, items: pickItem }[this.kind];
    return Array.from(this.dict.entries(), pick);
  }
  override length(): number {
    return this.dict.length();
  }
  override iterate(budget: Budget): PyIterator {
    return iterateArray(budget, this.items(budget));
  }
  override iterateBack(budget: Budget): PyIterator {
    return iterateArrayBack(budget, this.items(budget));
  }
  override repr(budget: Budget): string {
    const items = this.items(budget).map((item) => reprOf(budget, item));
    return `${this.type}([${items.join(", ")}])`;
  }
  override attribute(): Value | undefined {
    return undefined;
  }
  override contains(budget: Budget, item: Value): boolean | undefined {
    return this.kind === "keys" ? this.dict.has(budget, item) : undefined;
  }
  override equals(budget: Budget, other: Value): boolean {
    if (this === other) return true;
    if (!(other instanceof PyDictView) || this.kind === "values" || other.kind === "values") {
      return false;
    }
    const [mine, theirs] = [this.items(budget), other.items(budget)];
    return mine.length === theirs.length &&
      mine.every((item) => theirs.some((each) => equals(budget, item, each)));
  }
}

const pickKey = ({ key }: Entry): Value => key;
const pickValue = ({ value }: Entry): Value => value;
const pickItem = ({ key, value }: Entry): Value => new PyTuple([key, value]);

const bindGet = parameters("get", "key, default?, /");
const bindNone = parameters("dict method", "");

const view = (kind: "keys" | "values" | "items"): [string, Method<PyDict>] => [
  kind,
  (_budget, dict, args, kwargs) => {
    bindNone(args, kwargs);
    return new PyDictView(dict, kind);
  },
];

/** Methods of dicts. */
const DICT_METHODS: Methods<PyDict> = new Map<string, Method<PyDict> | null>([
  view("keys"),
  view("values"),
  view("items"),
  ["get", (budget, dict, args, kwargs) => {
    const [key, missing = null] = bindGet(args, kwargs);
    return orElse(dict.get(budget, key!), () => missing);
  }],
  ["copy", (budget, dict, args, kwargs) => {
    bindNone(args, kwargs);
    const copy = new PyDict();
    for (const { key, value } of dict.entries()) copy.set(budget, key, value);
    return copy;
  }],
  ["fromkeys", null],
]);

/** Methods that change a dict, which the sandbox refuses. */
const REFUSED_DICT_METHODS: ReadonlySet<string> = new Set([
  "clear",
  "pop",
  "popitem",
  "setdefault",
  "update",
]);
