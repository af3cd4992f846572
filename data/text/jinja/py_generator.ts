/** Values that are iterated over once: what generators, `map` and `reversed` give. */

import { boundMethod, type Method, type Methods } from "./method.ts";
import { type PyIterator, PyObject, type Value } from "./value.ts";

/** An iterator as a value. */
export class PyGenerator extends PyObject {
  readonly #iterator: PyIterator;
  override readonly type: string;

  /** Takes what gives the items, and Python's name of the type. */
  constructor(iterator: PyIterator, type: string = "generator") {
    super();
    this.type = type;
    this.#iterator = iterator;
  }
  override iterate(): PyIterator {
    return this.#iterator;
  }
  override attribute(_budget: unknown, name: string): Value | undefined {
    return this.type === "generator" ? boundMethod(this, name, METHODS) : undefined;
  }
}

const METHODS: Methods<PyGenerator> = new Map<string, Method<PyGenerator> | null>([
  ["close", null],
  ["send", null],
  ["throw", null],
]);

/** A generator of a generator function's values. */
export function generate(values: Iterator<Value, void>): PyGenerator {
  return new PyGenerator({
    next(): Value | undefined {
      const { done, value } = values.next();
      return done === true ? undefined : value as Value;
    },
  });
}
