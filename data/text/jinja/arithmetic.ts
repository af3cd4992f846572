/**
 * Python's operators: int of any size, float apart from it, sequences and text.
 *
 * @huggingface/jinja 0.5.11 has JavaScript's: `7 / 2 * 2`, `-7 // 2`, `-7 % 3`, `True + 1`,
 * `2 ** 64`, `'a' * 3`, `[1] * 2` and `'%s' % x` differ or are missing.
 */

import type { Budget } from "./budget.ts";
import { PythonError, typeError, UnsupportedError } from "./errors.ts";
import { PyFloat } from "./float.ts";
import { bitLength } from "./integer_bits.ts";
import { addMarkup, PyMarkup } from "./markup.ts";
import { asFloat, asInteger, toInteger } from "./numbers.ts";
import { formatPercent } from "./percent_format.ts";
import { PyList, PySequence, PyTuple } from "./sequence.ts";
import { Undefined } from "./undefined.ts";
import { asString, typeName, type Value } from "./value.ts";

/** The operators, as Python writes them. */
export type ArithmeticOperator = "+" | "-" | "*" | "/" | "//" | "%" | "**";

/** `a operator b`. */
export function binary(budget: Budget, operator: ArithmeticOperator, a: Value, b: Value): Value {
  const [x, y] = [asInteger(a), asInteger(b)];
  if (x !== undefined && y !== undefined) return integers(budget, operator, x, y);
  if (a instanceof Undefined) return a.fail();
  // `'%s' % undefined` prints nothing, as a text takes any operand there.
  const text = asString(a);
  if (operator === "%" && text !== undefined) return formatPercent(budget, a, b);
  if (b instanceof Undefined) return b.fail();
  const [s, t] = [asFloat(a), asFloat(b)];
  if (s !== undefined && t !== undefined) return new PyFloat(floats(operator, s, t));
  if (operator === "+") return add(budget, a, b);
  if (operator === "*") {
    if (y !== undefined) return repeat(budget, a, y);
    if (x !== undefined) return repeat(budget, b, x);
  }
  return unsupported(operator, a, b);
}

function unsupported(operator: ArithmeticOperator, a: Value, b: Value): never {
  return typeError(
    `unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`,
  );
}

/** Joins two texts. V8 joins without copying, so a chain is charged what it adds. */
export function concat(budget: Budget, a: string, b: string): string {
  budget.text(Math.min(a.length, b.length) + 8);
  return a + b;
}

function add(budget: Budget, a: Value, b: Value): Value {
  if (typeof a === "string" && typeof b === "string") return concat(budget, a, b);
  if (a instanceof PyMarkup || b instanceof PyMarkup) {
    const sum = addMarkup(budget, a, b);
    if (sum !== undefined) return sum;
  }
  if (a instanceof PySequence && b instanceof PySequence && a.type === b.type) {
    budget.step(a.items.length + b.items.length);
    return a.like([...a.items, ...b.items]);
  }
  return unsupported("+", a, b);
}

function repeat(budget: Budget, value: Value, times: number | bigint): Value {
  const text = asString(value);
  const count = Math.max(0, Number(times));
  if (text !== undefined) {
    budget.text(text.length * count);
    const repeated = text === "" ? "" : text.repeat(count);
    return value instanceof PyMarkup ? new PyMarkup(repeated) : repeated;
  }
  if (value instanceof PyList || value instanceof PyTuple) {
    budget.step(value.items.length * count);
    if (value.items.length === 0) return value.like([]);
    return value.like(Array.from({ length: count }, () => value.items).flat());
  }
  return unsupported("*", value, times);
}

function integers(
  budget: Budget,
  operator: ArithmeticOperator,
  x: number | bigint,
  y: number | bigint,
): Value {
  if (typeof x === "number" && typeof y === "number") {
    const result = smallIntegers(operator, x, y);
    if (result !== undefined) return result;
  }
  return bigIntegers(budget, operator, BigInt(x), BigInt(y));
}

/** The result where doubles give it exactly. */
function smallIntegers(operator: ArithmeticOperator, x: number, y: number): Value | undefined {
  const whole = (value: number): number | undefined =>
    Number.isSafeInteger(value) ? value + 0 : undefined;
  switch (operator) {
    case "+":
      return whole(x + y);
    case "-":
      return whole(x - y);
    case "*":
      return whole(x * y);
    case "/":
      return new PyFloat(x / nonZero(y, "division by zero"));
    case "%": {
      const rest = x % nonZero(y, "integer division or modulo by zero");
      return (rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest) + 0;
    }
    case "//":
    case "**":
      return undefined;
  }
}

function nonZero<T extends number | bigint>(value: T, message: string): T {
  if (value == 0) throw new PythonError("ZeroDivisionError", message);
  return value;
}

