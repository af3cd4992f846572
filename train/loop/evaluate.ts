/**
 * Evaluation over a set of examples.
 *
 * In: a trainer and examples. Out: both averages of the loss, in nats.
 *
 * @module
 */

import { makeBatches } from "../../data/batches/batches.ts";
import type { Batch } from "../../data/batches/collator.ts";
import type { Example } from "../../data/examples/example.ts";
import type { ExampleList } from "../../data/examples/example_list.ts";
import { ProcessGroup } from "../distributed/process_group.ts";
import type { PairObjective } from "../pair_objective.ts";
import { figureNames, PairLosses } from "../pair_losses.ts";
import type { Figures, Trainer } from "../trainer.ts";

/** What an evaluation came to. */
export interface EvaluationResult {
  /** Mean over examples of each example's mean loss a token: Hugging Face's eval_loss. Of pairs their mean loss. */
  readonly evalLoss: number;
  /**
   * Mean loss a supervised token: comparable with the training loss. Of pairs the cross-entropy of the chosen
   * replies.
   */
  readonly evalTokenLoss: number;
  /** Figures of pairs, each a mean over the batches of their means, as TRL has it; none without pairs. */
  readonly figures?: Figures;
  /** Examples with at least one supervised token, or pairs. */
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

/** Evaluates all examples, in their order; pairs, where the trainer is of pairs, and these unpacked. */
export async function evaluate(
  trainer: Trainer,
  examples: readonly Example[] | ExampleList,
  options: EvaluateOptions,
): Promise<EvaluationResult> {
  if (trainer.pairs) return await evaluatePairs(trainer, trainer.pairs, examples, options);
  const { group = new ProcessGroup(undefined, undefined) } = options;
  let meanSum = 0;
  let sum = 0;
  let supervisedTokens = 0;
  let counted = 0;
  const batches = await eachBatch(examples, { ...options, group }, async (batch) => {
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
  });
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

/** The same of pairs. Of a batch TRL takes means, and of these one over the batches, but for the loss's. */
async function evaluatePairs(
  trainer: Trainer,
  objective: PairObjective,
  examples: readonly Example[] | ExampleList,
  { batchSize, padId, group = new ProcessGroup(undefined, undefined) }: EvaluateOptions,
): Promise<EvaluationResult> {
  const names = figureNames(objective);
  const sums = new Float64Array(names.length);
  let loss = 0;
  let chosen = 0;
  let chosenTokens = 0;
  let supervisedTokens = 0;
  let pairs = 0;
  const options = { batchSize, padId, group, together: 2 };
  const batches = await eachBatch(examples, options, async (batch) => {
    const of = new PairLosses(batch, objective);
    const told = await trainer.evaluate(of.batch, group.signal);
    of.weigh(told);
    told.tokens.forEach((token, i) => {
      if (batch.targets[token] < 0 || batch.segmentIds[token] % 2 === 0) return;
      chosen += told.losses[i];
      chosenTokens++;
    });
    of.figures.forEach((figure, i) => sums[i] += figure);
    loss += of.loss * batch.examples / 2;
    supervisedTokens += batch.supervised;
    pairs += batch.examples / 2;
  });
  const [lossSum, chosenSum, chosenCount, supervised, count, ...figures] = await group.sum([
    ...[loss, chosen, chosenTokens, supervisedTokens, pairs],
    ...sums,
  ]);
  return {
    evalLoss: lossSum / count,
    evalTokenLoss: chosenSum / chosenCount,
    figures: Object.fromEntries(names.map((name, i) => [name, figures[i] / batches])),
    examples: count,
    batches,
    supervisedTokens: supervised,
  };
}

/** Runs this process's share of the batches, and tells how many there are of all. */
export async function eachBatch(
  examples: readonly Example[] | ExampleList,
  { group, ...options }: EvaluateOptions & {
    readonly group: ProcessGroup;
    readonly together?: number;
  },
  run: (batch: Batch, index: number) => Promise<void>,
): Promise<number> {
  let batches = 0;
  for (
    const batch of makeBatches(examples, { ...options, shuffle: false, seed: 0, epoch: 0 })
  ) {
    // Once a round, in which each process has a batch.
    if (batches % group.size === 0) {
      await group.agree();
      if (group.size > 1) group.signal?.throwIfAborted();
    }
    if (batches++ % group.size === group.rank) await run(batch, batches - 1);
  }
  return batches;
}
