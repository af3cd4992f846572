/** The functions that every chat template can call, as transformers sets Jinja up. */

import { parameters } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { PyDict } from "./dict.ts";
import { PythonError, typeError, UnsupportedError } from "./errors.ts";
import { iterate } from "./iterate.ts";
import { BoundMethod, PyFunction } from "./method.ts";
import { makeDict, PyNamespace } from "./namespace.ts";
import { makeRange } from "./range.ts";
import { textOf } from "./repr.ts";
import { PyTuple } from "./sequence.ts";
import { type Args, asString, type Kwargs, PyObject, type Value } from "./value.ts";

const bindMessage = parameters("raise_exception", "message");
const bindFormat = parameters("strftime_now", "format");
const bindKeys = parameters("fromkeys", "iterable, value?, /");
const bindJoiner = parameters("joiner", "sep?");

/** `strftime_now`; the clock is the caller's. */
export function strftimeNow(strftime: (format: string) => string): Value {
  return new PyFunction((budget, args, kwargs) => {
    const [format] = bindFormat(args, kwargs);
    const text = asString(format!) ?? typeError("strftime() argument 1 must be str");
    // A directive prints some 30 characters at most.
    budget.text(text.length * 30);
    return strftime(text);
  });
}

/** `dict`, with its `fromkeys`. */
class DictFunction extends PyObject {
  override readonly type = "TemplateDict";
  override readonly callable = true;
  override call(budget: Budget, args: Args, kwargs: Kwargs): Value {
    return makeDict(budget, args, kwargs);
  }
  override attribute(_budget: Budget, name: string): Value | undefined {
    if (name !== "fromkeys") return undefined;
    return new BoundMethod(this, name, (budget, _self, args, kwargs) => {
      const [keys, value = null] = bindKeys(args, kwargs);
      const dict = new PyDict();
      const iterator = iterate(budget, keys!);
      for (let key = iterator.next(); key !== undefined; key = iterator.next()) {
        dict.set(budget, key, value);
      }
      return dict;
    });
  }
}

/** What `cycler(…)` gives. */
class PyCycler extends PyObject {
  override readonly type = "Cycler";
  #position = 0;
  readonly items: Args;

  constructor(items: Args) {
    super();
    this.items = items;
    if (items.length === 0) {
      throw new PythonError("RuntimeError", "at least one item has to be provided");
    }
  }
  override attribute(_budget: Budget, name: string): Value | undefined {
    switch (name) {
      case "items":
        return new PyTuple(this.items);
      case "pos":
        return this.#position;
      case "current":
        return this.items[this.#position];
      case "next":
        return new BoundMethod<PyCycler>(this, name, () => {
          const item = this.items[this.#position];
          this.#position = (this.#position + 1) % this.items.length;
          return item;
        });
      case "reset":
        return new BoundMethod<PyCycler>(this, name, () => {
          this.#position = 0;
          return null;
        });
      default:
        return undefined;
    }
  }
}

/** The other functions by name. */
export const TEMPLATE_GLOBALS: ReadonlyMap<string, Value> = new Map<string, Value>([
  [
    "raise_exception",
    new PyFunction((budget, args, kwargs) => {
      const [message] = bindMessage(args, kwargs);
      throw new PythonError("TemplateError", textOf(budget, message!));
    }),
  ],
  [
    "range",
    new PyFunction((_budget, args, kwargs) => {
      if (kwargs.size > 0) typeError("range() takes no keyword arguments");
      return makeRange(args);
    }),
  ],
  [
    "namespace",
    new PyFunction((budget, args, kwargs) => new PyNamespace(makeDict(budget, args, kwargs))),
  ],
  ["dict", new DictFunction()],
  [
    "cycler",
    new PyFunction((_budget, args, kwargs) => {
      if (kwargs.size > 0) typeError("cycler() takes no keyword arguments");
      return new PyCycler(args);
    }),
  ],
  [
    "joiner",
    new PyFunction((_budget, args, kwargs) => {
      const [separator = ", "] = bindJoiner(args, kwargs);
      let used = false;
      return new PyFunction(() => {
        const value = used ? separator : "";
        used = true;
        return value;
      });
    }),
  ],
  [
    "lipsum",
    new PyFunction(() => {
      throw new UnsupportedError("the function lipsum, whose text is random");
    }),
  ],
]);
