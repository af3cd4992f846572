/**
 * How the matrices of a frozen base are kept in memory: its linear layers, embedding and head. Norms and
 * biases, which are little beside them, stay in the model's precision. In float16 all arithmetic does too:
 * graphs widen a matrix right before its product (`graphs/matrix_input.ts`). Of small whole numbers it
 * is chosen what products are computed in ({@linkcode Quantization.compute}).
 *
 * In: a name of `--base-dtype`. Out: a row of the table of what there is.
 *
 * @module
 */

import type { DType } from "../ort/tensor/dtype.ts";
import type { ParameterSpec } from "./parts/parameter_spec.ts";
import { type Quantization, storedMatrices } from "./quantization.ts";

/** The names. */
export type BaseDtype = "fp32" | "fp16" | "int8" | "int4";

/** One way to keep matrices. */
export interface BaseStorage {
  /** Its name. */
  readonly name: BaseDtype;
  /** The type of a matrix's elements in memory. @default the model's precision */
  readonly matrices?: DType;
  /** That they are small whole numbers. @default they are floats */
  readonly quantization?: Quantization;
}

const QUANTIZED = { block: 128, compute: "int8" } as const;

/** All ways. */
export const BASE_STORAGES: Readonly<Record<BaseDtype, BaseStorage>> = {
  fp32: { name: "fp32" },
  fp16: { name: "fp16", matrices: "float16" },
  int8: { name: "int8", quantization: { bits: 8, ...QUANTIZED } },
  int4: { name: "int4", quantization: { bits: 4, ...QUANTIZED } },
};

/**
 * The tensors that are kept in another type than the model's precision, and that type.
 *
 * @example
 * ```ts
 * import { BASE_STORAGES } from "@ortune/ortune/model";
 * import { storedTypes } from "./base_storage.ts";
 * import assert from "node:assert/strict";
 *
 * const specs = [
 *   { name: "model.norm.weight", shape: [16], decays: false },
 *   { name: "lm_head.weight", shape: [261, 16], decays: true },
 * ];
 * assert.deepEqual([...storedTypes(specs, BASE_STORAGES.fp16)], [["lm_head.weight", "float16"]]);
 * assert.equal(storedTypes(specs, BASE_STORAGES.fp32).size, 0);
 * ```
 */
export function storedTypes(
  specs: readonly ParameterSpec[],
  { matrices, quantization }: BaseStorage,
): ReadonlyMap<string, DType> {
  if (quantization) {
    const stored = storedMatrices(specs, quantization).values();
    return new Map(
      [...stored].flatMap(({ tensors }) =>
        tensors.flatMap(({ name, dtype }) => dtype ? [[name, dtype]] : [])
      ),
    );
  }
  if (matrices === undefined) return new Map();
  return new Map(
    specs.filter(({ shape }) => shape.length > 1).map(({ name }) => [name, matrices]),
  );
}

/** The tensors that a model is kept in: its parameters, or of a quantized matrix its numbers and scales. */
export function storedSpecs(
  specs: readonly ParameterSpec[],
  { quantization }: BaseStorage,
): readonly ParameterSpec[] {
  if (!quantization) return specs;
  const stored = storedMatrices(specs, quantization);
  return specs.flatMap((spec) =>
    stored.get(spec.name)?.tensors.map(({ name, shape }) => ({
      name,
      shape,
      decays: spec.decays,
    })) ??
      [spec]
  );
}
