/** Jinja's Undefined: prints as nothing, iterates over nothing, and refuses all else. */

import type { Budget } from "./budget.ts";
import { PythonError, type PythonErrorKind } from "./errors.ts";
import { type HashKey, type PyIterator, PyObject, typeName, type Value } from "./value.ts";

const HASH: HashKey = { all: "undefined values are equal" };
const EMPTY: PyIterator = { next: () => undefined };

/** What a name or an attribute is that does not exist. */
export class Undefined extends PyObject {
  override readonly type = "Undefined";
  readonly hint: string;
  readonly errorKind: PythonErrorKind;

  /** Takes the message for uses that are refused. */
  constructor(hint: string, errorKind: PythonErrorKind = "UndefinedError") {
    super();
    this.hint = hint;
    this.errorKind = errorKind;
  }
  /** Throws, as most uses do. */
  fail(): never {
    throw new PythonError(this.errorKind, this.hint);
  }
  override length(): number {
    return 0;
  }
  override iterate(): PyIterator {
    return EMPTY;
  }
  override iterateBack(): PyIterator {
    return EMPTY;
  }
  override get subscriptable(): boolean {
    return true;
  }
  // It has a __call__, which fails.
  override readonly callable = true;
  override getItem(): Value {
    return this.fail();
  }
  override getSlice(): Value {
    return this.fail();
  }
  override attribute(_budget: Budget, name: string): Value | undefined {
    return name.startsWith("__") && name.endsWith("__") ? undefined : this.fail();
  }
  override call(): Value {
    return this.fail();
  }
  override repr(): string {
    return "Undefined";
  }
  override text(): string {
    return "";
  }
  override equals(_budget: Budget, other: Value): boolean {
    return other instanceof Undefined;
  }
  override hashKey(): HashKey {
    return HASH;
  }
}

/** What a name is that nobody set. */
export function undefinedName(name: string): Undefined {
  return new Undefined(`'${name}' is undefined`);
}

/** What an item or an attribute is that an object lacks. */
export function undefinedMember(object: Value, key: Value): Undefined {
  const owner = object === null ? "None" : `${typeName(object)} object`;
  return new Undefined(
    typeof key === "string"
      ? `'${owner}' has no attribute '${key.slice(0, 60)}'`
      : `${owner} has no element ${typeof key === "object" ? typeName(key) : String(key)}`,
  );
}
