/** Calls of values. */

import type { Budget } from "./budget.ts";
import { PyDict } from "./dict.ts";
import { typeError } from "./errors.ts";
import type { Evaluate, Frame } from "./frame.ts";
import { toArray } from "./iterate.ts";
import { Undefined } from "./undefined.ts";
import {
  type Args,
  asString,
  type Kwargs,
  NO_KWARGS,
  PyObject,
  typeName,
  type Value,
} from "./value.ts";

/** `callee(*args, **kwargs)`. */
export function callValue(budget: Budget, callee: Value, args: Args, kwargs: Kwargs): Value {
  budget.step();
  if (callee instanceof PyObject) return callee.call(budget, args, kwargs);
  return typeError(`'${typeName(callee)}' object is not callable`);
}

/** Arguments of a call, compiled. */
export interface Arguments {
  readonly args: (frame: Frame) => Value[];
  readonly kwargs: (frame: Frame) => Kwargs;
}

/** Arguments of a call whose parts are compiled. */
export function compiledArguments(
  args: readonly Evaluate[],
  kwargs: readonly (readonly [string, Evaluate])[],
  dynArgs: Evaluate | undefined,
  dynKwargs: Evaluate | undefined,
): Arguments {
  return {
    args(frame): Value[] {
      const values: Value[] = [];
      for (let i = 0; i < args.length; i++) values.push(args[i](frame));
      if (dynArgs !== undefined) {
        for (const value of toArray(frame.budget, dynArgs(frame))) values.push(value);
      }
      return values;
    },
    kwargs(frame): Kwargs {
      if (kwargs.length === 0 && dynKwargs === undefined) return NO_KWARGS;
      const values = new Map<string, Value>();
      for (const [key, evaluate] of kwargs) values.set(key, evaluate(frame));
      if (dynKwargs !== undefined) addKwargs(values, dynKwargs(frame));
      return values;
    },
  };
}

function addKwargs(kwargs: Map<string, Value>, mapping: Value): void {
  if (mapping instanceof Undefined) mapping.fail();
  if (!(mapping instanceof PyDict)) typeError("argument after ** must be a mapping");
  for (const { key, value } of mapping.entries()) {
    const name = asString(key) ?? typeError("keywords must be strings");
    if (kwargs.has(name)) typeError(`got multiple values for keyword argument '${name}'`);
    kwargs.set(name, value);
  }
}
