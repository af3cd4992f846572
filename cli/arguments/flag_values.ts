/** Parsers of flag values. In: the text of a flag. Out: a checked value, or commander's error. */

import { InvalidArgumentError } from "commander";
import { checkRepositoryId } from "../../hub/repository_path.ts";
import {
  COUNT,
  COUNT_OR_ZERO,
  type NumberRange,
  POSITIVE,
  SEED,
} from "../../internal/number_range.ts";
import { AUTO } from "../../model/engine/find_devices.ts";
import { type Device, parseDevice } from "../../ort/runtime/device.ts";

type Parse = (text: string) => number;

/** A parser of numbers in a range. */
export function numberIn({ what, holds }: NumberRange): Parse {
  return (text) => {
    const value = text.trim() === "" ? NaN : Number(text);
    if (Number.isFinite(value) && holds(value)) return value;
    throw new InvalidArgumentError(`It must be ${what}.`);
  };
}

/** A whole number from 1 up. */
export const count: Parse = numberIn(COUNT);

/** A whole number from 0 up. */
export const countOrZero: Parse = numberIn(COUNT_OR_ZERO);

/** A whole number from 0 to 2^32 − 1. */
export const seed: Parse = numberIn(SEED);

/** A number above 0. */
export const positive: Parse = numberIn(POSITIVE);

/** A number above 0 and at most 1. */
export const probability: Parse = numberIn({
  what: "a number above 0 and at most 1",
  holds: (value) => value > 0 && value <= 1,
});

/** A number from 0 to 1. */
export const share: Parse = numberIn({
  what: "a number from 0 to 1",
  holds: (value) => value >= 0 && value <= 1,
});

/** A text that is more than blanks. */
export function words(text: string): string {
  if (text.trim() !== "") return text;
  throw new InvalidArgumentError("It must not be empty.");
}

/** The id of a repository on a hub. */
export function repositoryId(text: string): string {
  try {
    return checkRepositoryId(text);
  } catch {
    throw new InvalidArgumentError("It must be an owner and a name, such as Qwen/Qwen3-0.6B.");
  }
}

/** What `--device` may be, for help. */
export const DEVICE_HELP =
  "cpu, cuda, cuda:N, webgpu, or auto for the best that deno task devices lists: where the model runs";

/** The name of a device; whether this machine has it is seen when it is opened. */
export function device(text: string): string {
  try {
    if (text !== AUTO) parseDevice(text);
    return text;
  } catch (cause) {
    throw new InvalidArgumentError((cause as Error).message);
  }
}

/** Devices of commands that do not run on CUDA so far. */
export const WITHOUT_CUDA: readonly Device["kind"][] = ["webgpu", "cpu"];

/** What their `--device` may be, for help. */
export const DEVICE_WITHOUT_CUDA_HELP =
  "cpu, webgpu, or auto for the better of them: where the model runs";

/** The name of such a device. */
export function deviceWithoutCuda(text: string): string {
  if (!device(text).startsWith("cuda")) return text;
  throw new InvalidArgumentError("It must be cpu, webgpu or auto: cuda is not there yet.");
}
