/** Filters of lists and dicts. */

import { binary } from "./arithmetic.ts";
import { attributeGetter, attributeGetters, ignoreCase } from "./attribute_getter.ts";
import type { Budget } from "./budget.ts";
import { compareValues, equals } from "./compare.ts";
import { splitPoints } from "./code_points.ts";
import { PyDict } from "./dict.ts";
import { PythonError, typeError, UnsupportedError } from "./errors.ts";
import { filter, type NamedFilter } from "./filter_arguments.ts";
import { PyFloat } from "./float.ts";
import { generate, PyGenerator } from "./py_generator.ts";
import { hashKeyOf } from "./hash_key.ts";
import { iterate, toArray, tryIterate } from "./iterate.ts";
import { lengthOf } from "./length.ts";
import { PyMarkup } from "./markup.ts";
import { attributeOf } from "./member.ts";
import { textOf } from "./repr.ts";
import { PyList, PyTuple } from "./sequence.ts";
import { integerArgument } from "./string_argument.ts";
import { join } from "./text_methods.ts";
import { truthy } from "./truthy.ts";
import { Undefined, undefinedMember } from "./undefined.ts";
import {
  asString,
  iterateArrayBack,
  orElse,
  type PyIterator,
  PyObject,
  typeName,
  type Value,
} from "./value.ts";

/** The items of a value, for `for`. */
function* itemsOf(budget: Budget, value: Value): Generator<Value, void> {
  const iterator = iterate(budget, value);
  for (let item = iterator.next(); item !== undefined; item = iterator.next()) yield item;
}

function backwards(budget: Budget, value: Value): PyIterator | undefined {
  const text = asString(value);
  if (text === undefined) {
    return value instanceof PyObject ? value.iterateBack(budget) : undefined;
  }
  budget.step(text.length);
  const points: Value[] = splitPoints(text);
  return iterateArrayBack(
    budget,
    value instanceof PyMarkup ? points.map((point) => new PyMarkup(point as string)) : points,
  );
}

const length = (name: string): NamedFilter =>
  filter(
    name,
    "/",
    (budget, value) =>
      lengthOf(budget, value) ?? typeError(`object of type '${typeName(value)}' has no len()`),
  );

function extreme(name: string, sign: 1 | -1): NamedFilter {
  return filter(name, "case_sensitive?, attribute?", (budget, value, rest) => {
    const [caseSensitive = false, attribute = null] = rest;
    const keyOf = attributeGetter(attribute, truthy(budget, caseSensitive));
    let best: { readonly item: Value; readonly key: Value } | undefined;
    for (const item of itemsOf(budget, value)) {
      const key = keyOf(budget, item);
      if (best === undefined || compareValues(budget, key, best.key, "<") * sign < 0) {
        best = { item, key };
      }
    }
    return orElse(best?.item, () => new Undefined("No aggregated item, sequence was empty."));
  });
}

function reverse(budget: Budget, value: Value): Value {
  const text = asString(value);
  if (text !== undefined) {
    budget.step(text.length);
    const reversed = splitPoints(text).reverse().join("");
    return value instanceof PyMarkup ? new PyMarkup(reversed) : reversed;
  }
  const iterator = backwards(budget, value);
  if (iterator !== undefined) return new PyGenerator(iterator, "reversed");
  if (tryIterate(budget, value) === undefined) {
    throw new PythonError("FilterArgumentError", "argument must be iterable");
  }
  return new PyList(toArray(budget, value).reverse());
}

function sum(budget: Budget, value: Value, rest: readonly (Value | undefined)[]): Value {
  const [attribute = null, start = 0] = rest;
  const keyOf = attributeGetter(attribute, true);
  if (asString(start) !== undefined) {
    typeError("sum() can't sum strings [use ''.join(seq) instead]");
  }
  let total = start;
  for (const item of itemsOf(budget, value)) {
    total = binary(budget, "+", total, keyOf(budget, item));
  }
  return total;
}

