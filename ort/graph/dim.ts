/**
 * Dimensions of a graph's tensors: numbers, or products of symbols known only when the graph runs
 * (`rows`, `length`, `2*length*rows`).
 *
 * In: dimensions. Out: one normal form, so that equal ones are equal strings, and numbers once the
 * symbols have values.
 *
 * @module
 */

/** A size: a number, or a product of symbols such as `length*rows`. */
export type Dim = number | string;
/** Sizes of a tensor, outermost first. */
export type Shape = readonly Dim[];
/** What the symbols stand for in one run. */
export type Symbols = Readonly<Record<string, number>>;

function factors(dim: Dim): { number: number; symbols: string[] } {
  if (typeof dim === "number") return { number: dim, symbols: [] };
  let number = 1;
  const symbols: string[] = [];
  for (const factor of dim.split("*")) {
    if (/^\d+$/.test(factor)) number *= Number(factor);
    else symbols.push(factor);
  }
  return { number, symbols };
}

/**
 * The product of dimensions in normal form: the number first, then the symbols sorted.
 *
 * @example
 * ```ts
 * import { product } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * assert.equal(product("rows", 2, "length", 3), "6*length*rows");
 * assert.equal(product(2, 3), 6);
 * ```
 */
export function product(...dims: readonly Dim[]): Dim {
  const parts = dims.map(factors);
  const number = parts.reduce((result, part) => result * part.number, 1);
  const symbols = parts.flatMap((part) => part.symbols).sort();
  if (number === 0 || symbols.length === 0) return number;
  return (number === 1 ? symbols : [number, ...symbols]).join("*");
}

/**
 * The number a dimension stands for.
 *
 * @example
 * ```ts
 * import { evaluateDim } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * assert.equal(evaluateDim("6*length*rows", { rows: 2, length: 5 }), 60);
 * ```
 *
 * @throws {ReferenceError} on a symbol without a value
 */
export function evaluateDim(dim: Dim, symbols: Symbols): number {
  const parts = factors(dim);
  return parts.symbols.reduce((result, symbol) => {
    const value = symbols[symbol];
    if (value === undefined) {
      throw new ReferenceError(`Cannot evaluate dimension ${dim}: no value for "${symbol}"`);
    }
    return result * value;
  }, parts.number);
}

/**
 * The numbers a shape stands for.
 *
 * @example
 * ```ts
 * import { evaluateShape } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(evaluateShape(["rows", "length", 16], { rows: 2, length: 5 }), [2, 5, 16]);
 * ```
 */
export function evaluateShape(shape: Shape, symbols: Symbols): number[] {
  return shape.map((dim) => evaluateDim(dim, symbols));
}

/**
 * Whether two shapes are the same for every value of their symbols.
 *
 * @example
 * ```ts
 * import { sameShape } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * assert.ok(sameShape(["tokens", 16], ["tokens", 16]));
 * assert.ok(!sameShape(["tokens", 16], [16, "tokens"]));
 * ```
 */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/**
 * NumPy's broadcasting of two shapes.
 *
 * @example
 * ```ts
 * import { broadcast } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(broadcast(["rows", 1, "length"], [8, "length"]), ["rows", 8, "length"]);
 * ```
 */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const left = a[i - (rank - a.length)] ?? 1;
    const right = b[i - (rank - b.length)] ?? 1;
    if (left === right || right === 1) return left;
    if (left === 1) return right;
    throw new RangeError(`Cannot broadcast shapes [${a}] and [${b}]: ${left} against ${right}`);
  });
}
