/** `format(value, spec)`: the part after the colon in `str.format`. */

import type { Budget } from "./budget.ts";
import { pointLength } from "./code_points.ts";
import { PythonError, typeError, valueError } from "./errors.ts";
import { floatText, PyFloat } from "./float.ts";
import { alternateForm, formatMagnitude } from "./format_float.ts";
import { asFloat, asInteger } from "./numbers.ts";
import { textOf } from "./repr.ts";
import { pad } from "./string_pad.ts";
import { asString, typeName, type Value } from "./value.ts";

const SPEC =
  /^(?:([^])?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([bcdeEfFgGnosxX%])?$/u;

interface Spec {
  readonly fill: string;
  readonly align: string | undefined;
  readonly sign: string;
  /** Whether what is rounded to zero has no minus. */
  readonly coerces: boolean;
  readonly alternate: boolean;
  readonly width: number;
  readonly grouping: string;
  readonly precision: number | undefined;
  readonly type: string;
}

/** The value's text in the format. */
export function formatValue(budget: Budget, value: Value, spec: string): string {
  if (spec === "") return textOf(budget, value);
  const text = asString(value);
  const integer = asInteger(value);
  if (text === undefined && integer === undefined && !(value instanceof PyFloat)) {
    typeError(`unsupported format string passed to ${typeName(value)}.__format__`);
  }
  const parsed = parse(spec, text === undefined);
  budget.text(parsed.width + (parsed.precision ?? 0));
  if (text !== undefined) return formatText(budget, text, parsed);
  if (integer !== undefined && !"eEfFgG%".includes(parsed.type || " ")) {
    return formatInteger(budget, integer, parsed);
  }
  return formatFloat(budget, asFloat(value)!, parsed);
}

function parse(spec: string, numeric: boolean): Spec {
  const match = SPEC.exec(spec) ?? valueError("Invalid format specifier");
  const [, fill, align, sign = "", coerce, hash, zero, width, grouping = "", precision, type = ""] =
    match;
  const zeros = zero !== undefined;
  return {
    fill: fill ?? (zeros ? "0" : " "),
    align: align ?? (zeros && numeric ? "=" : undefined),
    sign,
    coerces: coerce !== undefined,
    alternate: hash !== undefined,
    width: Number(width ?? 0),
    grouping,
    precision: precision === undefined ? undefined : Number(precision),
    type,
  };
}

function formatText(budget: Budget, text: string, spec: Spec): string {
  if (spec.type !== "" && spec.type !== "s") {
    valueError(`Unknown format code '${spec.type}' for object of type 'str'`);
  }
  if (spec.sign !== "" || spec.alternate || spec.align === "=") {
    valueError("Sign, alternate form and '=' not allowed in string format specifier");
  }
  if (spec.coerces) valueError("Negative zero coercion (z) not allowed in string format specifier");
  if (spec.grouping !== "") valueError(`Cannot specify '${spec.grouping}' with 's'.`);
  const { precision } = spec;
  const shown = precision === undefined || pointLength(text) <= precision
    ? text
    : Array.from(text).slice(0, precision).join("");
  return aligned(budget, shown, spec, "<");
}

function aligned(budget: Budget, text: string, spec: Spec, fallback: string): string {
  const align = spec.align ?? fallback;
  if (align !== "^") {
    return pad(budget, text, spec.width, spec.fill, align === "<" ? "right" : "left");
  }
  const missing = Math.max(0, spec.width - pointLength(text));
  budget.text(missing);
  const left = Math.floor(missing / 2);
  return spec.fill.repeat(left) + text + spec.fill.repeat(missing - left);
}

/** Sign, prefix, the digits before the point and what follows them: with separators, zeros or blanks. */
function numeric(
  budget: Budget,
  negative: boolean,
  prefix: string,
  [integer, rest]: readonly [string, string],
  spec: Spec,
  group = 3,
): string {
  const sign = negative ? "-" : spec.sign === "-" ? "" : spec.sign;
  const head = sign + prefix;
  let body = spec.grouping === "" ? integer : grouped(integer, spec.grouping, group);
  if (spec.align !== "=") return aligned(budget, head + body + rest, spec, ">");
  const room = spec.width - head.length - rest.length;
  if (spec.fill === "0" && spec.grouping !== "" && integer !== "") {
    // Zeros are grouped too, and no separator comes first: n digits take n + (n - 1) / group.
    const size = Math.max(integer.length, Math.ceil((room * group + 1) / (group + 1)));
    body = grouped(integer.padStart(size, "0"), spec.grouping, group);
    return head + body + rest;
  }
  return head + pad(budget, body, room, spec.fill, "left") + rest;
}

function grouped(digits: string, separator: string, size: number): string {
  const first = digits.length % size || size;
  let result = digits.slice(0, first);
  for (let at = first; at < digits.length; at += size) {
    result += separator + digits.slice(at, at + size);
  }
  return result;
}

const BASES: Readonly<Record<string, number>> = { b: 2, o: 8, x: 16, X: 16 };

function formatInteger(budget: Budget, value: number | bigint, spec: Spec): string {
  const { type } = spec;
  if (spec.coerces) {
    valueError("Negative zero coercion (z) not allowed in integer format specifier");
  }
  if (spec.precision !== undefined) valueError("Precision not allowed in integer format specifier");
  if (type === "s") valueError("Unknown format code 's' for object of type 'int'");
  if (type === "c") {
    if (spec.sign !== "" || spec.alternate || spec.grouping !== "") {
      valueError("Sign, alternate form and grouping not allowed with 'c'");
    }
    if (value < 0 || value > 0x10ffff) {
      throw new PythonError("OverflowError", "%c arg not in range");
    }
    return aligned(budget, String.fromCodePoint(Number(value)), spec, ">");
  }
  const base = BASES[type] ?? 10;
  if (base !== 10 && spec.grouping === ",") valueError(`Cannot specify ',' with '${type}'.`);
  if (type === "n" && spec.grouping !== "") {
    valueError(`Cannot specify '${spec.grouping}' with 'n'.`);
  }
  const negative = value < 0;
  const digits = base === 10
    ? textOf(budget, value).replace("-", "")
    : (negative ? -value : value).toString(base);
  const prefix = spec.alternate && base !== 10 ? `0${type}` : "";
  const shown = type === "X" ? digits.toUpperCase() : digits;
  return numeric(budget, negative, prefix, [shown, ""], spec, base === 10 ? 3 : 4);
}

function formatFloat(budget: Budget, value: number, spec: Spec): string {
  const { type, precision, alternate } = spec;
  if (type !== "" && !"eEfFgGn%".includes(type)) {
    valueError(`Unknown format code '${type}' for object of type 'float'`);
  }
  if (type === "n" && spec.grouping !== "") {
    valueError(`Cannot specify '${spec.grouping}' with 'n'.`);
  }
  let text: string;
  if (type === "" && precision === undefined) {
    text = floatText(Math.abs(value));
    if (alternate) text = alternateForm(text);
  } else {
    text = formatMagnitude(budget, type === "%" ? value * 100 : value, {
      type: type === "%" ? "f" : type === "" || type === "n" ? "g" : type,
      precision: precision ?? 6,
      alternate,
      addPointZero: type === "",
    });
    if (type === "%") text += "%";
  }
  // Of the digits that are shown; of infinities and NaN there are none.
  const isZero = parseFloat(text) === 0;
  const negative = value < 0 || Object.is(value, -0);
  const [integer] = /^\d*/.exec(text)!;
  const parts = [integer, text.slice(integer.length)] as const;
  return numeric(budget, negative && !(spec.coerces && isZero), "", parts, spec);
}
