/** Filters that apply other filters or tests to each item: map, select and their like. */

import { attributeGetter, type Getter } from "./attribute_getter.ts";
import type { Budget } from "./budget.ts";
import { PythonError, UnsupportedError } from "./errors.ts";
import type { Environment, FilterFunction, FilterTable, NamedFilter } from "./filter_arguments.ts";
import { generate } from "./py_generator.ts";
import { iterate } from "./iterate.ts";
import { truthy } from "./truthy.ts";
import { Undefined } from "./undefined.ts";
import { type Args, asString, type Kwargs, type Value } from "./value.ts";

function byName(kind: "filter" | "test", table: FilterTable, name: Value): FilterFunction {
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

function prepareMap(args: Args, kwargs: Kwargs, environment: Environment): Getter {
  if (args.length === 0 && kwargs.has("attribute")) {
    const { attribute, default: fallback = null, ...rest } = Object.fromEntries(kwargs);
    const [unexpected] = Object.keys(rest);
    if (unexpected !== undefined) argumentError(`Unexpected keyword argument '${unexpected}'`);
    return attributeGetter(attribute, true, fallback);
  }
  const [name, ...rest] = args;
  if (name === undefined) argumentError("map requires a filter argument");
  return (budget, item) =>
    byName("filter", environment.filters, name)(budget, [item, ...rest], kwargs, environment);
}

function* map(
  budget: Budget,
  value: Value,
  args: Args,
  kwargs: Kwargs,
  environment: Environment,
): Generator<Value, void> {
  if (!truthy(budget, value)) return;
  const apply = prepareMap(args, kwargs, environment);
  const iterator = iterate(budget, value);
  for (let item = iterator.next(); item !== undefined; item = iterator.next()) {
    yield apply(budget, item);
  }
}

/** Which items are selected: those whose test, or that of an attribute, is as wanted. */
interface Selection {
  readonly environment: Environment;
  readonly wanted: boolean;
  readonly byAttribute: boolean;
}

function prepareTest(
  args: Args,
  kwargs: Kwargs,
  { environment, byAttribute }: Selection,
): Getter {
  const { tests } = environment;
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
    byName("test", tests, name)(budget, [get(budget, item), ...more], kwargs, environment);
}

function* select(
  budget: Budget,
  value: Value,
  args: Args,
  kwargs: Kwargs,
  selection: Selection,
): Generator<Value, void> {
  if (!truthy(budget, value)) return;
  const test = prepareTest(args, kwargs, selection);
  const iterator = iterate(budget, value);
  for (let item = iterator.next(); item !== undefined; item = iterator.next()) {
    if (truthy(budget, test(budget, item)) === selection.wanted) yield item;
  }
}

const selecting = (name: string, wanted: boolean, byAttribute: boolean): NamedFilter => [
  name,
  (budget, [value, ...args], kwargs, environment) =>
    generate(select(budget, value, args, kwargs, { environment, wanted, byAttribute })),
];

/** The filters. */
export const APPLYING_FILTERS: readonly NamedFilter[] = [
  [
    "map",
    (budget, [value, ...args], kwargs, environment) =>
      generate(map(budget, value, args, kwargs, environment)),
  ],
  selecting("select", true, false),
  selecting("reject", false, false),
  selecting("selectattr", true, true),
  selecting("rejectattr", false, true),
];
