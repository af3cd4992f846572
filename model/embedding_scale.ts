/**
 * What rows of the embedding are multiplied by.
 *
 * In: a config and the type of the rows. Out: a number, 1 where they are not scaled.
 *
 * @module
 */

import type { DType } from "../ort/tensor/dtype.ts";
import { roundToBfloat16 } from "../ort/tensor/half.ts";
import type { ModelConfig } from "./config.ts";

/** The factor, rounded to the type of the rows where the family has it so. */
export function embeddingScaleIn(config: ModelConfig, dtype: DType): number {
  const { embeddingScale, embeddingScaleRounded } = config;
  return embeddingScaleRounded && dtype === "bfloat16"
    ? roundToBfloat16(embeddingScale)
    : Math.fround(embeddingScale);
}