function groupBy(budget: Budget, value: Value, rest: readonly (Value | undefined)[]): Value {
  const [attribute, fallback = null, caseSensitive = false] = rest;
  const exact = truthy(budget, caseSensitive);
  const keyOf = attributeGetter(attribute!, exact, fallback);
  const sorted = sortValues(budget, toArray(budget, value), (item) => keyOf(budget, item), false);
  const groups: { readonly key: Value; readonly items: Value[] }[] = [];
  for (const item of sorted) {
    const key = keyOf(budget, item);
    const last = groups.at(-1);
    if (last !== undefined && equals(budget, last.key, key)) last.items.push(item);
    else groups.push({ key, items: [item] });
  }
  const shownKey = attributeGetter(attribute!, true, fallback);
  return new PyList(
    groups.map(({ key, items }) =>
      new PyTuple([exact ? key : shownKey(budget, items[0]), new PyList(items)], [
        "grouper",
        "list",
      ])
    ),
  );
}

function dictSort(budget: Budget, value: Value, rest: readonly (Value | undefined)[]): Value {
  const [caseSensitive = false, by = "key", backward = false] = rest;
  const position = ["key", "value"].indexOf(asString(by) ?? "");
  if (position === -1) {
    throw new PythonError("FilterArgumentError", 'You can only sort by either "key" or "value"');
  }
  if (value instanceof Undefined) return value.fail();
  if (!(value instanceof PyDict)) typeError(`'${typeName(value)}' object has no attribute 'items'`);
  const pairs = Array.from(value.entries(), ({ key, value: item }) => new PyTuple([key, item]));
  const keyOf = (pair: Value): Value => {
    const part = (pair as PyTuple).items[position];
    return truthy(budget, caseSensitive) ? part : ignoreCase(budget, part);
  };
  return new PyList(sortValues(budget, pairs, keyOf, truthy(budget, backward)));
}

function* batch(
  budget: Budget,
  value: Value,
  rest: readonly (Value | undefined)[],
): Generator<Value, void> {
  const [size, fill = null] = rest;
  let items: Value[] = [];
  for (const item of itemsOf(budget, value)) {
    if (equals(budget, items.length, size!)) {
      budget.step(4);
      yield new PyList(items);
      items = [];
    }
    items.push(item);
  }
  if (items.length === 0) return;
  if (fill !== null && compareValues(budget, items.length, size!, "<") < 0) {
    const missing = integerArgument(size!) - items.length;
    budget.step(missing);
    for (let i = 0; i < missing; i++) items.push(fill);
  }
  yield new PyList(items);
}

function* slice(
  budget: Budget,
  value: Value,
  rest: readonly (Value | undefined)[],
): Generator<Value, void> {
  const [slicesValue, fill = null] = rest;
  const items = toArray(budget, value);
  const slices = integerArgument(slicesValue!);
  if (slices === 0) {
    throw new PythonError("ZeroDivisionError", "integer division or modulo by zero");
  }
  const each = Math.floor(items.length / slices);
  const extra = items.length - each * slices;
  let offset = 0;
  for (let i = 0; i < slices; i++) {
    budget.step(4);
    const start = offset + i * each;
    if (i < extra) offset++;
    const part = items.slice(start, offset + (i + 1) * each);
    if (fill !== null && i >= extra) part.push(fill);
    yield new PyList(part);
  }
}

function* unique(
  budget: Budget,
  value: Value,
  rest: readonly (Value | undefined)[],
): Generator<Value, void> {
  const [caseSensitive = false, attribute = null] = rest;
  const keyOf = attributeGetter(attribute, truthy(budget, caseSensitive));
  const seen = new Set<unknown>();
  for (const item of itemsOf(budget, value)) {
    const key = hashKeyOf(budget, keyOf(budget, item));
    if (seen.has(key)) continue;
    seen.add(key);
    yield item;
  }
}

