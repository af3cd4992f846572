/** Makes filters of functions that take named parameters. */

import { parameters } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import type { Args, Kwargs, Value } from "./value.ts";

/** A filter or a test: its value is the first argument. */
export type FilterFunction = (
  budget: Budget,
  args: Args,
  kwargs: Kwargs,
  environment: Environment,
) => Value;
/** Filters or tests by name; null for those of Jinja that are not rendered here. */
export type FilterTable = ReadonlyMap<string, FilterFunction | null>;
/** What a filter may look up by name, as Jinja's `map`, `select` and `is filter` do. */
export interface Environment {
  readonly filters: FilterTable;
  readonly tests: FilterTable;
}
/** A filter by its name. */
export type NamedFilter = readonly [string, FilterFunction];

/** A filter with Python's signature; see {@linkcode parameters}. */
export function filter(
  name: string,
  signature: string,
  run: (
    budget: Budget,
    value: Value,
    rest: readonly (Value | undefined)[],
    environment: Environment,
  ) => Value,
): NamedFilter {
  const bind = parameters(name, signature === "" ? "value" : `value, ${signature}`);
  return [name, (budget, args, kwargs, environment) => {
    const [value, ...rest] = bind(args, kwargs);
    return run(budget, value!, rest, environment);
  }];
}
