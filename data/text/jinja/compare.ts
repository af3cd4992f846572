/** Equality, order and membership. */

import type { Budget } from "./budget.ts";
import { comparePoints } from "./code_points.ts";
import { typeError } from "./errors.ts";
import { PyFloat } from "./float.ts";
import { iterate } from "./iterate.ts";
import { PyMarkup } from "./markup.ts";
import { PyDict, PyDictView } from "./dict.ts";
import { Finder } from "./search.ts";
import { PySequence } from "./sequence.ts";
import { Undefined } from "./undefined.ts";
import { PyObject, typeName, type Value } from "./value.ts";

/** `a == b`. */
export function equals(budget: Budget, a: Value, b: Value): boolean {
  budget.step();
  if (a instanceof PyObject) return a.equals(budget, b);
  if (b instanceof PyObject) return b.equals(budget, a);
  if (a === b) {
    if (typeof a === "string") budget.text(a.length);
    return true;
  }
  if (typeof a === "string" && typeof b === "string") {
    // Only texts of one length are read.
    if (a.length === b.length) budget.text(a.length);
    return false;
  }
  return isIntegral(a) && isIntegral(b) && toNumeric(a) === toNumeric(b);
}

function isIntegral(value: Value): value is boolean | number | bigint {
  return typeof value === "number" || typeof value === "boolean" || typeof value === "bigint";
}

function toNumeric(value: boolean | number | bigint): number | bigint {
  return typeof value === "boolean" ? Number(value) : value;
}

/** A number as JavaScript compares it, exactly even between integer and float. */
function asNumber(value: Value): number | bigint | undefined {
  if (value instanceof PyFloat) return value.value;
  return isIntegral(value) ? toNumeric(value) : undefined;
}

/** The text of a str or of a Markup, which is a str. */
export function asString(value: Value): string | undefined {
  if (typeof value === "string") return value;
  return value instanceof PyMarkup ? value.value : undefined;
}

/**
 * Order of two values: negative, 0 or positive, or NaN where nothing compares.
 *
 * @throws {PythonError} where Python has no order for their types.
 */
export function compareValues(budget: Budget, a: Value, b: Value, operator: string): number {
  budget.step();
  const [x, y] = [asNumber(a), asNumber(b)];
  if (x !== undefined && y !== undefined) return x < y ? -1 : x > y ? 1 : x == y ? 0 : NaN;
  const [s, t] = [asString(a), asString(b)];
  if (s !== undefined && t !== undefined) {
    budget.text(Math.min(s.length, t.length));
    return comparePoints(s, t);
  }
  if (a instanceof Undefined) return a.fail();
  if (b instanceof Undefined) return b.fail();
  if (a instanceof PySequence && b instanceof PySequence && a.type === b.type) {
    return a.compare(budget, b);
  }
  return typeError(
    `'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`,
  );
}

/** `item in container`. */
export function contains(budget: Budget, container: Value, item: Value): boolean {
  const text = asString(container);
  if (text !== undefined) {
    const part = asString(item) ??
      typeError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    return new Finder(budget, part).first(text) !== -1;
  }
  if (container instanceof PyDict) return container.has(budget, item);
  if (container instanceof PyDictView && container.kind === "keys") {
    return container.dict.has(budget, item);
  }
  const iterator = iterate(budget, container);
  for (let each = iterator.next(); each !== undefined; each = iterator.next()) {
    if (each === item || equals(budget, each, item)) return true;
  }
  return false;
}
