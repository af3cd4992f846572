/**
 * The batches of an epoch, in the order PyTorch's sampler would take.
 *
 * In: examples, a seed and an epoch. Out: batches, made one at a time; the same arguments give the
 * same batches, and `skip` starts in the middle, for resuming.
 *
 * @module
 */

import { collate, packExamples } from "./collator.ts";
import type { Batch } from "./collator.ts";
import { type BatchPlanOptions, planEpoch } from "./epoch_plan.ts";
import type { Example } from "../examples/example.ts";
import { type ExampleList, toExampleList } from "../examples/example_list.ts";

/** Options of {@linkcode makeBatches}. */
export interface MakeBatchesOptions extends BatchPlanOptions {
  /** Id of the padding token. */
  readonly padId: number;
  /**
   * Rows are padded to a multiple of this.
   * @default {1}
   */
  readonly multipleOf?: number;
  /**
   * How many batches of the epoch to leave out at its start.
   * @default {0}
   */
  readonly skip?: number;
}

/**
 * The batches of one epoch, made as they are asked for. It may be iterated more than once. Of
 * examples in a list, those of one batch are read at a time.
 *
 * @throws {RangeError} if `batchSize` or `skip` is no count, or packing meets an example longer
 *   than a row.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer, makeBatches, toExamples } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const examples = ["a", "b", "c"].flatMap((content) =>
 *   toExamples([{ role: "user", content: "?" }, { role: "assistant", content }], {
 *     tokenizer,
 *     maxLength: 64,
 *   })
 * );
 * const options = { batchSize: 2, padId: tokenizer.padTokenId!, seed: 42, epoch: 0 };
 * const batches = [...makeBatches(examples, options)];
 * assert.deepEqual(batches.map(({ rows }) => rows), [2, 1]);
 * assert.deepEqual([...makeBatches(examples, { ...options, skip: 1 })], batches.slice(1));
 * ```
 */
export function makeBatches(
  examples: readonly Example[] | ExampleList,
  options: MakeBatchesOptions,
): Iterable<Batch> {
  const { padId, multipleOf, packing, skip = 0 } = options;
  if (!Number.isInteger(skip) || skip < 0) {
    throw new RangeError(`Cannot make batches: skip is ${skip}, not a count of batches`);
  }
  const list = toExampleList(examples);
  const plan = planEpoch(list.lengths, options);
  return {
    *[Symbol.iterator](): Iterator<Batch> {
      for (const indices of plan.batches(skip)) {
        const members = Array.from(indices, (index) => list.at(index));
        yield packing === undefined
          ? collate(members, { padId, multipleOf })
          : packExamples(members, { padId, multipleOf, maxLength: packing.maxLength });
      }
    },
  };
}

/**
 * How many batches an epoch has, without making them; a `skip` in the options does not count.
 *
 * @example
 * ```ts
 * import { countBatches } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const options = { batchSize: 2, seed: 42, epoch: 0 };
 * assert.equal(countBatches([5, 5, 5], options), 2);
 * assert.equal(countBatches([5, 5, 5], { ...options, packing: { maxLength: 10 } }), 1);
 * ```
 */
export function countBatches(lengths: ArrayLike<number>, options: BatchPlanOptions): number {
  return planEpoch(lengths, options).count;
}

/**
 * Which examples make each batch of an epoch, by their indices, in the order of the sampler.
 *
 * @param lengths tokens of each example, `[n]`.
 * @returns a permutation of 0 … n − 1 in pieces, `[batches]`.
 *
 * @example
 * ```ts
 * import { planBatches } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const plan = planBatches([5, 5, 5], { batchSize: 2, seed: 42, epoch: 0, shuffle: false });
 * assert.deepEqual(plan.map((indices) => [...indices]), [[0, 1], [2]]);
 * ```
 */
export function planBatches(lengths: ArrayLike<number>, options: BatchPlanOptions): Int32Array[] {
  return [...planEpoch(lengths, options).batches()];
}
