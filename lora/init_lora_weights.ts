/** How a new adapter starts, by PEFT's names for init_lora_weights. In: a name and settings. Out: those of its file. */

import type { LoraOptions } from "./lora_options.ts";
import { pissaSettings } from "./pissa.ts";

/** The names. */
export const INIT_LORA_WEIGHTS = ["default", "pissa"] as const;

/** How a new adapter starts: with a product of zero, or from the base's largest singular values. */
export type InitLoraWeights = typeof INIT_LORA_WEIGHTS[number];

/**
 * The settings of the adapter that is trained and saved.
 *
 * @throws {RangeError} where it cannot start so
 */
export function adapterSettings(
  lora: LoraOptions,
  init: InitLoraWeights = "default",
): LoraOptions {
  return init === "pissa" ? pissaSettings(lora) : lora;
}
