/**
 * What training computes with and keeps. In: a precision's name and a device. Out: the types of
 * weights and optimizer state.
 *
 * @module
 */

import type { Precision } from "../../model/precision.ts";
import { type Device, deviceName } from "../../ort/runtime/device.ts";
import type { OptimizerKind } from "../optimizers/adamw_graph.ts";

/**
 * `fp32`: everything is float32. `bf16`: the model runs in bfloat16, and the optimizer keeps trained
 * weights and moments in float32. `bf16-pure`: those are bfloat16 too, rounded to nearest, as torch
 * trains a model that was loaded in bfloat16. An adapter is float32 in all three.
 */
export type TrainingPrecision = "fp32" | "bf16" | "bf16-pure";

/** All names. */
export const TRAINING_PRECISIONS: readonly TrainingPrecision[] = ["fp32", "bf16", "bf16-pure"];

/**
 * The precision asked for, or the device's own: bf16 on CUDA, fp32 on the CPU.
 *
 * @example
 * ```ts
 * import { cpu, parseDevice } from "@ortune/ortune";
 * import { resolvePrecision } from "@ortune/ortune/train";
 * import assert from "node:assert/strict";
 *
 * assert.equal(resolvePrecision(parseDevice("cuda"), undefined), "bf16");
 * assert.equal(resolvePrecision(cpu, undefined), "fp32");
 * assert.throws(() => resolvePrecision(cpu, "bf16"), RangeError);
 * ```
 *
 * @throws {RangeError} where the device has no kernels for it
 */
export function resolvePrecision(
  device: Device,
  asked: TrainingPrecision | undefined,
): TrainingPrecision {
  const precision = asked ?? (device.kind === "cpu" ? "fp32" : "bf16");
  if (device.kind !== "cpu" || precision === "fp32") return precision;
  throw new RangeError(
    `Cannot train in ${precision} on ${
      deviceName(device)
    }: ONNX Runtime has no bfloat16 arithmetic ` +
      "there; pass --precision fp32, or --device cuda",
  );
}

/** The type that the model runs in. */
export function computePrecision(precision: TrainingPrecision): Precision {
  return precision === "fp32" ? "float32" : "bfloat16";
}

/**
 * What AdamW keeps of all weights.
 *
 * @param options what to keep in place of what the precision says: bfloat16 alone, or that and 8-bit
 *   moments
 * @throws {RangeError} where one is asked for in float32
 */
export function optimizerKind(
  precision: TrainingPrecision,
  { stochasticRounding = false, eightBitMoments = false }: {
    readonly stochasticRounding?: boolean;
    readonly eightBitMoments?: boolean;
  } = {},
): OptimizerKind {
  if (eightBitMoments) {
    if (precision !== "fp32") return "adamw-8bit";
    throw new RangeError(
      "Cannot keep 8-bit moments in fp32: their weights are bfloat16; pass --device cuda and " +
        "--precision bf16",
    );
  }
  if (stochasticRounding) {
    if (precision !== "fp32") return "adamw-bf16";
    throw new RangeError(
      "Cannot round stochastically in fp32: there is nothing to round; pass --precision bf16",
    );
  }
  return ({ fp32: "float32", bf16: "adamw", "bf16-pure": "bfloat16-pure" } as const)[precision];
}
