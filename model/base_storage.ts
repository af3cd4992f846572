/**
 * How the matrices of a frozen base are kept in memory: its linear layers, embedding and head. Norms and
 * biases, which are little beside them, stay in the model's precision, and so does all arithmetic: graphs
 * widen a matrix right before its product (`graphs/matrix_input.ts`).
 *
 * In: a name of `--base-dtype`. Out: a row of the table of what there is.
 *
 * @module
 */

import type { DType } from "../ort/tensor/dtype.ts";
import type { ParameterSpec } from "./parts/parameter_spec.ts";

/** The names. */
export type BaseDtype = "fp32" | "fp16";

/** One way to keep matrices. */
export interface BaseStorage {
  /** Its name. */
  readonly name: BaseDtype;
  /** The type of a matrix's elements in memory. @default the model's precision */
  readonly matrices?: DType;
}

/** All ways. */
export const BASE_STORAGES: Readonly<Record<BaseDtype, BaseStorage>> = {
  fp32: { name: "fp32" },
  fp16: { name: "fp16", matrices: "float16" },
};

/**
 * The parameters that are kept in another type than the model's precision, and that type.
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
  { matrices }: BaseStorage,
): ReadonlyMap<string, DType> {
  if (matrices === undefined) return new Map();
  return new Map(
    specs.filter(({ shape }) => shape.length > 1).map(({ name }) => [name, matrices]),
  );
}
