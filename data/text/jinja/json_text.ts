/**
 * The filter `tojson` of transformers: `json.dumps` with `ensure_ascii` off.
 *
 * @huggingface/jinja 0.5.11 writes JSON as JavaScript does: no blanks after `,` and `:`, floats
 * such as 1.0 as 1, keys in another order, and no `separators` or `sort_keys`.
 */

import { formatFloat } from "../../../internal/json/python_json.ts";
import type { Budget } from "./budget.ts";
import { compareValues } from "./compare.ts";
import { PyDict } from "./dict.ts";
import { typeError, valueError } from "./errors.ts";
import { PyFloat } from "./float.ts";
import { textOf } from "./repr.ts";
import { PySequence } from "./sequence.ts";
import { asString, PyObject, typeName, type Value } from "./value.ts";

/** How JSON is written. */
export interface JsonFormat {
  readonly ensureAscii: boolean;
  /** One level's indent; undefined for all in one line. */
  readonly indent: string | undefined;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sortKeys: boolean;
}

const NAMED: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\f": "\\f",
  "\b": "\\b",
};
// deno-lint-ignore no-control-regex
const ESCAPED = /["\\\x00-\x1f]/g;
// deno-lint-ignore no-control-regex
const ESCAPED_ASCII = /["\\\x00-\x1f]|[^\x20-\x7e]/g;

/** The value as JSON. */
export function jsonText(budget: Budget, value: Value, format: JsonFormat): string {
  return new Writer(budget, format).write(value, "\n");
}

class Writer {
  readonly budget: Budget;
  readonly format: JsonFormat;

  constructor(budget: Budget, format: JsonFormat) {
    this.budget = budget;
    this.format = format;
  }

  write(value: Value, newline: string): string {
    this.budget.step(3);
    const text = asString(value);
    if (text !== undefined) return this.#string(text);
    if (value instanceof PySequence) {
      return this.#group("[", "]", newline, value.items, (item, inner) => this.write(item, inner));
    }
    if (value instanceof PyDict) {
      const { keySeparator } = this.format;
      return this.#group(
        "{",
        "}",
        newline,
        this.#entries(value),
        ({ key, value: item }, inner) =>
          this.#string(keyText(this.budget, key)) + keySeparator + this.write(item, inner),
      );
    }
    return scalar(this.budget, value) ??
      typeError(`Object of type ${typeName(value)} is not JSON serializable`);
  }

  #entries(dict: PyDict): readonly { readonly key: Value; readonly value: Value }[] {
    const entries = Array.from(dict.entries());
    if (!this.format.sortKeys) return entries;
    return entries.sort((a, b) => compareValues(this.budget, a.key, b.key, "<"));
  }

  #group<T>(
    open: string,
    close: string,
    newline: string,
    items: readonly T[],
    write: (item: T, newline: string) => string,
  ): string {
    if (items.length === 0) return open + close;
    const { indent, itemSeparator } = this.format;
    const inner = newline + (indent ?? "");
    this.budget.enter();
    let result = open;
    for (let i = 0; i < items.length; i++) {
      const head = (i === 0 ? "" : itemSeparator) + (indent === undefined ? "" : inner);
      this.budget.text(head.length);
      result += head;
      result += write(items[i], inner);
    }
    this.budget.leave();
    return result + (indent === undefined ? close : newline + close);
  }

  #string(text: string): string {
    this.budget.text(text.length + 2);
    return `"${
      text.replace(this.format.ensureAscii ? ESCAPED_ASCII : ESCAPED, (unit) => {
        this.budget.text(6);
        this.budget.step(0.5);
        return NAMED[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
      })
    }"`;
  }
}

function scalar(budget: Budget, value: Value): string | undefined {
  if (value === null) return "null";
  if (typeof value === "boolean") return value ? "true" : "false";
  if (value instanceof PyFloat) return formatFloat(value.value);
  return value instanceof PyObject ? undefined : textOf(budget, value);
}

function keyText(budget: Budget, key: Value): string {
  return asString(key) ?? scalar(budget, key) ??
    typeError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

/** The format that the filter's arguments ask for. */
export function jsonFormat(options: {
  readonly ensureAscii: boolean;
  readonly indent: Value;
  readonly separators: Value;
  readonly sortKeys: boolean;
  readonly budget: Budget;
}): JsonFormat {
  const { ensureAscii, separators, sortKeys, budget } = options;
  const indent = indentText(budget, options.indent);
  let itemSeparator = indent === undefined ? ", " : ",";
  let keySeparator = ": ";
  if (separators !== null) {
    const parts = separators instanceof PySequence ? separators.items.map(asString) : [];
    const [item, key] = parts;
    if (parts.length !== 2 || item === undefined || key === undefined) {
      valueError("separators must be two texts");
    }
    itemSeparator = item;
    keySeparator = key;
  }
  return { ensureAscii, indent, itemSeparator, keySeparator, sortKeys };
}

function indentText(budget: Budget, value: Value): string | undefined {
  if (value === null) return undefined;
  const text = asString(value);
  if (text !== undefined) return text;
  if (typeof value === "object") return typeError("indent must be an integer or a text");
  const width = Math.max(0, Number(value));
  budget.text(width);
  return " ".repeat(width);
}
