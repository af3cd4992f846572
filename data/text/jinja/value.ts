/**
 * Python's values. None is null, bool boolean, str string; int is number where that is a safe
 * integer and bigint beyond; everything else, float among it, is a {@linkcode PyObject}.
 *
 * @huggingface/jinja 0.5.11 wraps JavaScript's values, so that `1.0`, `True`, `None`, lists and
 * dicts print as JavaScript has them.
 */

import type { Budget } from "./budget.ts";
import { typeError, UnsupportedError } from "./errors.ts";

/** Any value of a template. */
export type Value = null | boolean | number | bigint | string | PyObject;
/** Arguments by position. */
export type Args = readonly Value[];
/** Arguments by name, in order. */
export type Kwargs = ReadonlyMap<string, Value>;
/** No arguments by name. */
export const NO_KWARGS: Kwargs = new Map();
/** What a dict looks an item up by: equal for values that are equal in Python. */
export type HashKey = string | number | bigint | null | object;

/** Gives items one by one, and undefined at the end. */
export interface PyIterator {
  /** The next item. */
  next(): Value | undefined;
}

/** A value that JavaScript has no type for. */
export abstract class PyObject {
  /** Python's name of the type. */
  abstract readonly type: string;
  /** Whether it can be called. */
  readonly callable: boolean = false;

  /** `bool(value)`. */
  truthy(budget: Budget): boolean {
    return (this.length(budget) ?? 1) > 0;
  }

  /** `len(value)`; undefined where it has none. */
  length(_budget: Budget): number | undefined {
    return undefined;
  }

  /** `iter(value)`; undefined where it cannot be iterated. */
  iterate(_budget: Budget): PyIterator | undefined {
    return undefined;
  }

  /** `iter(reversed(value))`; undefined where it has none. */
  iterateBack(_budget: Budget): PyIterator | undefined {
    return undefined;
  }

  /** Whether `value[key]` is defined for the type. */
  get subscriptable(): boolean {
    return false;
  }

  /** `value[key]`; throws as Python does. */
  getItem(_budget: Budget, _key: Value): Value {
    return typeError(`'${this.type}' object is not subscriptable`);
  }

  /** `value[start:stop:step]`. */
  getSlice(_budget: Budget, _start: Value, _stop: Value, _step: Value): Value {
    return typeError(`'${this.type}' object is not subscriptable`);
  }

  /** `value.name`; undefined where Python raises an AttributeError. */
  attribute(_budget: Budget, _name: string): Value | undefined {
    return undefined;
  }

  /** Calls it. */
  call(_budget: Budget, _args: Args, _kwargs: Kwargs): Value {
    return typeError(`'${this.type}' object is not callable`);
  }

  /** `repr(value)`. Those of most objects hold an address, which nobody can print again. */
  repr(_budget: Budget): string {
    throw new UnsupportedError(`printing a ${this.type}, whose text holds an address`);
  }

  /** `str(value)`. */
  text(budget: Budget): string {
    return this.repr(budget);
  }

  /** The text of a value that is a str of its own kind, such as Markup; undefined of all others. */
  asString(): string | undefined {
    return undefined;
  }

  /** `item in value`; undefined where that is a search of what {@linkcode iterate} gives. */
  contains(_budget: Budget, _item: Value): boolean | undefined {
    return undefined;
  }

  /**
   * Which of two comes first: negative for this one, positive for the other, 0 for neither.
   * Undefined where Python has no order for their types.
   */
  compare(_budget: Budget, _other: Value): number | undefined {
    return undefined;
  }

  /** `value == other`. */
  equals(_budget: Budget, other: Value): boolean {
    return this === other;
  }

  /** What a dict finds it by; throws where it is not hashable. */
  hashKey(_budget: Budget): HashKey {
    return this;
  }
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  switch (typeof value) {
    case "string":
      return "str";
    case "number":
    case "bigint":
      return "int";
    case "boolean":
      return "bool";
    default:
      return value === null ? "NoneType" : value.type;
  }
}

/** The text of a str or of a Markup, which is a str; undefined for anything else. */
export function asString(value: Value): string | undefined {
  if (typeof value === "string") return value;
  return value instanceof PyObject ? value.asString() : undefined;
}

/** An iterator over an array. */
export function iterateArray(budget: Budget, items: readonly Value[]): PyIterator {
  let at = 0;
  return {
    next(): Value | undefined {
      if (at >= items.length) return undefined;
      budget.step();
      return items[at++];
    },
  };
}

/** An iterator over an array from its end. */
export function iterateArrayBack(budget: Budget, items: readonly Value[]): PyIterator {
  let at = items.length;
  return {
    next(): Value | undefined {
      if (at <= 0) return undefined;
      budget.step();
      return items[--at];
    },
  };
}

/** A value, or another where there is none. `??` would take None, which is null, for none. */
export function orElse(value: Value | undefined, fallback: () => Value): Value {
  return value === undefined ? fallback() : value;
}
