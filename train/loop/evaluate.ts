/**
 * Evaluation over a set of examples.
 *
 * In: a trainer and examples. Out: both averages of the loss, in nats.
 *
 * @module
 */

import { makeBatches } from "../../data/batches/batches.ts";
import type { Example } from "../../data/examples/example.ts";
import type { ExampleList } from "../../data/examples/example_list.ts";
import { ProcessGroup } from "../distributed/process_group.ts";
import type { Trainer } from "../trainer.ts";

/** What an evaluation came to. */
export interface EvaluationResult {
  /** Mean over examples of each example's mean loss a token: Hugging Face's eval_loss. */
  readonly evalLoss: number;
  /** Mean loss a supervised token: comparable with the training loss. */
  readonly evalTokenLoss: number;
  /** Examples with at least one supervised token. */
  readonly examples: number;
  /** Batches that the examples were in. */
  readonly batches: number;
  /** Tokens that had a target. */
  readonly supervisedTokens: number;
}

/** How examples are batched. */
export interface EvaluateOptions {
  /** Rows a batch. */
  readonly batchSize: number;
  /** Id of the padding token. */
  readonly padId: number;
  /** Puts several examples in a row of at most maxLength tokens; each is averaged as if alone. */
  readonly packing?: { readonly maxLength: number };
  /**
   * Processes of which each takes its share of the batches; all get the same result. Its signal stops
   * between two graphs, or where there are several processes, between two batches: the promise then
   * rejects with the signal's reason.
   * @default this one alone
   */
  readonly group?: ProcessGroup;
}

/** Evaluates all examples, in their order. */
export async function evaluate(
  trainer: Trainer,
  examples: readonly Example[] | ExampleList,
  { batchSize, padId, packing, group = new ProcessGroup(undefined, undefined) }: EvaluateOptions,
): Promise<EvaluationResult> {
  let meanSum = 0;
  let sum = 0;
  let supervisedTokens = 0;
  let counted = 0;
  let batches = 0;
  const options = { batchSize, padId, packing, shuffle: false, seed: 0, epoch: 0 };
  for (const batch of makeBatches(examples, options)) {
    // Once a round, in which each process has a batch.
    if (batches % group.size === 0) {
      await group.agree();
      if (group.size > 1) group.signal?.throwIfAborted();
    }
    if (batches++ % group.size !== group.rank) continue;
    const { tokens, losses } = await trainer.evaluate(batch, group.signal);
    const sums = new Float64Array(batch.examples);
    const counts = new Int32Array(batch.examples);
    tokens.forEach((token, i) => {
      const example = batch.segmentIds[token] - 1;
      sums[example] += losses[i];
      counts[example]++;
    });
    sums.forEach((exampleSum, i) => {
      if (counts[i] === 0) return;
      meanSum += exampleSum / counts[i];
      sum += exampleSum;
      supervisedTokens += counts[i];
      counted++;
    });
  }
  const sums = await group.sum([meanSum, sum, counted, supervisedTokens]);
  [meanSum, sum, counted, supervisedTokens] = sums;
  return {
    evalLoss: meanSum / counted,
    evalTokenLoss: sum / supervisedTokens,
    examples: counted,
    batches,
    supervisedTokens,
  };
}
