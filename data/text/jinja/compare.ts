/** Equality, order and membership. */

import type { Budget } from "./budget.ts";
import { comparePoints } from "./code_points.ts";
import { typeError } from "./errors.ts";
import { PyFloat } from "./float.ts";
import { iterate } from "./iterate.ts";
import { asInteger } from "./numbers.ts";
import { Finder } from "./search.ts";
import { Undefined } from "./undefined.ts";
import { asString, PyObject, typeName, type Value } from "./value.ts";

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
  const integer = asInteger(a);
  return integer !== undefined && integer === asInteger(b);
}

/** A number as JavaScript compares it, exactly even between integer and float. */
function asNumber(value: Value): number | bigint | undefined {
  return value instanceof PyFloat ? value.value : asInteger(value);
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
  const order = a instanceof PyObject ? a.compare(budget, b) : undefined;
  return order ?? typeError(
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
  const known = container instanceof PyObject ? container.contains(budget, item) : undefined;
  if (known !== undefined) return known;
  const iterator = iterate(budget, container);
  for (let each = iterator.next(); each !== undefined; each = iterator.next()) {
    if (each === item || equals(budget, each, item)) return true;
  }
  return false;
}
