/**
 * Examples by their index, wherever they lie.
 *
 * In: an array of examples. Out: an ExampleList, which training reads from; the other kind is
 * prepareExamples', whose tokens may lie in a file.
 *
 * @module
 */

import type { Example } from "./example.ts";
import { noExample } from "./no_example.ts";

/** Examples that are read one at a time; how long they are is known at once. */
export interface ExampleList {
  /** How many examples there are. */
  readonly length: number;
  /** Tokens of each example, `[n]`. */
  readonly lengths: Int32Array;
  /** Supervised tokens of each example, `[n]`. */
  readonly supervised: Int32Array;
  /**
   * One example.
   * @throws {RangeError} if there is none at this index.
   */
  at(index: number): Example;
}

/**
 * An array of examples as a list; a list stays as it is.
 *
 * @example
 * ```ts
 * import { joinExample, toExampleList } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const ids = Int32Array.of(1, 2, 3);
 * const example = joinExample(ids, ids, { maxLength: 5, terminated: true });
 * const list = toExampleList([example]);
 * assert.deepEqual([...list.lengths, ...list.supervised], [5, 2]);
 * assert.equal(list.at(0), example);
 * assert.equal(toExampleList(list), list);
 * ```
 */
export function toExampleList(examples: readonly Example[] | ExampleList): ExampleList {
  if (!isArray(examples)) return examples;
  return {
    length: examples.length,
    lengths: Int32Array.from(examples, ({ inputIds }) => inputIds.length),
    supervised: Int32Array.from(examples, ({ supervised }) => supervised),
    at(index: number): Example {
      if (!(index in examples)) throw noExample(index, examples.length);
      return examples[index];
    },
  };
}

/** `Array.isArray` does not narrow readonly arrays. */
function isArray(examples: readonly Example[] | ExampleList): examples is readonly Example[] {
  return Array.isArray(examples);
}
