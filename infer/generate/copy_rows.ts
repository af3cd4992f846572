/**
 * Rows of the embedding, taken on the host.
 *
 * In: ids and the table [vocab, hidden]. Out: their rows, scaled as the model scales them.
 */

import type { ModelConfig } from "../../model/config.ts";
import { embeddingScaleIn } from "../../model/embedding_scale.ts";

/** Writes the row of each id, one after the other. */
export function copyRows(
  config: ModelConfig,
  { from, to, ids }: {
    /** [vocab, hidden] */
    readonly from: Float32Array;
    /** [ids, hidden] */
    readonly to: Float32Array;
    readonly ids: ArrayLike<number>;
  },
): void {
  const { hiddenSize } = config;
  for (let i = 0; i < ids.length; i++) {
    const row = ids[i] * hiddenSize;
    to.set(from.subarray(row, row + hiddenSize), i * hiddenSize);
  }
  const scale = embeddingScaleIn(config, "float32");
  if (scale === 1) return;
  for (let i = 0; i < ids.length * hiddenSize; i++) to[i] *= scale;
}
