/** Filters of text. */

import { binary } from "./arithmetic.ts";
import { callValue } from "./call.ts";
import { compareValues } from "./compare.ts";
import { PyDict } from "./dict.ts";
import { PythonError, typeError } from "./errors.ts";
import { filter, type NamedFilter } from "./filter_arguments.ts";
import { toArray } from "./iterate.ts";
import { jsonFormat, jsonText } from "./json_text.ts";
import { lengthOf } from "./length.ts";
import { escapeMarkup, PyMarkup } from "./markup.ts";
import { attributeOf, getItem, getSlice } from "./member.ts";
import { formatPercent } from "./percent_format.ts";
import { replace } from "./replace.ts";
import { textOf } from "./repr.ts";
import { PyTuple } from "./sequence.ts";
import { splitLines } from "./split.ts";
import { integerArgument } from "./string_argument.ts";
import { truthy } from "./truthy.ts";
import { Undefined } from "./undefined.ts";
import { SPACE } from "./whitespace.ts";
import { asString, NO_KWARGS, PyObject, typeName, type Value } from "./value.ts";
import type { Budget } from "./budget.ts";

/** `soft_str`: Markup stays what it is. */
function soft(budget: Budget, value: Value): Value {
  return asString(value) === undefined ? textOf(budget, value) : value;
}

function callMethod(budget: Budget, value: Value, name: string, ...args: readonly Value[]): Value {
  return callValue(budget, attributeOf(budget, value, name)!, args, NO_KWARGS);
}

const byMethod = (name: string, method = name): NamedFilter =>
  filter(name, "", (budget, value) => callMethod(budget, soft(budget, value), method));

function indent(budget: Budget, value: Value, rest: readonly (Value | undefined)[]): Value {
  const [width = 4, first = false, blank = false] = rest;
  if (value instanceof Undefined) value.fail();
  const text = asString(value) ?? typeError(`indent takes text, not ${typeName(value)}`);
  const unit = asString(width) ?? " ".repeat(boundedWidth(budget, width));
  const lines = splitLines(budget, `${text}\n`, false);
  let result = truthy(budget, first) ? unit : "";
  lines.forEach((line, i) => {
    const indented = i > 0 && (truthy(budget, blank) || line !== "");
    budget.text(line.length + 1 + (indented ? unit.length : 0));
    result += (i > 0 ? "\n" : "") + (indented ? unit : "") + line;
  });
  return value instanceof PyMarkup ? new PyMarkup(result) : result;
}

function boundedWidth(budget: Budget, value: Value): number {
  const width = Math.max(0, integerArgument(value));
  budget.text(width);
  return width;
}

function truncate(budget: Budget, value: Value, rest: readonly (Value | undefined)[]): Value {
  const [length = 255, killwords = false, end = "...", leewayValue = null] = rest;
  const leeway = leewayValue === null ? 5 : leewayValue;
  const lengthAs = (of: Value): number =>
    lengthOf(budget, of) ?? typeError(`object of type '${typeName(of)}' has no len()`);
  const isBelow = (a: Value, b: Value): boolean => compareValues(budget, a, b, ">=") < 0;
  if (isBelow(length, lengthAs(end)) || isBelow(leeway, 0)) {
    throw new PythonError("RuntimeError", "expected length >= len(end) and leeway >= 0");
  }
  if (!isBelow(binary(budget, "+", length, leeway), lengthAs(value))) return value;
  const stop = binary(budget, "-", length, lengthAs(end));
  const cut = getSlice(budget, value, null, stop, null);
  if (truthy(budget, killwords)) return binary(budget, "+", cut, end);
  if (asString(cut) === undefined) typeError(`'${typeName(cut)}' object has no attribute 'rsplit'`);
  const words = callMethod(budget, cut, "rsplit", " ", 1);
  return binary(budget, "+", getItem(budget, words, 0), end);
}

const WORD = /[\p{L}\p{N}_]+/gu;
const TITLE_SPLIT = new RegExp(`[-${SPACE}({\\[<]+`, "g");

