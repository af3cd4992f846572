/**
 * Examples beside what a reference model made of them.
 *
 * In: examples, and a sum of log-probabilities for each. Out: a list of both.
 */

import type { Example } from "./example.ts";
import { type ExampleList, toExampleList } from "./example_list.ts";

/**
 * The examples as a list, each with its `reference`.
 *
 * @param references one for each example, `[n]`; @default none
 * @throws {RangeError} where there are fewer or more of them
 */
export function withReferences(
  examples: readonly Example[] | ExampleList,
  references?: Float64Array,
): ExampleList {
  const list = toExampleList(examples);
  if (references === undefined) return list;
  if (references.length !== list.length) {
    throw new RangeError(
      `Cannot compare ${list.length} examples with a reference: there are ${references.length} numbers of it`,
    );
  }
  return {
    length: list.length,
    lengths: list.lengths,
    supervised: list.supervised,
    at: (index: number): Example => ({ ...list.at(index), reference: references[index] }),
  };
}
