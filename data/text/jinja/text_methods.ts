/**
 * Methods of text: of str, and of Markup.
 *
 * @huggingface/jinja 0.5.11 has 12 of these 45, several of them with fewer arguments: no rsplit
 * without a limit, no prefix that is a tuple, no count, no find, no join, no format.
 */

import { parameters } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { countPoints, isFlat, pointLength } from "./code_points.ts";
import { typeError, valueError } from "./errors.ts";
import { iterate } from "./iterate.ts";
import type { Method, Methods } from "./method.ts";
import { replace } from "./replace.ts";
import { Finder } from "./search.ts";
import { PyList, PyTuple } from "./sequence.ts";
import { partition, rsplit, split, splitLines } from "./split.ts";
import { bounds, integerArgument, optionalString, stringArgument } from "./string_argument.ts";
import { capitalize, swapCase, titleCase } from "./string_case.ts";
import { STRING_KINDS } from "./string_kinds.ts";
import { expandTabs, pad, zeroFill } from "./string_pad.ts";
import { type Side, strip } from "./strip.ts";
import { truthy } from "./truthy.ts";
import { asString, typeName, type Value } from "./value.ts";

type Bound = readonly (Value | undefined)[];

/** A method that reads its text once. */
function method(
  name: string,
  signature: string,
  run: (budget: Budget, text: string, values: Bound) => Value,
): [string, Method<string>] {
  const bind = parameters(name, signature);
  return [name, (budget, text, args, kwargs) => {
    budget.text(text.length);
    return run(budget, text, bind(args, kwargs));
  }];
}

/** A method that looks at each character; those beyond ASCII take longer. */
const simple = (name: string, run: (text: string) => Value): [string, Method<string>] =>
  method(name, "", (budget, text) => {
    budget.text(/^\p{ASCII}*$/u.test(text) ? text.length : text.length * 16);
    return run(text);
  });

/** A method that takes the text apart by characters. */
const perCharacter = (name: string, run: (text: string) => Value): [string, Method<string>] =>
  method(name, "", (budget, text) => {
    // A sigma's form depends on what stands around it.
    budget.step(text.length * (text.includes("\u03a3") ? 4 : 1));
    return run(text);
  });

const stripping = (name: string, side: Side): [string, Method<string>] =>
  method(
    name,
    "chars?, /",
    (_budget, text, [chars]) => strip(text, optionalString(name, chars), side),
  );

const padding = (name: string, side: "left" | "right" | "center"): [string, Method<string>] =>
  method(
    name,
    "width, fillchar?, /",
    (budget, text, [width, fill]) =>
      pad(budget, text, integerArgument(width!), fillCharacter(fill), side),
  );

function fillCharacter(value: Value | undefined): string {
  const fill = value === undefined ? " " : stringArgument("fillchar", value);
  return pointLength(fill) === 1
    ? fill
    : typeError("The fill character must be exactly one character long");
}

const splitting = (
  name: string,
  run: (budget: Budget, text: string, sep: string | undefined, limit: number) => string[],
): [string, Method<string>] =>
  method(name, "sep?, maxsplit?", (budget, text, [sep, limit]) =>
    new PyList(
      run(
        budget,
        text,
        optionalString(name, sep),
        limit === undefined ? -1 : integerArgument(limit),
      ),
    ));

/** Index in code points of the first or last occurrence, or -1. */
const finding = (name: string, last: boolean, mustFind: boolean): [string, Method<string>] =>
  method(name, "sub, start?, end?, /", (budget, text, [sub, start, end]) => {
    const part = stringArgument(name, sub);
    const range = bounds(text, start, end);
    let at = -1;
    if (range !== undefined) {
      const { from, to } = range;
      const finder = new Finder(budget, part);
      at = last ? finder.last(text, to) : finder.first(text, from);
      if (at < from || at + part.length > to) at = -1;
    }
    if (at === -1 && mustFind) valueError("substring not found");
    return at === -1 || isFlat(text) ? at : countPoints(text, 0, at);
  });

