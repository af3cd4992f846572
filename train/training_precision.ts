/**
 * What training computes with. In: a precision's name and a device. Out: the type that the model runs
 * in. What an optimizer keeps in which type is in `optimizers/state_format.ts`.
 *
 * @module
 */

import type { Precision } from "../model/precision.ts";
import { type Device, deviceName, deviceTraits } from "../ort/runtime/device.ts";

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
  const { bfloat16 } = deviceTraits(device);
  const precision = asked ?? (bfloat16 ? "bf16" : "fp32");
  if (bfloat16 || precision === "fp32") return precision;
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
