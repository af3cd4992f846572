/** Makes filters of functions that take named parameters. */

import { parameters } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import type { Args, Kwargs, Value } from "./value.ts";

/** A filter or a test: its value is the first argument. */
export type FilterFunction = (budget: Budget, args: Args, kwargs: Kwargs) => Value;
/** A filter by its name. */
export type NamedFilter = readonly [string, FilterFunction];

/** A filter with Python's signature; see {@linkcode parameters}. */
export function filter(
  name: string,
  signature: string,
  run: (budget: Budget, value: Value, rest: readonly (Value | undefined)[]) => Value,
): NamedFilter {
  const bind = parameters(name, signature === "" ? "value" : `value, ${signature}`);
  return [name, (budget, args, kwargs) => {
    const [value, ...rest] = bind(args, kwargs);
    return run(budget, value!, rest);
  }];
}
