/**
 * Batches, from examples: one a row and padded, or many a row and packed.
 *
 * In: examples. Out: a Batch, a grid [rows, length] stored row by row. Each example is a segment:
 * its positions start at 0, attention stays inside it, and its last token has no target.
 *
 * @module
 */

import { IGNORED } from "../examples/example.ts";
import type { Example } from "../examples/example.ts";
import { nextFit } from "./next_fit.ts";

/** A grid of `[rows, length]` tokens. */
export interface Batch {
  /** How many rows the grid has. */
  readonly rows: number;
  /** How many tokens a row has. */
  readonly length: number;
  /** Token ids, `[rows, length]`. */
  readonly inputIds: BigInt64Array;
  /** Positions, `[rows, length]`: from 0 in each segment, 0 in padding. */
  readonly positionIds: BigInt64Array;
  /** `[rows, length]`: 0 for padding, else 1 + index of the example in this batch. */
  readonly segmentIds: Int32Array;
  /**
   * The id of the token that follows in the segment, `[rows, length]`; -100 where there is no
   * label.
   */
  readonly targets: Int32Array;
  /** How many examples it holds. */
  readonly examples: number;
  /** How many tokens are not padding. */
  readonly tokens: number;
  /** How many targets are labels. */
  readonly supervised: number;
  /**
   * What a reference model made of each example's labels, `[examples]`: sums of their log-probabilities.
   * @default there is none
   */
  readonly references?: Float64Array;
}

/** Options of {@linkcode collate}. */
export interface CollateOptions {
  /** Id of the padding token. */
  readonly padId: number;
  /**
   * Rows are padded to a multiple of this, so that fewer shapes occur.
   * @default {1}
   */
  readonly multipleOf?: number;
}

/** Options of {@linkcode packExamples}. */
export interface PackExamplesOptions extends CollateOptions {
  /** Most tokens of a row. */
  readonly maxLength: number;
}

/**
 * Pads examples at the right to the longest of them, one a row.
 *
 * @throws {RangeError} if there is no example, or one is empty.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, collate, createTokenizer, toExamples } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const examples = ["2", "two"].flatMap((content) =>
 *   toExamples([{ role: "user", content: "1+1?" }, { role: "assistant", content }], {
 *     tokenizer,
 *     maxLength: 64,
 *   })
 * );
 * const batch = collate(examples, { padId: tokenizer.padTokenId! });
 * assert.deepEqual([batch.rows, batch.length], [2, examples[1].inputIds.length]);
 * assert.equal(batch.segmentIds[batch.length - 1], 0); // the shorter row ends with padding
 * ```
 */
export function collate(examples: readonly Example[], options: CollateOptions): Batch {
  return layOut(examples, Array.from(examples.keys()), options);
}

/**
 * Packs examples into rows of at most `maxLength` tokens, in order, several a row where they fit.
 * By positions and segments each example computes what it computes alone in a row.
 *
 * @throws {RangeError} if there is no example, or one is empty or longer than a row.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer, toExamples } from "@ortune/ortune";
 * import { packExamples } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const examples = ["2", "two"].flatMap((content) =>
 *   toExamples([{ role: "user", content: "1+1?" }, { role: "assistant", content }], {
 *     tokenizer,
 *     maxLength: 64,
 *   })
 * );
 * const batch = packExamples(examples, { maxLength: 128, padId: tokenizer.padTokenId! });
 * assert.equal(batch.rows, 1);
 * assert.deepEqual([...new Set(batch.segmentIds)], [1, 2]);
 * ```
 */
export function packExamples(examples: readonly Example[], options: PackExamplesOptions): Batch {
  const lengths = examples.map(({ inputIds }) => inputIds.length);
  return layOut(examples, nextFit(lengths, options.maxLength), options);
}

/** Writes examples into a grid; `starts` holds the index of the first example of each row. */
function layOut(
  examples: readonly Example[],
  starts: readonly number[],
  options: CollateOptions,
): Batch {
  const { padId, multipleOf = 1 } = options;
  checkInputs(examples, padId, multipleOf);
  const rowLengths = starts.map((start, row) =>
    examples.slice(start, starts[row + 1]).reduce((sum, { inputIds }) => sum + inputIds.length, 0)
  );
  const rows = starts.length;
  const length = Math.ceil(maximum(rowLengths) / multipleOf) * multipleOf;
  const size = rows * length;
  const inputIds = new BigInt64Array(size).fill(BigInt(padId));
  const positionIds = new BigInt64Array(size);
  const segmentIds = new Int32Array(size);
  const targets = new Int32Array(size).fill(IGNORED);
  const ramp = countUp(maximum(examples.map(({ inputIds }) => inputIds.length)));
  // Ids fit 32 bits and are not negative, so writing the low words saves making a BigInt for each;
  // all platforms that ONNX Runtime has binaries for are little-endian.
  const idWords = new Int32Array(inputIds.buffer);
  let supervised = 0;
  for (let row = 0; row < rows; row++) {
    let at = row * length;
    const end = starts[row + 1] ?? examples.length;
    for (let index = starts[row]; index < end; index++) {
      const { inputIds: ids, labels } = examples[index];
      for (let token = 0; token < ids.length; token++) idWords[2 * (at + token)] = ids[token];
      positionIds.set(ramp.subarray(0, ids.length), at);
      segmentIds.fill(index + 1, at, at + ids.length);
      targets.set(labels.subarray(1), at);
      for (let token = 1; token < labels.length; token++) if (labels[token] >= 0) supervised++;
      at += ids.length;
    }
  }
  const tokens = rowLengths.reduce((sum, rowLength) => sum + rowLength, 0);
  return {
    rows,
    length,
    inputIds,
    positionIds,
    segmentIds,
    targets,
    examples: examples.length,
    tokens,
    supervised,
    ...examples[0].reference === undefined
      ? {}
      : { references: Float64Array.from(examples, ({ reference = NaN }) => reference) },
  };
}

function checkInputs(examples: readonly Example[], padId: number, multipleOf: number): void {
  if (examples.length === 0) throw new RangeError("Cannot collate: there are no examples");
  if (!Number.isInteger(padId) || padId < 0) {
    throw new RangeError(`Cannot collate: padId is ${padId}, not a token id`);
  }
  if (!Number.isInteger(multipleOf) || multipleOf < 1) {
    throw new RangeError(`Cannot collate: multipleOf is ${multipleOf}, not a positive integer`);
  }
  for (const [index, { inputIds, labels }] of examples.entries()) {
    if (inputIds.length > 0 && inputIds.length === labels.length) continue;
    throw new RangeError(
      `Cannot collate example ${index}: it has ${inputIds.length} tokens and ${labels.length} labels`,
    );
  }
}

/** 0, 1, 2 … as 64-bit integers. */
function countUp(count: number): BigInt64Array {
  const ramp = new BigInt64Array(count);
  const words = new Int32Array(ramp.buffer);
  for (let value = 0; value < count; value++) words[2 * value] = value;
  return ramp;
}

/** A loop, because spreading tens of thousands of arguments overflows the stack. */
function maximum(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}
