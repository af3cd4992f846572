/**
 * All optimizers by their names for `--optim`. In: a name, or a description of one's own. Out: what a run
 * knows of it. A new one is a file and a row here.
 *
 * @module
 */

import { findPart } from "../find_part.ts";
import { adafactor } from "./adafactor.ts";
import { adamW, adamW8bit, adamWBfloat16 } from "./adamw_optimizers.ts";
import { lion } from "./lion.ts";
import { muon } from "./muon.ts";
import type { OptimizerDescription } from "./optimizer_description.ts";
import { scheduleFree } from "./schedule_free.ts";

/** The optimizers; torch's names for AdamW all mean the same. */
export const optimizers: Readonly<Record<string, OptimizerDescription>> = {
  adamw: adamW,
  adamw_torch: adamW,
  adamw_torch_fused: adamW,
  adamw_bf16: adamWBfloat16,
  adamw_8bit: adamW8bit,
  lion,
  lion_32bit: lion,
  adafactor,
  muon,
  schedule_free_adamw: scheduleFree,
};

/** The name of the optimizer that is taken where none is named, as TrainingArguments has it. */
export const DEFAULT_OPTIMIZER = "adamw_torch";

/**
 * The description of an optimizer.
 *
 * @param optim a name of {@linkcode optimizers}, or a description; @default {DEFAULT_OPTIMIZER}
 * @throws {RangeError} where there is none of that name
 */
export function findOptimizer(
  optim: string | OptimizerDescription = DEFAULT_OPTIMIZER,
): OptimizerDescription {
  return findPart("optimizer", optimizers, optim);
}

/** What help says of `--optim`. */
export function optimizersHelp(): string {
  const usual = optimizers[DEFAULT_OPTIMIZER];
  const told = Object.entries(optimizers).filter(([, each]) => each !== usual)
    .map(([name, { help, title }]) => `${name}: ${help ?? title}`);
  return `${told.join("; ")}; the others all mean ${usual.title}`;
}
