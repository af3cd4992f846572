/** What storing a frozen base in fewer bits saves and costs. In: what was counted as it was loaded. Out: a line. */

import { type BaseStorage, storedSpecs, storedTypes } from "../../model/base_storage.ts";
import type { Rounding } from "../../model/engine/rounding_tally.ts";
import { modelParameters } from "../../model/parameters.ts";
import type { Precision } from "../../model/precision.ts";
import { productBytes, storedMatrices } from "../../model/quantization.ts";
import { byteWidth, elementCount } from "../../ort/tensor/dtype.ts";
import { formatBytes } from "../track/format_units.ts";
import { computePrecision } from "../training_precision.ts";
import type { DerivedTraining } from "./resolve_training.ts";

/** One line. */
export function describeBase(
  { weights, from, changed, zeroed, worst }: Rounding,
  { storage, config, precision }: Pick<DerivedTraining, "storage" | "config" | "precision">,
): string {
  const computed = computePrecision(precision);
  const kept = storage.matrices ?? storage.name;
  const size = `base: matrices take ${formatBytes(matrixBytes(config, storage, computed))} in ${
    describeStorage(storage, computed)
  } in place of ${formatBytes(byteWidth("float32") * weights)} in float32`;
  if (changed === 0) return `${size}; exact: every weight of its ${from.join(" and ")} is one`;
  return `${size}; ${changed} of ${weights} weights are rounded from ${from.join(" and ")}, ` +
    `${zeroed} of them to 0; the largest relative error of a matrix, ‖W − ${kept}(W)‖ ÷ ‖W‖, is ` +
    `${worst.error.toExponential(1)} (${worst.name})`;
}

function describeStorage(
  { name, matrices, quantization }: BaseStorage,
  precision: Precision,
): string {
  if (!quantization) return matrices ?? name;
  const { block, compute } = quantization;
  const copies = compute === "int8" ? "two copies, products in int8" : `products in ${precision}`;
  return `${name} with blocks of ${block}, ${copies},`;
}

function matrixBytes(
  config: DerivedTraining["config"],
  storage: BaseStorage,
  precision: Precision,
): number {
  const matrices = modelParameters(config).filter(({ shape }) => shape.length > 1);
  const types = storedTypes(matrices, storage);
  const width = byteWidth(precision);
  const tensors = storedSpecs(matrices, storage).reduce((sum, { name, shape }) => {
    const dtype = types.get(name);
    return sum + (dtype ? byteWidth(dtype) : width) * elementCount(shape);
  }, 0);
  const { quantization } = storage;
  if (!quantization) return tensors;
  const stored = storedMatrices(matrices, quantization);
  return matrices.reduce(
    (sum, { name, shape }) => sum + productBytes(stored.get(name)!, shape, quantization.block),
    tensors,
  );
}
