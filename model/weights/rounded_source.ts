/**
 * Weights as a base in 8 or 4 bits has them, in float32.
 *
 * In: a model's weights, and how they were rounded. Out: a source of the same names whose matrices hold the rounded numbers,
 * computed where they are read: an adapter that was trained over such a base belongs on these.
 *
 * @module
 */

import { floatRowsSource } from "../../ort/tensor/float_rows_source.ts";
import { dequantizeBlocks, quantizeBlocks, resizeRows } from "../../ort/tensor/quantize_blocks.ts";
import { readFloat32, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import { EMBEDDING, LM_HEAD, modelParameters } from "../parameters.ts";
import type { ModelConfig } from "../config.ts";
import { blocksOf, type Quantization, storedMatrices } from "../quantization.ts";

/**
 * Rounds matrices as a base in fewer bits does.
 *
 * @example
 * ```ts
 * import { openModel } from "@ortune/ortune/model";
 * import { BASE_STORAGES, roundedSource } from "@ortune/ortune/model";
 *
 * async function roundedWeights(folder: string) {
 *   await using model = await openModel(folder);
 *   return roundedSource(model.weights, model.config, BASE_STORAGES.int4.quantization!);
 * }
 * ```
 */
export function roundedSource(
  source: TensorSource,
  config: ModelConfig,
  quantization: Quantization,
): TensorSource {
  const { block } = quantization;
  const stored = storedMatrices(modelParameters(config), quantization);
  // A file may hold a tied head besides, which is the embedding.
  const bitsOf = (name: string): 4 | 8 | undefined =>
    stored.get(name === LM_HEAD && !stored.has(name) ? EMBEDDING : name)?.bits;
  return floatRowsSource(source, {
    computes: (name) => bitsOf(name) !== undefined,
    rows: async (name, first, count) => {
      const [, columns] = source.info(name).shape;
      const range = { start: first * columns, count: count * columns };
      const how = { bits: bitsOf(name)!, block };
      const width = blocksOf(columns, block) * block;
      const numbers = resizeRows(await readFloat32(source, name, range), columns, width);
      const rounded = dequantizeBlocks(
        quantizeBlocks(numbers, { ...how, scaleDtype: "float32" }),
        how,
      );
      return resizeRows(rounded, width, columns);
    },
  });
}
