/** Methods: functions that belong to a value. */

import type { Budget } from "./budget.ts";
import { UnsupportedError } from "./errors.ts";
import { Undefined } from "./undefined.ts";
import { type Args, type Kwargs, PyObject, typeName, type Value } from "./value.ts";

/** A method of values of a type. */
export type Method<T extends Value = Value> = (
  budget: Budget,
  self: T,
  args: Args,
  kwargs: Kwargs,
) => Value;
/** The methods of a type; null where Python has one that is not rendered here. */
export type Methods<T extends Value = Value> = ReadonlyMap<string, Method<T> | null>;

/** A method with the value that it belongs to. */
export class BoundMethod<T extends Value = Value> extends PyObject {
  override readonly type = "builtin_function_or_method";
  override readonly callable = true;
  readonly self: T;
  readonly name: string;
  readonly method: Method<T>;

  /** Takes the value, the method's name and the method. */
  constructor(self: T, name: string, method: Method<T>) {
    super();
    this.self = self;
    this.name = name;
    this.method = method;
  }
  override call(budget: Budget, args: Args, kwargs: Kwargs): Value {
    return this.method(budget, this.self, args, kwargs);
  }
}

/** The method of a name, if the type has one. */
export function boundMethod<T extends Value>(
  self: T,
  name: string,
  methods: Methods<T>,
): Value | undefined {
  const method = methods.get(name);
  if (method === undefined) return undefined;
  return new BoundMethod<T>(self, name, method ?? unsupported(self, name));
}

function unsupported(self: Value, name: string): Method {
  return () => {
    throw new UnsupportedError(`the method ${typeName(self)}.${name}`);
  };
}

/** What the sandbox gives in place of a method that changes its object. */
export function refusedMethod(
  self: Value,
  name: string,
  refused: ReadonlySet<string>,
): Value | undefined {
  return refused.has(name) ? unsafeAttribute(self, name) : undefined;
}

/** What the sandbox gives in place of an attribute that is not a template's business. */
export function unsafeAttribute(self: Value, name: string): Undefined {
  return new Undefined(
    `access to attribute '${name}' of '${typeName(self)}' object is unsafe.`,
    "SecurityError",
  );
}

/** Calls a value with one function: macros, filters and tests of a template. */
export class PyFunction extends PyObject {
  override readonly type = "function";
  override readonly callable = true;
  readonly run: (budget: Budget, args: Args, kwargs: Kwargs) => Value;

  /** Takes what a call does. */
  constructor(run: (budget: Budget, args: Args, kwargs: Kwargs) => Value) {
    super();
    this.run = run;
  }
  override call(budget: Budget, args: Args, kwargs: Kwargs): Value {
    return this.run(budget, args, kwargs);
  }
}
