/**
 * The adapter that a run.json records, as flags. In: its `arguments.lora`, of which nothing is known.
 * Out: values of the flags that say the same, or an error naming file, field and value.
 */

import { showValue } from "../../internal/json/field_table.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { BELOW_ONE, COUNT, type NumberRange, POSITIVE } from "../../internal/number_range.ts";
import { UsageError } from "../../internal/usage_error.ts";
import { INIT_LORA_WEIGHTS } from "../../lora/init_lora_weights.ts";
import { BASE_STORAGES } from "../../model/base_storage.ts";
import { BASE_BLOCK_SIZES, BASE_COMPUTES } from "../../model/quantization.ts";
import type { LoraArguments } from "../../train/runs/training_arguments.ts";
import { isNumbers, type LoraFlags, loraFlags } from "./lora_flags.ts";

/** What a field may be; the words end the sentence "it must be". */
interface FieldRule {
  readonly what: string;
  readonly holds: (value: unknown) => boolean;
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
const isNames = (value: unknown): boolean =>
  Array.isArray(value) && value.length > 0 && value.every(isText);
const number = ({ what, holds }: NumberRange): FieldRule => ({
  what,
  holds: (value) => typeof value === "number" && Number.isFinite(value) && holds(value),
});
const numbers = ({ what, holds }: NumberRange): FieldRule => ({
  what: `numbers by patterns, each ${what}`,
  holds: (value) => isNumbers(value, holds),
});
const FLAG: FieldRule = { what: "true or false", holds: (value) => typeof value === "boolean" };
const BASES = Object.keys(BASE_STORAGES);

/** Fields that flags say. */
const FLAGGED: Readonly<Partial<Record<keyof LoraArguments, FieldRule>>> = {
  rank: number(COUNT),
  alpha: number(POSITIVE),
  dropout: number(BELOW_ONE),
  targetModules: {
    what: "a list of names or all-linear",
    holds: (value) => value === "all-linear" || isNames(value),
  },
  rslora: FLAG,
  dora: FLAG,
  rankPattern: numbers(COUNT),
  alphaPattern: numbers(POSITIVE),
  initLoraWeights: {
    what: INIT_LORA_WEIGHTS.join(" or "),
    holds: (value) => isText(value) && (INIT_LORA_WEIGHTS as readonly string[]).includes(value),
  },
  loraPlusRatio: number(POSITIVE),
  initAdapter: { what: "a folder's path", holds: isText },
  baseDtype: {
    what: BASES.join(" or "),
    holds: (value) => isText(value) && BASES.includes(value),
  },
  baseBlockSize: {
    what: BASE_BLOCK_SIZES.join(" or "),
    holds: (value) => BASE_BLOCK_SIZES.some((size) => size === value),
  },
  baseCompute: {
    what: BASE_COMPUTES.join(" or "),
    holds: (value) => BASE_COMPUTES.some((name) => name === value),
  },
};

/** Fields that flags say, and that an adapter's own file may say in ways that they cannot. */
const OF_FILE: ReadonlySet<string> = new Set<keyof LoraArguments>([
  "targetModules",
  "rankPattern",
  "alphaPattern",
]);

/** Fields that an adapter's own file says, and no flag. */
const UNFLAGGED: ReadonlySet<string> = new Set<keyof LoraArguments>([
  ...["layersToTransform", "layersPattern", "excludeModules"] as const,
]);

/**
 * Reads it; a field that is null counts as missing.
 *
 * @param path the file, for errors
 * @throws {UsageError} naming all fields that are not what they may be, or that no flag says
 */
export function recordedLoraFlags(lora: unknown, path: string): Partial<LoraFlags> {
  if (lora === undefined || lora === null) return {};
  if (!isRecord(lora)) {
    throw new UsageError(
      `Cannot use ${path}: arguments.lora is ${showValue(lora)}: it must be an object`,
    );
  }
  // Of an adapter that is trained on, its own file counts, which may say what no flag does.
  const ofAdapter = isText(lora.initAdapter);
  const faults: string[] = [];
  const given = Object.entries(lora).filter(([, value]) => value !== null && value !== undefined);
  for (const [field, value] of given) {
    if (ofAdapter && (OF_FILE.has(field) || UNFLAGGED.has(field))) continue;
    const rule = Object.hasOwn(FLAGGED, field) ? FLAGGED[field as keyof LoraArguments] : undefined;
    if (rule?.holds(value)) continue;
    const remedy = rule
      ? `it must be ${rule.what}`
      : UNFLAGGED.has(field)
      ? "no flag says that; start the run from the program that did, or from an adapter with it"
      : "there is no such setting of an adapter";
    faults.push(`arguments.lora.${field} is ${showValue(value)}: ${remedy}`);
  }
  if (faults.length > 0) throw new UsageError(`Cannot use ${path}: ${faults.join("\n  ")}`);
  return loraFlags(Object.fromEntries(given));
}
