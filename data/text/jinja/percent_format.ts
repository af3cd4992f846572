/** `text % values`: Python's printf-style formatting. */

import type { Budget } from "./budget.ts";
import { pointLength } from "./code_points.ts";
import { PythonError, typeError, valueError } from "./errors.ts";
import { PyFloat } from "./float.ts";
import { formatMagnitude } from "./format_float.ts";
import { escapeMarkup, PyMarkup } from "./markup.ts";
import { asFloat, asInteger, integerOf } from "./numbers.ts";
import { escapePoint, reprOf, textOf } from "./repr.ts";
import { PyTuple } from "./sequence.ts";
import { pad } from "./string_pad.ts";
import { asString, PyObject, typeName, type Value } from "./value.ts";

const NOT_ASCII = /\P{ASCII}/gu;
const SPEC = /%(?:\(|([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?[hlL]?([^]?))/gu;

/** One conversion. */
interface Spec {
  readonly flags: string;
  readonly width: number;
  readonly precision: number | undefined;
  readonly type: string;
}

/** The next values to print. */
class Values {
  #items: readonly Value[];
  #at = 0;
  readonly mapping: PyObject | undefined;

  constructor(values: Value) {
    this.#items = values instanceof PyTuple ? values.items : [values];
    this.mapping = values instanceof PyObject && values.subscriptable &&
        !(values instanceof PyTuple) && !(values instanceof PyMarkup)
      ? values
      : undefined;
  }
  next(): Value {
    if (this.#at >= this.#items.length) typeError("not enough arguments for format string");
    return this.#items[this.#at++];
  }
  look(budget: Budget, key: string): void {
    if (this.mapping === undefined) return typeError("format requires a mapping");
    this.#items = [this.mapping.getItem(budget, key)];
    this.#at = 0;
  }
  finish(): void {
    if (this.#at < this.#items.length && this.mapping === undefined) {
      typeError("not all arguments converted during string formatting");
    }
  }
}

/** `template % values`; Markup escapes the values. */
export function formatPercent(budget: Budget, template: Value, values: Value): Value {
  const text = asString(template)!;
  const isMarkup = template instanceof PyMarkup;
  budget.text(text.length);
  const source = new Values(values);
  let result = "";
  let at = 0;
  for (;;) {
    const found = text.indexOf("%", at);
    if (found === -1) break;
    budget.step();
    result += text.slice(at, found);
    SPEC.lastIndex = found;
    let match = SPEC.exec(text)!;
    const isPlain = match[0] === "%%";
    if (match[0] === "%(") {
      const end = closing(text, SPEC.lastIndex);
      source.look(budget, text.slice(SPEC.lastIndex, end));
      // The rest of the conversion follows the key.
      const rest = /([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?[hlL]?([^]?)/yu;
      rest.lastIndex = end + 1;
      match = rest.exec(text)!;
      at = rest.lastIndex;
    } else at = SPEC.lastIndex;
    const [, flags, width, precision, type] = match;
    if (type === "") valueError("incomplete format");
    if (isPlain) {
      result += "%";
      continue;
    }
    const spec = readSpec(flags, width, precision, type, source);
    budget.text(spec.width + (spec.precision ?? 0));
    const piece = convert(budget, source.next(), spec, isMarkup);
    budget.text(piece.length);
    result += piece;
  }
  source.finish();
  result += text.slice(at);
  return isMarkup ? new PyMarkup(result) : result;
}

/** Offset of the bracket that closes a key; keys may hold pairs of them. */
function closing(text: string, start: number): number {
  let depth = 1;
  for (let i = start; i < text.length; i++) {
    if (text[i] === "(") depth++;
    else if (text[i] === ")" && --depth === 0) return i;
  }
  return valueError("incomplete format key");
}

function readSpec(
  flagText: string,
  width: string | undefined,
  precision: string | undefined,
  type: string,
  source: Values,
): Spec {
  const star = (): number => {
    const value = asInteger(source.next()) ?? typeError("* wants int");
    return Number(value);
  };
  let flags = flagText;
  let columns = width === "*" ? star() : Number(width ?? 0);
  if (columns < 0) {
    flags += "-";
    columns = -columns;
  }
  const digits = precision === "*" ? Math.max(0, star()) : Number(precision ?? 0);
  return { flags, width: columns, precision: precision === undefined ? undefined : digits, type };
}

function convert(budget: Budget, value: Value, spec: Spec, isMarkup: boolean): string {
  const { type, precision } = spec;
  const escaped = (text: string): string => isMarkup ? escapeMarkup(budget, text).value : text;
  switch (type) {
    case "s":
      return padText(
        budget,
        isMarkup ? escapeMarkup(budget, value).value : textOf(budget, value),
        spec,
      );
    case "r":
      return padText(budget, escaped(reprOf(budget, value)), spec);
    case "a":
      return padText(budget, asciiText(budget, escaped(reprOf(budget, value))), spec);
    case "c":
      return padText(budget, characterOf(value), { ...spec, precision: undefined });
    case "d":
    case "i":
    case "u":
      return integer(budget, wholeNumber(value, type), spec, 10, "");
    case "o":
      return integer(budget, exactInteger(value, type), spec, 8, "0o");
    case "x":
    case "X":
      return integer(budget, exactInteger(value, type), spec, 16, `0${type}`);
    case "e":
    case "E":
    case "f":
    case "F":
    case "g":
    case "G": {
      const number = asFloat(value) ??
        typeError(`must be real number, not ${typeName(value)}`);
      const text = formatMagnitude(budget, number, {
        type,
        precision: precision ?? 6,
        alternate: spec.flags.includes("#"),
      });
      return signed(budget, isNegative(number), "", text, spec);
    }
    default:
      return valueError(`unsupported format character '${type}'`);
  }
}

function isNegative(value: number): boolean {
  return value < 0 || Object.is(value, -0);
}

function padText(budget: Budget, text: string, { flags, width, precision }: Spec): string {
  const shown = precision === undefined || pointLength(text) <= precision
    ? text
    : Array.from(text).slice(0, precision).join("");
  return pad(budget, shown, width, " ", flags.includes("-") ? "right" : "left");
}

/** `ascii(value)`, from its repr. */
export function asciiText(budget: Budget, text: string): string {
  return text.replace(NOT_ASCII, (character) => {
    budget.text(10);
    budget.step(0.5);
    return escapePoint(character.codePointAt(0)!);
  });
}

function characterOf(value: Value): string {
  const text = asString(value);
  if (text !== undefined && pointLength(text) === 1) return text;
  const code = asInteger(value) ?? typeError("%c requires int or char");
  if (code < 0 || code > 0x10ffff) throw new PythonError("OverflowError", "%c arg not in range");
  return String.fromCodePoint(Number(code));
}

function exactInteger(value: Value, type: string): number | bigint {
  return asInteger(value) ?? typeError(`%${type} format: an integer is required`);
}

function wholeNumber(value: Value, type: string): number | bigint {
  if (value instanceof PyFloat) {
    if (!Number.isFinite(value.value)) {
      throw new PythonError(
        Number.isNaN(value.value) ? "ValueError" : "OverflowError",
        "cannot convert float to integer",
      );
    }
    return integerOf(Math.trunc(value.value));
  }
  return asInteger(value) ?? typeError(`%${type} format: a real number is required`);
}

function integer(
  budget: Budget,
  value: number | bigint,
  spec: Spec,
  base: number,
  prefix: string,
): string {
  const negative = value < 0;
  let digits = base === 10
    ? textOf(budget, value).replace("-", "")
    : (negative ? -value : value).toString(base);
  const { precision = 0 } = spec;
  budget.text(precision);
  digits = digits.padStart(precision, "0");
  const shown = spec.flags.includes("#") ? prefix : "";
  return signed(budget, negative, shown, spec.type === "X" ? digits.toUpperCase() : digits, spec);
}

/** Sign, prefix and digits in their width. */
function signed(
  budget: Budget,
  negative: boolean,
  prefix: string,
  digits: string,
  { flags, width }: Spec,
): string {
  const sign = negative ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  const head = sign + prefix;
  const left = flags.includes("-");
  if (flags.includes("0") && !left) {
    return head + pad(budget, digits, width - head.length, "0", "left");
  }
  return pad(budget, head + digits, width, " ", left ? "right" : "left");
}
