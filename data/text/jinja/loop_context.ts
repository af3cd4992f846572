/** The `loop` variable: a port of jinja2.runtime.LoopContext. */

import type { Budget } from "./budget.ts";
import { typeError } from "./errors.ts";
import { iterate, tryIterate } from "./iterate.ts";
import { BoundMethod, type Method } from "./method.ts";
import { lengthOf } from "./length.ts";
import { PyTuple } from "./sequence.ts";
import { Undefined } from "./undefined.ts";
import {
  type Args,
  iterateArray,
  type Kwargs,
  orElse,
  type PyIterator,
  PyObject,
  type Value,
} from "./value.ts";

/** Renders a recursive loop over other items. */
export type RenderLoop = (items: Value, depth: number) => string;

/** What a loop knows of its rounds. */
export class LoopContext extends PyObject {
  override readonly type = "LoopContext";
  override readonly callable = true;
  #iterator: PyIterator;
  #length: number | undefined;
  #after: Value | undefined;
  #current: Value | undefined;
  #before: Value | undefined;
  #changed: PyTuple | undefined;
  #index0 = -1;

  readonly budget: Budget;
  readonly iterable: Value;
  readonly render: RenderLoop | undefined;
  readonly depth0: number;

  /** Takes what is iterated over, how deep it stands, and how to go deeper. */
  constructor(budget: Budget, iterable: Value, render: RenderLoop | undefined, depth0: number) {
    super();
    this.budget = budget;
    this.iterable = iterable;
    this.render = render;
    this.depth0 = depth0;
    this.#iterator = iterate(budget, iterable);
  }

  /** Goes to the next item; undefined after the last. */
  next(): Value | undefined {
    const item = this.#after === undefined ? this.#iterator.next() : this.#after;
    this.#after = undefined;
    if (item === undefined) return undefined;
    this.#index0++;
    this.#before = this.#current;
    this.#current = item;
    return item;
  }

  #peek(): Value | undefined {
    if (this.#after === undefined) this.#after = this.#iterator.next();
    return this.#after;
  }

  override length(budget: Budget): number {
    if (this.#length === undefined) {
      const length = lengthOf(budget, this.iterable);
      if (length === undefined) {
        const rest: Value[] = [];
        for (let item = this.#iterator.next(); item !== undefined; item = this.#iterator.next()) {
          rest.push(item);
        }
        this.#iterator = iterateArray(budget, rest);
        this.#length = rest.length + this.#index0 + 1 + Number(this.#after !== undefined);
      } else this.#length = length;
    }
    return this.#length;
  }

  override attribute(budget: Budget, name: string): Value | undefined {
    switch (name) {
      case "index":
        return this.#index0 + 1;
      case "index0":
        return this.#index0;
      case "revindex":
        return this.length(budget) - this.#index0;
      case "revindex0":
        return this.length(budget) - this.#index0 - 1;
      case "first":
        return this.#index0 === 0;
      case "last":
        return this.#peek() === undefined;
      case "length":
        return this.length(budget);
      case "depth":
        return this.depth0 + 1;
      case "depth0":
        return this.depth0;
      case "previtem":
        return this.#index0 === 0 ? new Undefined("there is no previous item") : this.#before;
      case "nextitem":
        return orElse(this.#peek(), () => new Undefined("there is no next item"));
      case "cycle":
        return new BoundMethod<LoopContext>(this, name, cycle);
      case "changed":
        return new BoundMethod<LoopContext>(this, name, changed);
      default:
        return undefined;
    }
  }

  /** Whether the values differ from those of the call before. */
  isChanged(budget: Budget, values: PyTuple): boolean {
    if (this.#changed?.equals(budget, values)) return false;
    this.#changed = values;
    return true;
  }

  override iterate(): PyIterator {
    return typeError("iterating over a loop's own variable");
  }

  override call(budget: Budget, args: Args, kwargs: Kwargs): Value {
    if (args.length !== 1 || kwargs.size > 0) typeError("loop() takes one argument");
    if (this.render === undefined) {
      typeError("The loop must have the 'recursive' marker to be called recursively.");
    }
    budget.enter();
    const text = this.render(args[0], this.depth0 + 1);
    budget.leave();
    return text;
  }

  override repr(budget: Budget): string {
    return `<LoopContext ${this.#index0 + 1}/${this.length(budget)}>`;
  }
}

const cycle: Method<LoopContext> = (budget, loop, args, kwargs) => {
  if (args.length === 0 || kwargs.size > 0) typeError("no items for cycling given");
  return args[loop.attribute(budget, "index0") as number % args.length];
};

const changed: Method<LoopContext> = (budget, loop, args, kwargs) => {
  if (kwargs.size > 0) typeError("changed() takes no keyword arguments");
  return loop.isChanged(budget, new PyTuple(args));
};

/** An iterator of a loop's items that `if` lets pass. */
export function iterateIf(
  budget: Budget,
  items: Value,
  test: (item: Value) => Value | undefined,
): PyIterator {
  let iterator: PyIterator | undefined;
  return {
    next(): Value | undefined {
      iterator ??= tryIterate(budget, items) ?? typeError("the value is not iterable");
      for (let item = iterator.next(); item !== undefined; item = iterator.next()) {
        const taken = test(item);
        if (taken !== undefined) return taken;
      }
      return undefined;
    },
  };
}