function title(budget: Budget, value: Value): Value {
  const text = textOf(budget, value);
  budget.step(text.length / 2);
  const words: string[] = [];
  let at = 0;
  for (const match of text.matchAll(TITLE_SPLIT)) {
    words.push(text.slice(at, match.index), match[0]);
    at = match.index + match[0].length;
  }
  words.push(text.slice(at));
  return words.map((word) => {
    const first = word === "" ? "" : String.fromCodePoint(word.codePointAt(0)!);
    return first.toUpperCase() + word.slice(first.length).toLowerCase();
  }).join("");
}

const UNRESERVED = /[^A-Za-z0-9_.~/-]/;

function quoteUrl(budget: Budget, value: Value, forQuery: boolean): string {
  const text = textOf(budget, value);
  budget.step(text.length * 2);
  if (!text.isWellFormed()) throw new PythonError("ValueError", "surrogates not allowed");
  let result = "";
  for (const character of text) {
    const keep = !UNRESERVED.test(character) && !(forQuery && character === "/");
    result += keep ? character : forQuery && character === " " ? "+" : percent(character);
  }
  return result;
}

const encoder = new TextEncoder();

function percent(character: string): string {
  return Array.from(
    encoder.encode(character),
    (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
  ).join("");
}

function urlEncode(budget: Budget, value: Value): Value {
  const isIterable = value instanceof PyObject && value.iterate(budget) !== undefined;
  if (asString(value) !== undefined || !isIterable) return quoteUrl(budget, value, false);
  const pairs = value instanceof PyDict
    ? Array.from(value.entries(), ({ key, value: item }) => [key, item])
    : toArray(budget, value).map((pair) => toArray(budget, pair));
  return pairs.map((pair) => {
    if (pair.length !== 2) throw new PythonError("ValueError", "expected pairs");
    return `${quoteUrl(budget, pair[0], true)}=${quoteUrl(budget, pair[1], true)}`;
  }).join("&");
}

/** The filters. */
export const TEXT_FILTERS: readonly NamedFilter[] = [
  byMethod("upper"),
  byMethod("lower"),
  byMethod("capitalize"),
  filter("title", "", title),
  filter(
    "trim",
    "chars?",
    (budget, value, [chars = null]) => callMethod(budget, soft(budget, value), "strip", chars),
  ),
  filter(
    "center",
    "width?",
    (budget, value, [width = 80]) => callMethod(budget, soft(budget, value), "center", width),
  ),
  filter("string", "", soft),
  filter("replace", "old, new, count?", (budget, value, [old, by, count = null]) =>
    replace(
      budget,
      textOf(budget, value),
      textOf(budget, old!),
      textOf(budget, by!),
      count === null ? -1 : integerArgument(count),
    )),
  filter("indent", "width?, first?, blank?", indent),
  filter("truncate", "length?, killwords?, end?, leeway?", truncate),
  filter("wordcount", "", (budget, value) => {
    const text = textOf(budget, value);
    budget.text(text.length);
    budget.step(text.length / 2);
    return text.match(WORD)?.length ?? 0;
  }),
  filter("urlencode", "", urlEncode),
  filter(
    "safe",
    "",
    (budget, value) => value instanceof PyMarkup ? value : new PyMarkup(textOf(budget, value)),
  ),
  filter("escape", "", escapeMarkup),
  filter("e", "", escapeMarkup),
  filter("forceescape", "", (budget, value) => escapeMarkup(budget, textOf(budget, value))),
  ["format", (budget, [value, ...args], kwargs) => {
    if (args.length > 0 && kwargs.size > 0) {
      throw new PythonError(
        "FilterArgumentError",
        "can't handle positional and keyword arguments at the same time",
      );
    }
    const dict = new PyDict();
    for (const [key, item] of kwargs) dict.set(budget, key, item);
    return formatPercent(budget, soft(budget, value), kwargs.size > 0 ? dict : new PyTuple(args));
  }],
  filter(
    "tojson",
    "ensure_ascii?, indent?, separators?, sort_keys?",
    (budget, value, [ascii = false, indentValue = null, separators = null, sort = false]) =>
      jsonText(
        budget,
        value,
        jsonFormat({
          ensureAscii: truthy(budget, ascii),
          indent: indentValue,
          separators,
          sortKeys: truthy(budget, sort),
          budget,
        }),
      ),
  ),
];
