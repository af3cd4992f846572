/** `namespace()`, the one object that a template can change. */

import type { Budget } from "./budget.ts";
import { PyDict } from "./dict.ts";
import { PythonError, typeError } from "./errors.ts";
import { iterate, toArray } from "./iterate.ts";
import { Undefined } from "./undefined.ts";
import { type Args, type Kwargs, PyObject, type Value } from "./value.ts";

/** An object whose attributes are set by `{% set ns.name = … %}`. */
export class PyNamespace extends PyObject {
  override readonly type = "TemplateNamespace";
  readonly #attributes: PyDict;
  /** Takes its first attributes, under transformers' rule for their names. */
  constructor(attributes: PyDict) {
    super();
    for (const key of attributes.keys()) checkName(key);
    this.#attributes = attributes;
  }
  /** Sets an attribute. */
  set(budget: Budget, name: string, value: Value): void {
    checkName(name);
    this.#attributes.set(budget, name, value);
  }
  override attribute(_budget: Budget, name: string): Value | undefined {
    return this.#attributes.getName(name);
  }
  override repr(budget: Budget): string {
    return `<Namespace ${this.#attributes.repr(budget)}>`;
  }
}

function checkName(name: Value): void {
  if (typeof name === "string" && name.startsWith("_")) {
    throw new PythonError(
      "SecurityError",
      `Chat templates cannot store underscore-prefixed attributes on a namespace, but got '${name}'. Please rename the attribute.`,
    );
  }
}

/** `dict(…)`: of a mapping or of pairs, and of arguments by name. */
export function makeDict(budget: Budget, args: Args, kwargs: Kwargs): PyDict {
  if (args.length > 1) typeError(`dict expected at most 1 argument, got ${args.length}`);
  const dict = new PyDict();
  const [source] = args;
  if (source instanceof Undefined) source.fail();
  if (source instanceof PyDict) {
    for (const { key, value } of source.entries()) dict.set(budget, key, value);
  } else if (source !== undefined) {
    const pairs = iterate(budget, source);
    for (let pair = pairs.next(); pair !== undefined; pair = pairs.next()) {
      const [key, value, more] = toArray(budget, pair);
      if (value === undefined || more !== undefined) {
        throw new PythonError("ValueError", "dictionary update sequence element needs length 2");
      }
      dict.set(budget, key, value);
    }
  }
  for (const [key, value] of kwargs) dict.set(budget, key, value);
  return dict;
}
