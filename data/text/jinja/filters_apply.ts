/** Filters that apply other filters or tests to each item: map, select and their like. */

import { attributeGetter, type Getter } from "./attribute_getter.ts";
import type { Budget } from "./budget.ts";
import { asString } from "./compare.ts";
import { PythonError, UnsupportedError } from "./errors.ts";
import type { FilterFunction, NamedFilter } from "./filter_arguments.ts";
import { generate } from "./py_generator.ts";
import { iterate } from "./iterate.ts";
import { truthy } from "./truthy.ts";
import { Undefined } from "./undefined.ts";
import type { Args, Kwargs, Value } from "./value.ts";

/** Filters or tests by name. */
type Table = ReadonlyMap<string, FilterFunction | null>;

function byName(kind: "filter" | "test", table: Table, name: Value): FilterFunction {
  if (name instanceof Undefined) name.fail();
  const text = asString(name) ?? "";
  const found = table.get(text);
  if (found) return found;
  if (found === null) throw new UnsupportedError(`the ${kind} ${text}`);
  throw new PythonError("TemplateRuntimeError", `No ${kind} named '${text}'.`);
}

function argumentError(message: string): never {
  throw new PythonError("FilterArgumentError", message);
}

function prepareMap(filters: Table, args: Args, kwargs: Kwargs): Getter {
  if (args.length === 0 && kwargs.has("attribute")) {
    const { attribute, default: fallback = null, ...rest } = Object.fromEntries(kwargs);
    const [unexpected] = Object.keys(rest);
    if (unexpected !== undefined) argumentError(`Unexpected keyword argument '${unexpected}'`);
    return attributeGetter(attribute, true, fallback);
  }
  const [name, ...rest] = args;
  if (name === undefined) argumentError("map requires a filter argument");
  return (budget, item) => byName("filter", filters, name)(budget, [item, ...rest], kwargs);
}

function* map(
  filters: Table,
  budget: Budget,
  value: Value,
  args: Args,
  kwargs: Kwargs,
): Generator<Value, void> {
  if (!truthy(budget, value)) return;
  const apply = prepareMap(filters, args, kwargs);
  const iterator = iterate(budget, value);
  for (let item = iterator.next(); item !== undefined; item = iterator.next()) {
    yield apply(budget, item);
  }
}

function prepareTest(tests: Table, args: Args, kwargs: Kwargs, byAttribute: boolean): Getter {
  let get: Getter = (_budget, item) => item;
  let rest = args;
  if (byAttribute) {
    const [attribute, ...others] = args;
    if (attribute === undefined) argumentError("Missing parameter for attribute name");
    get = attributeGetter(attribute, true);
    rest = others;
  }
  const [name, ...more] = rest;
  if (name === undefined) return get;
  return (budget, item) =>
    byName("test", tests, name)(budget, [get(budget, item), ...more], kwargs);
}

interface Selection {
  readonly tests: Table;
  readonly wanted: boolean;
  readonly byAttribute: boolean;
}

function* select(
  budget: Budget,
  value: Value,
  args: Args,
  kwargs: Kwargs,
  { tests, wanted, byAttribute }: Selection,
): Generator<Value, void> {
  if (!truthy(budget, value)) return;
  const test = prepareTest(tests, args, kwargs, byAttribute);
  const iterator = iterate(budget, value);
  for (let item = iterator.next(); item !== undefined; item = iterator.next()) {
    if (truthy(budget, test(budget, item)) === wanted) yield item;
  }
}

/** The filters. The tables are asked for where a filter runs: they hold these filters too. */
export function applyingFilters(filters: () => Table, tests: () => Table): readonly NamedFilter[] {
  const selecting = (name: string, wanted: boolean, byAttribute: boolean): NamedFilter => [
    name,
    (budget, [value, ...args], kwargs) =>
      generate(select(budget, value, args, kwargs, { tests: tests(), wanted, byAttribute })),
  ];
  return [
    [
      "map",
      (budget, [value, ...args], kwargs) => generate(map(filters(), budget, value, args, kwargs)),
    ],
    selecting("select", true, false),
    selecting("reject", false, false),
    selecting("selectattr", true, true),
    selecting("rejectattr", false, true),
  ];
}