const prefixing = (
  name: string,
  test: (text: string, part: string) => boolean,
): [string, Method<string>] =>
  method(name, "prefix, start?, end?, /", (budget, text, [prefix, start, end]) => {
    const range = bounds(text, start, end);
    const part = range === undefined ? undefined : text.slice(range.from, range.to);
    const has = (value: Value): boolean => {
      budget.step();
      const affix = stringArgument(name, value);
      budget.text(affix.length);
      return part !== undefined && test(part, affix);
    };
    return prefix instanceof PyTuple ? prefix.items.some(has) : has(prefix!);
  });

const parts = (name: string, fromEnd: boolean): [string, Method<string>] =>
  method(
    name,
    "sep, /",
    (budget, text, [sep]) =>
      new PyTuple(partition(budget, text, stringArgument(name, sep), fromEnd)),
  );

function countOf(budget: Budget, text: string, part: string): number {
  if (part === "") return countPoints(text) + 1;
  let count = 0;
  const finder = new Finder(budget, part);
  for (let at = finder.first(text); at !== -1; at = finder.first(text, at + part.length)) {
    budget.step();
    count++;
  }
  return count;
}

/** `text.join(items)`. */
export function join(budget: Budget, separator: string, items: Value): string {
  const iterator = iterate(budget, items);
  let result = "";
  let index = 0;
  for (let item = iterator.next(); item !== undefined; item = iterator.next()) {
    const text = asString(item) ??
      typeError(`sequence item ${index}: expected str instance, ${typeName(item)} found`);
    budget.text(text.length + separator.length);
    result += index++ === 0 ? text : separator + text;
  }
  return result;
}

/**
 * The methods. `format` is one of str alone here, and reads members of any value: member.ts, which
 * knows those, adds it.
 */
export const TEXT_METHODS: Methods<string> = new Map<string, Method<string> | null>([
  simple("capitalize", capitalize),
  simple("lower", (text) => text.toLowerCase()),
  perCharacter("swapcase", swapCase),
  perCharacter("title", titleCase),
  simple("upper", (text) => text.toUpperCase()),
  stripping("strip", "both"),
  stripping("lstrip", "left"),
  stripping("rstrip", "right"),
  padding("center", "center"),
  padding("ljust", "right"),
  padding("rjust", "left"),
  splitting("split", split),
  splitting("rsplit", rsplit),
  finding("find", false, false),
  finding("rfind", true, false),
  finding("index", false, true),
  finding("rindex", true, true),
  prefixing("startswith", (text, part) => text.startsWith(part)),
  prefixing("endswith", (text, part) => text.endsWith(part)),
  parts("partition", false),
  parts("rpartition", true),
  ...Array.from(
    STRING_KINDS,
    ([name, test]) => (name === "istitle" ? perCharacter : simple)(name, test),
  ),
  method("count", "sub, start?, end?, /", (budget, text, [sub, start, end]) => {
    const range = bounds(text, start, end);
    const part = stringArgument("count", sub);
    return range === undefined ? 0 : countOf(budget, text.slice(range.from, range.to), part);
  }),
  method(
    "expandtabs",
    "tabsize?",
    (budget, text, [size]) =>
      expandTabs(budget, text, size === undefined ? 8 : integerArgument(size)),
  ),
  method("join", "iterable, /", (budget, text, [items]) => join(budget, text, items!)),
  method("removeprefix", "prefix, /", (_budget, text, [prefix]) => {
    const part = stringArgument("removeprefix", prefix);
    return text.startsWith(part) ? text.slice(part.length) : text;
  }),
  method("removesuffix", "suffix, /", (_budget, text, [suffix]) => {
    const part = stringArgument("removesuffix", suffix);
    return part !== "" && text.endsWith(part) ? text.slice(0, -part.length) : text;
  }),
  method("replace", "old, new, count?, /", (budget, text, [old, by, count]) =>
    replace(
      budget,
      text,
      stringArgument("replace", old),
      stringArgument("replace", by),
      count === undefined ? -1 : integerArgument(count),
    )),
  method(
    "splitlines",
    "keepends?",
    (budget, text, [keepends]) =>
      new PyList(splitLines(budget, text, keepends !== undefined && truthy(budget, keepends))),
  ),
  method(
    "zfill",
    "width, /",
    (budget, text, [width]) => zeroFill(budget, text, integerArgument(width!)),
  ),
  ["casefold", null],
  ["encode", null],
  ["format", null],
  ["format_map", null],
  ["maketrans", null],
  ["translate", null],
]);
