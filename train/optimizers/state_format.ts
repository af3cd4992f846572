/**
 * Which numbers an optimizer keeps in which type. In: a format, or a run's precision. Out: types, and
 * bytes a parameter.
 */

import type { Precision } from "../../model/precision.ts";
import { byteWidth } from "../../ort/tensor/dtype.ts";
import type { TrainingPrecision } from "../training_precision.ts";

/**
 * How trained weights and optimizer state are stored.
 *
 * | format | parameters | gradients | state |
 * |---|---|---|---|
 * | `float32` | float32 | float32 | float32 |
 * | `master` | float32, and a bfloat16 copy that the model runs on | bfloat16 | float32 |
 * | `bfloat16` | bfloat16 | bfloat16 | bfloat16 |
 * | `bfloat16-stochastic` | bfloat16 | bfloat16 | bfloat16 |
 * | `bfloat16-8bit` | bfloat16 | bfloat16 | 8 bits, with a float32 scale for each 256 of them |
 *
 * All compute in float32. `bfloat16` rounds to nearest, as torch's optimizers do on a bfloat16 model:
 * updates below about 1/256 of a weight vanish, and a second moment hardly falls. The last two round
 * stochastically: the expected value of what is stored is what was computed, so that small updates add
 * up. Graphs have no 8-bit codes: those are for kernels alone.
 */
export type StateFormat =
  | "float32"
  | "master"
  | "bfloat16"
  | "bfloat16-stochastic"
  | "bfloat16-8bit";

/** The formats that graphs compute in. */
export type GraphStateFormat = Exclude<StateFormat, "bfloat16-8bit">;

/** The types of a format. */
export interface StateTypes {
  /** `master`: float32, with a bfloat16 copy. */
  readonly parameters: Precision | "master";
  readonly gradients: Precision;
  readonly state: Precision | "int8";
  /** How bfloat16 state, and parameters without a master, are rounded. */
  readonly rounding: "nearest" | "stochastic";
}

/** The types of every format. */
export const STATE_TYPES: Readonly<Record<StateFormat, StateTypes>> = {
  float32: {
    parameters: "float32",
    gradients: "float32",
    state: "float32",
    rounding: "nearest",
  },
  master: {
    parameters: "master",
    gradients: "bfloat16",
    state: "float32",
    rounding: "nearest",
  },
  bfloat16: {
    parameters: "bfloat16",
    gradients: "bfloat16",
    state: "bfloat16",
    rounding: "nearest",
  },
  "bfloat16-stochastic": {
    parameters: "bfloat16",
    gradients: "bfloat16",
    state: "bfloat16",
    rounding: "stochastic",
  },
  "bfloat16-8bit": {
    parameters: "bfloat16",
    gradients: "bfloat16",
    state: "int8",
    rounding: "stochastic",
  },
};

/** What a precision stores, unless an optimizer has formats of its own. */
export const PRECISION_FORMATS: Readonly<Record<TrainingPrecision, StateFormat>> = {
  fp32: "float32",
  bf16: "master",
  "bf16-pure": "bfloat16",
};

/** Elements that share a scale in 8 bits. */
const SCALED = 256;

/**
 * Bytes that an optimizer keeps of each trained number: its state, and a master where there is one.
 *
 * @param count how many numbers of state there are a parameter
 */
export function stateBytes(format: StateFormat, count: number): number {
  const { parameters, state } = STATE_TYPES[format];
  const each = state === "int8" ? 1 + byteWidth("float32") / SCALED : byteWidth(state);
  return count * each + (parameters === "master" ? byteWidth("float32") : 0);
}