function* pairsOf(budget: Budget, value: Value): Generator<Value, void> {
  if (value instanceof Undefined) return;
  if (!(value instanceof PyDict)) typeError("Can only get item pairs from a mapping.");
  budget.step(value.length());
  for (const { key, value: item } of value.entries()) yield new PyTuple([key, item]);
}

/** The filters. */
export const LIST_FILTERS: readonly NamedFilter[] = [
  length("length"),
  length("count"),
  filter("list", "", (budget, value) => new PyList(toArray(budget, value))),
  filter(
    "first",
    "",
    (budget, value) =>
      orElse(
        iterate(budget, value).next(),
        () => new Undefined("No first item, sequence was empty."),
      ),
  ),
  filter("last", "", (budget, value) => {
    const iterator = backwards(budget, value) ??
      typeError(`'${typeName(value)}' object is not reversible`);
    return orElse(iterator.next(), () => new Undefined("No last item, sequence was empty."));
  }),
  filter("reverse", "", reverse),
  extreme("min", 1),
  extreme("max", -1),
  filter("sum", "attribute?, start?", sum),
  filter("sort", "reverse?, case_sensitive?, attribute?", (budget, value, rest) => {
    const [backward = false, caseSensitive = false, attribute = null] = rest;
    const getters = attributeGetters(attribute, truthy(budget, caseSensitive));
    // A list also of one: its equal parts are not put in order, so that they need none.
    const keyOf = (item: Value): Value => new PyList(getters.map((getter) => getter(budget, item)));
    const items = toArray(budget, value);
    return new PyList(sortValues(budget, items, keyOf, truthy(budget, backward)));
  }),
  filter(
    "unique",
    "case_sensitive?, attribute?",
    (budget, value, rest) => generate(unique(budget, value, rest)),
  ),
  filter("groupby", "attribute, default?, case_sensitive?", groupBy),
  filter("dictsort", "case_sensitive?, by?, reverse?", dictSort),
  filter("items", "", (budget, value) => generate(pairsOf(budget, value))),
  filter(
    "batch",
    "linecount, fill_with?",
    (budget, value, rest) => generate(batch(budget, value, rest)),
  ),
  filter(
    "slice",
    "slices, fill_with?",
    (budget, value, rest) => generate(slice(budget, value, rest)),
  ),
  filter("join", "d?, attribute?", (budget, value, [separator = "", attribute = null]) => {
    const keyOf = attributeGetter(attribute, true);
    function* texts(): Generator<Value, void> {
      for (const item of itemsOf(budget, value)) yield textOf(budget, keyOf(budget, item));
    }
    return join(budget, textOf(budget, separator), generate(texts()));
  }),
  filter("attr", "name", (budget, value, [name]) => {
    const text = asString(name!) ?? typeError("attribute name must be string");
    return orElse(attributeOf(budget, value, text), () => undefinedMember(value, text));
  }),
  ...["default", "d"].map((name) =>
    filter(name, "default_value?, boolean?", (budget, value, [fallback = "", boolean = false]) => {
      const missing = value instanceof Undefined ||
        (truthy(budget, boolean) && !truthy(budget, value));
      return missing ? fallback : value;
    })
  ),
];

/** The values in the order of their keys as Python's `sorted` has it: stable, also backwards, by `<` alone. */
function sortValues(
  budget: Budget,
  values: readonly Value[],
  keyOf: (value: Value) => Value,
  reverse: boolean,
): Value[] {
  const keyed = values.map((value) => ({ value, key: keyOf(value) }));
  for (const { key } of keyed) {
    const parts = key instanceof PyList ? key.items : [key];
    if (parts.some((part) => part instanceof PyFloat && Number.isNaN(part.value))) {
      throw new UnsupportedError("sorting NaN, which has no order");
    }
  }
  keyed.sort((a, b) => {
    const order = compareValues(budget, a.key, b.key, "<");
    return reverse ? -order : order;
  });
  return keyed.map(({ value }) => value);
}
