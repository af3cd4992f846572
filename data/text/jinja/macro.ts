/** Macros: a port of jinja2.runtime.Macro. */

import type { Budget } from "./budget.ts";
import { PyDict } from "./dict.ts";
import { typeError } from "./errors.ts";
import { PyTuple } from "./sequence.ts";
import { Undefined } from "./undefined.ts";
import { type Args, type Kwargs, PyObject, type Value } from "./value.ts";

/** What a macro takes. */
export interface MacroShape {
  /** `undefined` for the body of a call block. */
  readonly name: string | undefined;
  readonly names: readonly string[];
  readonly catchKwargs: boolean;
  readonly catchVarargs: boolean;
  readonly readsCaller: boolean;
}

/** A macro, or the `caller` of a call block. */
export class PyMacro extends PyObject {
  override readonly type = "Macro";
  override readonly callable = true;
  readonly shape: MacroShape;
  readonly run: (values: readonly (Value | undefined)[]) => string;

  /** Takes what it takes, and what it does with the values of its parameters. */
  constructor(shape: MacroShape, run: (values: readonly (Value | undefined)[]) => string) {
    super();
    this.shape = shape;
    this.run = run;
  }

  override call(budget: Budget, args: Args, kwargs: Kwargs): Value {
    const { name, names, catchKwargs, catchVarargs, readsCaller } = this.shape;
    budget.step(names.length);
    const shown = name === undefined ? "None" : `'${name}'`;
    const values: (Value | undefined)[] = args.slice(0, names.length);
    const rest = new Map(kwargs);
    let foundCaller = values.length === names.length && names.includes("caller");
    for (const parameter of names.slice(values.length)) {
      values.push(rest.get(parameter));
      rest.delete(parameter);
      if (parameter === "caller") foundCaller = true;
    }
    if (readsCaller && !foundCaller) {
      const caller = rest.get("caller") ?? null;
      rest.delete("caller");
      values.push(caller === null ? new Undefined("No caller defined") : caller);
    }
    if (catchKwargs) {
      const dict = new PyDict();
      for (const [key, value] of rest) dict.set(budget, key, value);
      values.push(dict);
    } else if (rest.size > 0) {
      typeError(`macro ${shown} takes no keyword argument '${rest.keys().next().value}'`);
    }
    if (catchVarargs) values.push(new PyTuple(args.slice(names.length)));
    else if (args.length > names.length) {
      typeError(`macro ${shown} takes not more than ${names.length} argument(s)`);
    }
    return this.run(values);
  }

  override attribute(_budget: Budget, name: string): Value | undefined {
    const { shape } = this;
    switch (name) {
      case "name":
        return shape.name ?? null;
      case "arguments":
        return new PyTuple(shape.names);
      case "catch_kwargs":
        return shape.catchKwargs;
      case "catch_varargs":
        return shape.catchVarargs;
      case "caller":
        return shape.readsCaller;
      case "explicit_caller":
        return shape.names.includes("caller");
      default:
        return undefined;
    }
  }

  override repr(): string {
    return `<Macro ${this.shape.name === undefined ? "anonymous" : `'${this.shape.name}'`}>`;
  }
}
