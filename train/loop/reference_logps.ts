/**
 * What a model makes of replies before it is trained on them, which DPO compares with. In: a trainer and examples.
 * Out: a sum of log-probabilities for each.
 *
 * @module
 */

import type { Example } from "../../data/examples/example.ts";
import { type ExampleList, toExampleList } from "../../data/examples/example_list.ts";
import { ProcessGroup } from "../distributed/process_group.ts";
import type { Trainer } from "../trainer.ts";
import { eachBatch, type EvaluateOptions } from "./evaluate.ts";

/** Options of {@linkcode referenceLogps}. */
export interface ReferenceOptions extends Omit<EvaluateOptions, "packing"> {
  /** Told how many examples are done; of several processes, up to this one's last. @default nobody is */
  readonly onProgress?: (examples: number) => void;
}

/**
 * The log-probabilities of each example's labels under the trainer's weights as they are, summed over the labels:
 * TRL's precompute_ref_log_probs.
 *
 * @returns one for each example, `[n]`, the same on all processes
 */
export async function referenceLogps(
  trainer: Trainer,
  examples: readonly Example[] | ExampleList,
  { onProgress, group = new ProcessGroup(undefined, undefined), ...options }: ReferenceOptions,
): Promise<Float64Array> {
  const { length } = toExampleList(examples);
  const logps = new Float64Array(length);
  await eachBatch(examples, { ...options, group, together: 2 }, async (batch, index) => {
    const { tokens, losses } = await trainer.evaluate(batch, group.signal);
    // All batches before this one are full.
    const first = index * options.batchSize * 2;
    tokens.forEach((token, i) => logps[first + batch.segmentIds[token] - 1] -= losses[i]);
    onProgress?.(first + batch.examples);
  });
  return Float64Array.from(await group.sum([...logps]));
}
