/**
 * Which examples make each batch of an epoch, without a list of all batches.
 *
 * In: lengths [n] and what decides a batch. Out: how many batches there are, and from any of them
 * on the indices of each, [examples of the batch]. Memory is 4 bytes an example.
 */

import { torchRandperm } from "../../ort/tensor/torch_random.ts";
import { nextFit } from "./next_fit.ts";

/** Options of {@linkcode epochOrder}. */
export interface EpochOrderOptions {
  /** The seed of the run; epoch e uses seed + e, as Hugging Face Trainer does. */
  readonly seed: number;
  /** 0-based. */
  readonly epoch: number;
}

/** What decides which examples make a batch. */
export interface BatchPlanOptions extends EpochOrderOptions {
  /** Rows of a batch; the last batch of an epoch may have fewer. */
  readonly batchSize: number;
  /** Puts several examples in a row of at most `maxLength` tokens; one example a row without. */
  readonly packing?: { readonly maxLength: number };
  /**
   * Cuts the epoch into updates of packed rows: an update ends with the row that brings it to this many
   * tokens, padding not counted, and no batch reaches into the next update. It needs `packing`.
   * @default updates are a number of batches
   */
  readonly tokensPerStep?: number;
  /**
   * Sorts the examples of so many batches by length, the longest first, before they are cut into those
   * batches: given the batches of an update, its rows are of similar length within a batch, and its sums
   * are the same but for rounding. It has no effect with `packing`, or with one row a batch.
   * @default {1}
   */
  readonly sortWithin?: number;
  /**
   * Whether to shuffle; evaluation does not.
   * @default {true}
   */
  readonly shuffle?: boolean;
  /**
   * How many neighbouring examples are one in all of this, and stay in one batch in their order: 2 for pairs of
   * replies.
   * @default {1}
   */
  readonly together?: number;
}

/** The batches of an epoch by the indices of their examples. */
export interface EpochPlan {
  /** How many batches there are. */
  readonly count: number;
  /**
   * How many batches there are up to the end of each update, [updates]: `accumulationSteps` more each
   * time, or as many as `tokensPerStep` asks for; the last update of an epoch may be short.
   */
  updateEnds(accumulationSteps: number): Int32Array;
  /** The indices of each batch, after the first `skip` of them. */
  batches(skip?: number): Iterable<Int32Array>;
}

/**
 * The order of an epoch: `torch.randperm(n)` seeded with seed + epoch, `[n]`.
 *
 * @example
 * ```ts
 * import { epochOrder } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const order = epochOrder(37, { seed: 42, epoch: 0 });
 * assert.deepEqual([...order.subarray(0, 6)], [12, 24, 13, 15, 28, 0]);
 * ```
 */
export function epochOrder(n: number, options: EpochOrderOptions): Int32Array {
  const { seed, epoch } = options;
  return torchRandperm(n, seed + epoch);
}

/**
 * Plans an epoch.
 *
 * @throws {RangeError} if `batchSize` or `tokensPerStep` is no count, `tokensPerStep` comes without
 *   packing, or packing meets an example longer than a row.
 */
export function planEpoch(lengths: ArrayLike<number>, options: BatchPlanOptions): EpochPlan {
  const { together = 1 } = options;
  if (together === 1) return planUnits(lengths, options);
  if (lengths.length % together !== 0) {
    throw new RangeError(
      `Cannot make batches: ${lengths.length} examples are no multiple of the ${together} that stay together`,
    );
  }
  const units = new Int32Array(lengths.length / together);
  for (let i = 0; i < lengths.length; i++) units[Math.floor(i / together)] += lengths[i];
  const plan = planUnits(units, options);
  return {
    ...plan,
    *batches(skip?: number): Generator<Int32Array, void, void> {
      for (const batch of plan.batches(skip)) {
        yield Int32Array.from(
          { length: batch.length * together },
          (_, i) => batch[Math.floor(i / together)] * together + i % together,
        );
      }
    },
  };
}

