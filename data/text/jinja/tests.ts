/**
 * All tests of Jinja, as in `x is defined`. @huggingface/jinja 0.5.11 has 21 of these 39, and among
 * them `number`, `iterable`, `sequence` and `string` that differ for booleans, dicts and undefined.
 */

import { binary } from "./arithmetic.ts";
import type { Budget } from "./budget.ts";
import { compareValues, contains, equals } from "./compare.ts";
import { PyDict } from "./dict.ts";
import { UnsupportedError } from "./errors.ts";
import {
  filter,
  type FilterFunction,
  type FilterTable,
  type NamedFilter,
} from "./filter_arguments.ts";
import { PyFloat } from "./float.ts";
import { tryIterate } from "./iterate.ts";
import { hashKeyOf } from "./hash_key.ts";
import { lengthOf } from "./length.ts";
import { PyMarkup } from "./markup.ts";
import { asInteger } from "./numbers.ts";
import { textOf } from "./repr.ts";
import { isCase } from "./string_case.ts";
import { Undefined } from "./undefined.ts";
import { asString, PyObject, type Value } from "./value.ts";

const test = (name: string, run: (value: Value, budget: Budget) => boolean): NamedFilter =>
  filter(name, "", (budget, value) => run(value, budget));

const isRemainder = (budget: Budget, value: Value, by: Value, rest: number): boolean =>
  equals(budget, binary(budget, "%", value, by), rest);

const comparing = (
  names: readonly string[],
  run: (budget: Budget, a: Value, b: Value) => boolean,
): NamedFilter[] =>
  names.map((name) => filter(name, "other, /", (budget, a, [b]) => run(budget, a, b!)));

const ordering = (
  names: readonly string[],
  operator: string,
  holds: (order: number) => boolean,
): NamedFilter[] =>
  comparing(names, (budget, a, b) => holds(compareValues(budget, a, b, operator)));

const isInteger = (value: Value): boolean => typeof value === "number" || typeof value === "bigint";

/** Whether two values are one object: exact where Python promises it. */
function isSame(a: Value, b: Value): boolean {
  if (a instanceof PyObject || b instanceof PyObject) return a === b;
  if (a !== b) return false;
  const isSmall = typeof a === "number" && a >= -5 && a <= 256;
  if (a === null || typeof a === "boolean" || isSmall) return true;
  throw new UnsupportedError("whether equal texts or integers are one object");
}

function isSequence(value: Value, budget: Budget): boolean {
  if (typeof value === "string") return true;
  return value instanceof PyObject && value.subscriptable && lengthOf(budget, value) !== undefined;
}

function isName(budget: Budget, value: Value, table: FilterTable): boolean {
  hashKeyOf(budget, value);
  return table.has(asString(value) ?? "");
}

/** The tests by name. */
export const TESTS: FilterTable = new Map<
  string,
  FilterFunction | null
>([
  test("odd", (value, budget) => isRemainder(budget, value, 2, 1)),
  test("even", (value, budget) => isRemainder(budget, value, 2, 0)),
  filter("divisibleby", "num", (budget, value, [by]) => isRemainder(budget, value, by!, 0)),
  test("defined", (value) => !(value instanceof Undefined)),
  test("undefined", (value) => value instanceof Undefined),
  filter("filter", "", (budget, value, _rest, { filters }) => isName(budget, value, filters)),
  filter("test", "", (budget, value, _rest, { tests }) => isName(budget, value, tests)),
  test("none", (value) => value === null),
  test("boolean", (value) => typeof value === "boolean"),
  test("false", (value) => value === false),
  test("true", (value) => value === true),
  test("integer", isInteger),
  test("float", (value) => value instanceof PyFloat),
  test("lower", (value, budget) => isCase(textOf(budget, value), "lower")),
  test("upper", (value, budget) => isCase(textOf(budget, value), "upper")),
  test("string", (value) => asString(value) !== undefined),
  test("mapping", (value) => value instanceof PyDict),
  test("number", (value) => asInteger(value) !== undefined || value instanceof PyFloat),
  test("sequence", isSequence),
  test("iterable", (value, budget) => tryIterate(budget, value) !== undefined),
  test("callable", (value) => value instanceof PyObject && value.callable),
  filter("sameas", "other", (_budget, a, [b]) => isSame(a, b!)),
  test("escaped", (value) => value instanceof PyMarkup),
  filter("in", "seq", (budget, value, [container]) => contains(budget, container!, value)),
  ...comparing(["==", "eq", "equalto"], equals),
  ...comparing(["!=", "ne"], (budget, a, b) => !equals(budget, a, b)),
  ...ordering([">", "gt", "greaterthan"], ">", (order) => order > 0),
  ...ordering([">=", "ge"], ">=", (order) => order >= 0),
  ...ordering(["<", "lt", "lessthan"], "<", (order) => order < 0),
  ...ordering(["<=", "le"], "<=", (order) => order <= 0),
]);
