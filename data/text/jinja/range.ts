/** Python's range. */

import { parameters } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { equals } from "./compare.ts";
import { PythonError, typeError, valueError } from "./errors.ts";
import { boundMethod, type Method, type Methods } from "./method.ts";
import { sliceIndices, toIndex } from "./slice_indices.ts";
import { type HashKey, type PyIterator, PyObject, type Value } from "./value.ts";

/** The sandbox refuses longer ranges. */
const MAX_RANGE = 100_000;

/** Numbers from a start to a stop, which is not among them. */
export class PyRange extends PyObject {
  override readonly type = "range";
  readonly #length: number;
  readonly start: number;
  readonly stop: number;
  readonly step: number;

  /** Takes what `range` takes. */
  constructor(start: number, stop: number, step: number) {
    super();
    this.start = start;
    this.stop = stop;
    this.step = step;
    this.#length = Math.max(0, Math.ceil((stop - start) / step));
  }
  /** Its number at an index. */
  at(index: number): number {
    return this.start + index * this.step;
  }
  override length(): number {
    return this.#length;
  }
  override iterate(budget: Budget): PyIterator {
    return this.#from(budget, 0, 1);
  }
  override iterateBack(budget: Budget): PyIterator {
    return this.#from(budget, this.#length - 1, -1);
  }
  #from(budget: Budget, first: number, by: number): PyIterator {
    let index = first;
    return {
      next: (): Value | undefined => {
        if (index < 0 || index >= this.#length) return undefined;
        budget.step();
        const value = this.at(index);
        index += by;
        return value;
      },
    };
  }
  override get subscriptable(): boolean {
    return true;
  }
  override getItem(_budget: Budget, key: Value): Value {
    const index = toIndex(key, "range indices must be integers or slices");
    const at = index < 0 ? index + this.#length : index;
    if (at < 0 || at >= this.#length) {
      throw new PythonError("IndexError", "range object index out of range");
    }
    return this.at(at);
  }
  override getSlice(_budget: Budget, startAt: Value, stopAt: Value, stepBy: Value): Value {
    const { start, stop, step } = sliceIndices(this.#length, startAt, stopAt, stepBy);
    return new PyRange(this.at(start), this.at(stop), this.step * step);
  }
  override repr(): string {
    const step = this.step === 1 ? "" : `, ${this.step}`;
    return `range(${this.start}, ${this.stop}${step})`;
  }
  override equals(_budget: Budget, other: Value): boolean {
    if (!(other instanceof PyRange) || other.#length !== this.#length) return false;
    if (this.#length === 0) return true;
    return this.start === other.start && (this.#length === 1 || this.step === other.step);
  }
  override hashKey(): HashKey {
    // As ranges are equal: by their length, then by what tells more of their numbers.
    const known = [this.#length, this.start, this.step].slice(0, Math.min(this.#length, 2) + 1);
    return `\ud800range(${known.join(",")})`;
  }
  override attribute(_budget: Budget, name: string): Value | undefined {
    if (name === "start") return this.start;
    if (name === "stop") return this.stop;
    return name === "step" ? this.step : boundMethod(this, name, METHODS);
  }
}

const bindValue = parameters("index", "value, /");

/** Index of a value, or -1. */
function indexIn(budget: Budget, range: PyRange, value: Value): number {
  const iterator = range.iterate(budget);
  let index = 0;
  for (let item = iterator.next(); item !== undefined; item = iterator.next(), index++) {
    if (equals(budget, item, value)) return index;
  }
  return -1;
}

const METHODS: Methods<PyRange> = new Map<string, Method<PyRange>>([
  ["count", (budget, range, args, kwargs) => {
    const [value] = bindValue(args, kwargs);
    return Number(indexIn(budget, range, value!) !== -1);
  }],
  ["index", (budget, range, args, kwargs) => {
    const [value] = bindValue(args, kwargs);
    const index = indexIn(budget, range, value!);
    return index === -1 ? valueError("the value is not in range") : index;
  }],
]);

/** `range(stop)`, `range(start, stop)`, `range(start, stop, step)`. */
export function makeRange(args: readonly Value[]): PyRange {
  if (args.length < 1 || args.length > 3) typeError("range expected 1 to 3 arguments");
  const numbers = args.map((value) => toIndex(value, "range() needs integers"));
  const [start, stop] = numbers.length === 1 ? [0, numbers[0]] : numbers;
  const step = numbers[2] ?? 1;
  if (step === 0) valueError("range() arg 3 must not be zero");
  const range = new PyRange(start, stop, step);
  if (range.length() > MAX_RANGE) {
    throw new PythonError(
      "OverflowError",
      `Range too big. The sandbox blocks ranges larger than MAX_RANGE (${MAX_RANGE}).`,
    );
  }
  return range;
}
