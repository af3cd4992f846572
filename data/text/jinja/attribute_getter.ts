/** What `attribute=` of filters looks up: a port of make_attrgetter of jinja2.filters. */

import type { Budget } from "./budget.ts";
import { PyMarkup } from "./markup.ts";
import { getItem } from "./member.ts";
import { parseInteger } from "./number_text.ts";
import { STRING_KINDS } from "./string_kinds.ts";
import { Undefined } from "./undefined.ts";
import { asString, type Value } from "./value.ts";

/** Looks an attribute of an item up. */
export type Getter = (budget: Budget, item: Value) => Value;

/** Parts of a path such as `a.b.0`. */
function pathOf(attribute: Value): readonly Value[] {
  if (attribute === null) return [];
  const text = asString(attribute);
  if (text === undefined) return [attribute];
  const isDigit = STRING_KINDS.get("isdigit")!;
  return text.split(".").map((part) => isDigit(part) ? parseInteger(part, 10) ?? part : part);
}

/** Text in lower case; anything else as it is. */
export function ignoreCase(budget: Budget, value: Value): Value {
  const text = asString(value);
  if (text === undefined) return value;
  budget.text(text.length);
  const lower = text.toLowerCase();
  return value instanceof PyMarkup ? new PyMarkup(lower) : lower;
}

/** A getter of one path; a `fallback` that is not None stands for what is not defined. */
export function attributeGetter(
  attribute: Value,
  caseSensitive: boolean,
  fallback: Value = null,
): Getter {
  const path = pathOf(attribute);
  return (budget, item) => {
    let value = item;
    for (const part of path) {
      value = getItem(budget, value, part);
      if (fallback !== null && value instanceof Undefined) value = fallback;
    }
    return caseSensitive ? value : ignoreCase(budget, value);
  };
}

/** Getters of all paths of a text such as `a,b`. */
export function attributeGetters(attribute: Value, caseSensitive: boolean): readonly Getter[] {
  const text = asString(attribute);
  const paths = text === undefined ? [attribute] : text.split(",");
  return paths.map((path) => attributeGetter(path, caseSensitive));
}
