/**
 * Attributes and items, in the sandbox's order: `a.b` prefers the attribute, `a['b']` the item, and
 * each falls back to the other. @huggingface/jinja 0.5.11 makes no difference.
 */

import type { Budget } from "./budget.ts";
import { PyDict } from "./dict.ts";
import { PythonError, typeError } from "./errors.ts";
import { formatMethod } from "./format_string.ts";
import { integerAttribute } from "./integer_methods.ts";
import { boundMethod, type Methods, unsafeAttribute } from "./method.ts";
import { getStringItem, getStringSlice } from "./string_item.ts";
import { TEXT_METHODS } from "./text_methods.ts";
import { undefinedMember } from "./undefined.ts";
import { orElse, PyObject, typeName, type Value } from "./value.ts";

/** Attributes of every object; the sandbox gives none of them. */
const OBJECT_ATTRIBUTES: ReadonlySet<string> = new Set(
  ("class delattr dir doc eq format ge getattribute getstate gt hash init init_subclass le lt ne " +
    "new reduce reduce_ex repr setattr sizeof str subclasshook").split(" ").map((name) =>
      `__${name}__`
    ),
);

/** Methods of str. */
export const STRING_METHODS: Methods<string> = new Map([
  ...TEXT_METHODS,
  ["format", formatMethod({ getAttribute, getItem })],
]);

/** Python's `getattr`; undefined for an AttributeError. */
export function attributeOf(budget: Budget, object: Value, name: string): Value | undefined {
  if (OBJECT_ATTRIBUTES.has(name)) return unsafeAttribute(object, name);
  switch (typeof object) {
    case "string":
      return boundMethod(object, name, STRING_METHODS);
    case "number":
    case "bigint":
    case "boolean":
      return integerAttribute(object, name);
    default:
      return object === null ? undefined : object.attribute(budget, name);
  }
}

/** Python's `object[key]`; throws as it does. */
function itemOf(budget: Budget, object: Value, key: Value): Value {
  if (typeof object === "string") return getStringItem(budget, object, key);
  if (object instanceof PyObject) return object.getItem(budget, key);
  return typeError(`'${typeName(object)}' object is not subscriptable`);
}

/** Whether Jinja takes an error as "there is no such item". */
function isMissing(error: unknown): boolean {
  return error instanceof PythonError &&
    (error.kind === "TypeError" || error.kind === "KeyError" || error.kind === "IndexError");
}

function tryItem(budget: Budget, object: Value, key: Value): Value | undefined {
  // Without an exception for the most frequent miss.
  if (object instanceof PyDict && typeof key === "string") return object.get(budget, key);
  try {
    return itemOf(budget, object, key);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** `object.name` in a template. */
export function getAttribute(budget: Budget, object: Value, name: string): Value {
  const attribute = attributeOf(budget, object, name);
  if (attribute !== undefined) return attribute;
  return orElse(tryItem(budget, object, name), () => undefinedMember(object, name));
}

/** `object[key]` in a template. */
export function getItem(budget: Budget, object: Value, key: Value): Value {
  const item = tryItem(budget, object, key);
  if (item !== undefined) return item;
  const attribute = typeof key === "string" ? attributeOf(budget, object, key) : undefined;
  return orElse(attribute, () => undefinedMember(object, key));
}

/** `object[start:stop:step]`, which falls back to nothing. */
export function getSlice(
  budget: Budget,
  object: Value,
  start: Value,
  stop: Value,
  step: Value,
): Value {
  if (typeof object === "string") return getStringSlice(budget, object, start, stop, step);
  if (object instanceof PyObject) return object.getSlice(budget, start, stop, step);
  return typeError(`'${typeName(object)}' object is not subscriptable`);
}
