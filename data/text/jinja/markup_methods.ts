/** Methods of Markup: those of str, with escaped arguments and results that are Markup again. */

import type { Budget } from "./budget.ts";
import { asString } from "./compare.ts";
import { UnsupportedError } from "./errors.ts";
import { toArray } from "./iterate.ts";
import { escapeMarkup, PyMarkup } from "./markup.ts";
import { BoundMethod } from "./method.ts";
import { PyList, PyTuple } from "./sequence.ts";
import { join, STRING_METHODS } from "./string_methods.ts";
import type { Args, Kwargs, Value } from "./value.ts";

/** Arguments, by position, that are escaped. */
const ESCAPED: Readonly<Record<string, number>> = { replace: 1, ljust: 1, rjust: 1, center: 1 };

/** The method of a name, if Markup has it. */
export function markupMethod(markup: PyMarkup, name: string): Value | undefined {
  const method = STRING_METHODS.get(name);
  if (method === undefined) return undefined;
  return new BoundMethod(markup, name, (budget: Budget, _self: Value, args: Args, kw: Kwargs) => {
    if (method === null || name === "format") {
      throw new UnsupportedError(`the method Markup.${name}`);
    }
    if (name === "join" && args.length === 1 && kw.size === 0) {
      const items = toArray(budget, args[0]).map((item) => escapeMarkup(budget, item).value);
      return new PyMarkup(join(budget, markup.value, new PyList(items)));
    }
    const escaped = args.map((value, i) =>
      i === ESCAPED[name] ? escapeMarkup(budget, value).value : value
    );
    return wrap(method(budget, markup.value, escaped, kw));
  });
}

/** Texts as Markup; the rest as it is. */
function wrap(value: Value): Value {
  if (value instanceof PyList) return new PyList(value.items.map(wrap));
  if (value instanceof PyTuple) return new PyTuple(value.items.map(wrap));
  const text = asString(value);
  return text === undefined ? value : new PyMarkup(text);
}
