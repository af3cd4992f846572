/**
 * The config.json of a checkpoint.
 *
 * In: the base model's. Out: the same text but for the dtype that is written.
 */

import type { ModelConfig } from "../model/config.ts";

/** Weights are trained and written in float32, so that a resumed run goes on to the bit. */
export function savedConfig({ raw }: ModelConfig): string {
  const key = Object.hasOwn(raw, "dtype") ? "dtype" : "torch_dtype";
  return JSON.stringify({ ...raw, [key]: "float32" }, null, 2) + "\n";
}
