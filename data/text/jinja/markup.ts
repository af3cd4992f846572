/**
 * MarkupSafe's Markup: what the filters `safe` and `escape` give. It is a str that escapes what is
 * added to it.
 */

import type { Budget } from "./budget.ts";
import { pointLength, splitPoints } from "./code_points.ts";
import { UnsupportedError } from "./errors.ts";
import { toArray } from "./iterate.ts";
import { BoundMethod } from "./method.ts";
import { reprOf, textOf } from "./repr.ts";
import { PyList, PyTuple } from "./sequence.ts";
import { getStringItem, getStringSlice } from "./string_item.ts";
import { join, TEXT_METHODS } from "./text_methods.ts";
import {
  type Args,
  asString,
  type HashKey,
  iterateArray,
  type Kwargs,
  type PyIterator,
  PyObject,
  type Value,
} from "./value.ts";

/** A text that is HTML. */
export class PyMarkup extends PyObject {
  override readonly type = "Markup";
  readonly value: string;

  /** Takes the HTML. */
  constructor(value: string) {
    super();
    this.value = value;
  }
  override length(budget: Budget): number {
    budget.text(this.value.length);
    return pointLength(this.value);
  }
  override truthy(): boolean {
    return this.value !== "";
  }
  override iterate(budget: Budget): PyIterator {
    budget.step(this.value.length);
    return iterateArray(budget, splitPoints(this.value));
  }
  override get subscriptable(): boolean {
    return true;
  }
  override getItem(budget: Budget, key: Value): Value {
    return new PyMarkup(getStringItem(budget, this.value, key));
  }
  override getSlice(budget: Budget, start: Value, stop: Value, step: Value): Value {
    return new PyMarkup(getStringSlice(budget, this.value, start, stop, step));
  }
  override attribute(_budget: Budget, name: string): Value | undefined {
    return markupMethod(this, name);
  }
  override repr(budget: Budget): string {
    return `Markup(${reprOf(budget, this.value)})`;
  }
  override text(): string {
    return this.value;
  }
  override asString(): string {
    return this.value;
  }
  override equals(budget: Budget, other: Value): boolean {
    const text = asString(other);
    if (text === undefined) return false;
    budget.text(Math.min(text.length, this.value.length));
    return text === this.value;
  }
  override hashKey(budget: Budget): HashKey {
    budget.text(this.value.length);
    return this.value;
  }
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
};

/** `markupsafe.escape(value)`. */
export function escapeMarkup(budget: Budget, value: Value): PyMarkup {
  if (value instanceof PyMarkup) return value;
  const text = textOf(budget, value);
  // An entity has at most five characters for one.
  budget.text(text.length);
  return new PyMarkup(text.replace(/[&<>"']/g, (character) => {
    budget.text(5);
    budget.step(0.5);
    return ENTITIES[character];
  }));
}

/** `a + b` where one is Markup; undefined where it is a TypeError. */
export function addMarkup(budget: Budget, a: Value, b: Value): Value | undefined {
  if (asString(a) === undefined || asString(b) === undefined) return undefined;
  const [x, y] = [escapeMarkup(budget, a).value, escapeMarkup(budget, b).value];
  budget.text(Math.min(x.length, y.length) + 8);
  return new PyMarkup(x + y);
}

/** Arguments, by position, that are escaped. */
const ESCAPED: Readonly<Record<string, number>> = { replace: 1, ljust: 1, rjust: 1, center: 1 };

/**
 * The method of a name, if Markup has it: those of str, with escaped arguments and results that are
 * Markup again.
 */
function markupMethod(markup: PyMarkup, name: string): Value | undefined {
  const method = TEXT_METHODS.get(name);
  if (method === undefined) return undefined;
  return new BoundMethod(markup, name, (budget: Budget, _self: Value, args: Args, kw: Kwargs) => {
    if (method === null) throw new UnsupportedError(`the method Markup.${name}`);
    if (name === "join" && args.length === 1 && kw.size === 0) {
      const items = toArray(budget, args[0]).map((item) => escapeMarkup(budget, item).value);
      return new PyMarkup(join(budget, markup.value, new PyList(items)));
    }
    const escaped = args.map((value, i) =>
      i === ESCAPED[name] ? escapeMarkup(budget, value).value : value
    );
    return wrap(method(budget, markup.value, escaped, kw));
  });
}

/** Texts as Markup; the rest as it is. */
function wrap(value: Value): Value {
  if (value instanceof PyList) return new PyList(value.items.map(wrap));
  if (value instanceof PyTuple) return new PyTuple(value.items.map(wrap));
  const text = asString(value);
  return text === undefined ? value : new PyMarkup(text);
}
