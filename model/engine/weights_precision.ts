/**
 * What weights are made of, and so what graphs over them compute with. In: weights, or float32
 * numbers from the host. Out: their precision, or the numbers rounded to it.
 */

import type { DecodeBlockOptions } from "../graphs/decode_graphs.ts";
import { EMBEDDING, FINAL_NORM } from "../parameters.ts";
import { BASE_STORAGES, type BaseStorage } from "../base_storage.ts";
import type { Precision, PrecisionOptions } from "../precision.ts";
import { type Device, deviceTraits } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { float32ToBfloat16 } from "../../ort/tensor/half.ts";
import type { BaseMatrices } from "./quantized_store.ts";

/** What a device computes with unless it is told otherwise: bfloat16 where it has kernels for it. */
export function devicePrecision(device: Device): Precision {
  return deviceTraits(device).bfloat16 ? "bfloat16" : "float32";
}

/** Options of the decode graph for weights on a device: which attention has a kernel there. */
export function decodeOptions(
  { device }: Runtime,
  weights: StoredWeights,
): Required<Pick<DecodeBlockOptions, "attention" | "precision" | "storage">> {
  const computing = computingOf(weights);
  const fused = deviceTraits(device).fusedAttention &&
    computing.precision === devicePrecision(device);
  return { attention: fused ? "fused" : "plain", ...computing };
}

/** What a model's graphs are made for, by its weights. */
export function computingOf(
  weights: StoredWeights,
): Required<PrecisionOptions> {
  return { precision: precisionOf(weights), storage: storageOf(weights) };
}

/** Weights that know how they are stored, or show it by their types. */
type StoredWeights = BaseMatrices & { tensor(name: string): Tensor };

/** How a model's matrices are stored. */
function storageOf(weights: StoredWeights): BaseStorage {
  if (weights.storage) return weights.storage;
  const { dtype } = weights.tensor(EMBEDDING);
  const stored = Object.values(BASE_STORAGES).find(({ matrices }) => matrices === dtype);
  return stored ?? BASE_STORAGES.fp32;
}

/** The precision of a model's own weights; an adapter's are float32 on any of them. */
export function precisionOf(weights: { tensor(name: string): Tensor }): Precision {
  const { dtype } = weights.tensor(FINAL_NORM);
  if (dtype === "float32" || dtype === "bfloat16") return dtype;
  throw new RangeError(`Cannot run a model in ${dtype}: expected float32 or bfloat16`);
}

/** Numbers as a tensor of that precision takes them. */
export function inPrecision(
  values: Float32Array<ArrayBuffer>,
  precision: Precision,
): Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  if (precision === "float32") return values;
  const rounded = new Uint16Array(values.length);
  float32ToBfloat16(values, rounded);
  return rounded;
}