function bigIntegers(budget: Budget, operator: ArithmeticOperator, x: bigint, y: bigint): Value {
  const bits = bitLength(x) + bitLength(y);
  budget.step(1 + (bits >> 6) ** 2 / 64);
  switch (operator) {
    case "+":
      budget.integer(bits / 2);
      return toInteger(x + y);
    case "-":
      budget.integer(bits / 2);
      return toInteger(x - y);
    case "*":
      budget.integer(bits);
      return toInteger(x * y);
    case "/":
      return new PyFloat(divide(x, nonZero(y, "division by zero")));
    case "//":
      return toInteger(floorDivide(x, nonZero(y, "integer division or modulo by zero")));
    case "%":
      return toInteger(x - floorDivide(x, nonZero(y, "integer division or modulo by zero")) * y);
    case "**":
      return power(budget, x, y);
  }
}

function floorDivide(x: bigint, y: bigint): bigint {
  const quotient = x / y;
  return x % y !== 0n && x < 0n !== y < 0n ? quotient - 1n : quotient;
}

/** The quotient rounded once, as Python's: 66 bits of it and a bit for the rest. */
function divide(x: bigint, y: bigint): number {
  const negative = x < 0n !== y < 0n;
  const [a, b] = [x < 0n ? -x : x, y < 0n ? -y : y];
  const shift = Math.max(0, 70 - (bitLength(a) - bitLength(b)));
  const scaled = a << BigInt(shift);
  const quotient = (scaled / b << 1n) | (scaled % b === 0n ? 0n : 1n);
  const result = Number(quotient) / 2 ** (shift + 1);
  if (!Number.isFinite(result)) {
    throw new PythonError("OverflowError", "integer division result too large for a float");
  }
  return negative ? -result : result;
}

function power(budget: Budget, x: bigint, y: bigint): Value {
  if (y < 0n) {
    if (x === 0n) {
      throw new PythonError("ZeroDivisionError", "0.0 cannot be raised to a negative power");
    }
    return new PyFloat(floats("**", asFloat(toInteger(x))!, asFloat(toInteger(y))!));
  }
  if (x !== 0n && x !== 1n && x !== -1n) {
    budget.integer(Number(y) * Math.log2(Math.abs(Number(x))));
    budget.step(1 + (Number(y) * bitLength(x) >> 6) ** 2 / 64);
    return toInteger(x ** y);
  }
  return toInteger(x === -1n && y % 2n === 0n ? 1n : y === 0n ? 1n : x);
}

/** Float operators, with Python's signs of quotient and rest. */
function floats(operator: ArithmeticOperator, x: number, y: number): number {
  switch (operator) {
    case "+":
      return x + y;
    case "-":
      return x - y;
    case "*":
      return x * y;
    case "/":
      return x / nonZero(y, "float division by zero");
    case "%":
      return floatModulo(x, nonZero(y, "float modulo"))[1];
    case "//":
      return floatModulo(x, nonZero(y, "float floor division by zero"))[0];
    case "**":
      return floatPower(x, y);
  }
}

/** `divmod(x, y)` as CPython computes it. */
function floatModulo(x: number, y: number): [number, number] {
  let rest = x % y;
  let quotient = (x - rest) / y;
  if (rest !== 0) {
    if (y < 0 !== rest < 0) {
      rest += y;
      quotient -= 1;
    }
  } else rest = y < 0 ? -0 : 0;
  if (quotient === 0) return [x / y < 0 || Object.is(x / y, -0) ? -0 : 0, rest];
  const floor = Math.floor(quotient);
  return [quotient - floor > 0.5 ? floor + 1 : floor, rest];
}

function floatPower(x: number, y: number): number {
  if (x === 0 && y < 0) {
    throw new PythonError("ZeroDivisionError", "0.0 cannot be raised to a negative power");
  }
  if (x < 0 && Number.isFinite(x) && Number.isFinite(y) && !Number.isInteger(y)) {
    throw new UnsupportedError("a power that is a complex number");
  }
  if (x === 1 || (x === -1 && !Number.isFinite(y) && !Number.isNaN(y))) return 1;
  const result = x ** y;
  if (!Number.isFinite(result) && Number.isFinite(x) && Number.isFinite(y)) {
    throw new PythonError("OverflowError", "(34, 'Numerical result out of range')");
  }
  return result;
}

/** `-value`. */
export function negate(value: Value): Value {
  const integer = asInteger(value);
  if (integer !== undefined) return typeof integer === "number" ? 0 - integer : toInteger(-integer);
  if (value instanceof PyFloat) return new PyFloat(-value.value);
  return value instanceof Undefined
    ? value.fail()
    : typeError(`bad operand type for unary -: '${typeName(value)}'`);
}

/** `+value`. */
export function plus(value: Value): Value {
  const integer = asInteger(value);
  if (integer !== undefined) return integer;
  if (value instanceof PyFloat) return value;
  return value instanceof Undefined
    ? value.fail()
    : typeError(`bad operand type for unary +: '${typeName(value)}'`);
}