/** The same of what stays together. */
function planUnits(lengths: ArrayLike<number>, options: BatchPlanOptions): EpochPlan {
  const { batchSize, packing, tokensPerStep, sortWithin = 1, seed, epoch, shuffle = true } =
    options;
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new RangeError(`Cannot make batches: batchSize is ${batchSize}, not a positive integer`);
  }
  if (!Number.isInteger(sortWithin) || sortWithin < 1) {
    throw new RangeError(
      `Cannot make batches: sortWithin is ${sortWithin}, not a positive number of batches`,
    );
  }
  if (tokensPerStep !== undefined) checkTokensPerStep(tokensPerStep, packing !== undefined);
  const n = lengths.length;
  const order = shuffle ? epochOrder(n, { seed, epoch }) : Int32Array.from(range(n));
  // Where in the order each row starts; without packing, one after another.
  const starts = packing && nextFit(lengths, packing.maxLength, order);
  const start = starts ? (row: number) => starts[row] ?? n : (row: number) => row;
  if (starts && tokensPerStep !== undefined) {
    const rows = Int32Array.from(
      starts,
      (from, row) =>
        order.subarray(from, start(row + 1)).reduce((sum, index) => sum + lengths[index], 0),
    );
    const { batches, ends } = fillUpdates(rows, { batchSize, tokensPerStep });
    return {
      count: batches.length,
      updateEnds: () => Int32Array.from(ends),
      *batches(skip = 0): Generator<Int32Array, void, void> {
        for (let batch = skip; batch < batches.length; batch++) {
          yield order.subarray(start(batches[batch]), start(batches[batch + 1] ?? rows.length));
        }
      },
    };
  }
  const count = Math.ceil((starts ?? order).length / batchSize);
  return {
    count,
    updateEnds: (accumulationSteps) =>
      Int32Array.from(
        { length: Math.ceil(count / accumulationSteps) },
        (_, update) => Math.min(count, (update + 1) * accumulationSteps),
      ),
    *batches(skip = 0): Generator<Int32Array, void, void> {
      if (!starts && batchSize > 1 && sortWithin > 1) {
        yield* sortedBatches(order, lengths, { batchSize, sortWithin, skip });
        return;
      }
      for (let batch = skip; batch < count; batch++) {
        yield order.subarray(start(batch * batchSize), start((batch + 1) * batchSize));
      }
    },
  };
}

/** The batches of an order whose examples are sorted by length within so many of them. */
function* sortedBatches(
  order: Int32Array,
  lengths: ArrayLike<number>,
  { batchSize, sortWithin, skip }: {
    readonly batchSize: number;
    readonly sortWithin: number;
    readonly skip: number;
  },
): Generator<Int32Array, void, void> {
  const size = batchSize * sortWithin;
  let at = skip * batchSize;
  while (at < order.length) {
    const start = at - at % size;
    // A stable sort, so that a resumed run cuts the same batches. The longest come first, so that memory
    // that only grows is asked for once.
    const members = order.slice(start, start + size).sort((a, b) => lengths[b] - lengths[a]);
    for (; at < start + members.length; at += batchSize) {
      yield members.slice(at - start, at - start + batchSize);
    }
  }
}

function checkTokensPerStep(tokensPerStep: number, packed: boolean): void {
  if (!Number.isInteger(tokensPerStep) || tokensPerStep < 1) {
    throw new RangeError(
      `Cannot make batches: tokensPerStep is ${tokensPerStep}, not a positive integer`,
    );
  }
  if (packed) return;
  throw new RangeError("Cannot make batches of tokensPerStep: it takes packed rows; give packing");
}

/**
 * Cuts rows into updates, and those into batches.
 *
 * @param rows tokens of each row, [rows]
 * @returns the first row of each batch, and how many batches there are up to the end of each update
 */
function fillUpdates(
  rows: Int32Array,
  { batchSize, tokensPerStep }: { readonly batchSize: number; readonly tokensPerStep: number },
): { readonly batches: readonly number[]; readonly ends: readonly number[] } {
  const batches: number[] = [];
  const ends: number[] = [];
  let tokens = 0;
  let inUpdate = 0;
  for (let row = 0; row < rows.length; row++) {
    if (inUpdate++ % batchSize === 0) batches.push(row);
    tokens += rows[row];
    if (tokens < tokensPerStep && row + 1 < rows.length) continue;
    ends.push(batches.length);
    tokens = inUpdate = 0;
  }
  return { batches, ends };
}

function* range(n: number): Generator<number, void, void> {
  for (let index = 0; index < n; index++) yield index;
}
