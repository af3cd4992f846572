/**
 * adapter_config.json as PEFT reads and writes it. In: settings, or the parsed file. Out: the
 * file's text, or settings.
 *
 * @module
 */

import { readJson } from "../json/read_json.ts";
import { adaptedLayers, type LoraOptions } from "./lora_options.ts";

/** The file of an adapter's settings. */
export const ADAPTER_CONFIG = "adapter_config.json";
/** The file of an adapter's weights. */
export const ADAPTER_WEIGHTS = "adapter_model.safetensors";

/** What PEFT writes that ortune has one value for; another value is refused. */
const FIXED: Readonly<Record<string, unknown>> = {
  alpha_pattern: {},
  bias: "none",
  fan_in_fan_out: false,
  modules_to_save: null,
  peft_type: "LORA",
  rank_pattern: {},
};

/** The text of adapter_config.json: PEFT's portable core, keys sorted. */
export function formatAdapterConfig(
  { rank, alpha, dropout, targetModules, rslora, dora }: LoraOptions,
  { baseModel }: { readonly baseModel: string },
): string {
  const fields: Record<string, unknown> = {
    ...FIXED,
    base_model_name_or_path: baseModel,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: alpha,
    lora_dropout: dropout,
    r: rank,
    revision: null,
    target_modules: targetModules.toSorted(),
    task_type: "CAUSAL_LM",
    use_dora: dora,
    use_rslora: rslora,
  };
  const sorted = Object.fromEntries(Object.keys(fields).sort().map((key) => [key, fields[key]]));
  return JSON.stringify(sorted, null, 2) + "\n";
}

/**
 * Checks a parsed adapter_config.json.
 *
 * @throws {RangeError} naming the file, the field and the value
 */
export function parseAdapterConfig(json: unknown, path: string = ADAPTER_CONFIG): LoraOptions {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new RangeError(`Cannot read ${path}: expected a JSON object`);
  }
  const raw = json as Record<string, unknown>;
  const show = (value: unknown): string => JSON.stringify(value) ?? "missing";
  for (const [field, value] of Object.entries(FIXED)) {
    const given = raw[field] ?? value;
    if (show(given) === show(value)) continue;
    throw new RangeError(
      `Cannot read ${path}: ${field} is ${show(given)}, ortune supports only ${show(value)}; ` +
        "merge the adapter with PEFT first, or train one here",
    );
  }
  const number = (field: string, holds: (value: number) => boolean, what: string): number => {
    const value = raw[field];
    if (typeof value === "number" && holds(value)) return value;
    throw new RangeError(`Cannot read ${path}: ${field} must be ${what}, got ${show(value)}`);
  };
  const flag = (field: string): boolean => {
    const value = raw[field] ?? false;
    if (typeof value === "boolean") return value;
    throw new RangeError(`Cannot read ${path}: ${field} must be true or false, got ${show(value)}`);
  };
  const targets = raw.target_modules;
  if (!Array.isArray(targets) || !targets.every((each) => typeof each === "string")) {
    throw new RangeError(
      `Cannot read ${path}: target_modules must be a list of names, got ${show(targets)}`,
    );
  }
  const options: LoraOptions = {
    rank: number(
      "r",
      (value) => Number.isSafeInteger(value) && value > 0,
      "a whole number above 0",
    ),
    alpha: number("lora_alpha", (value) => value > 0, "a number above 0"),
    dropout: raw.lora_dropout === undefined
      ? 0
      : number("lora_dropout", (value) => value >= 0 && value < 1, "from 0 to below 1"),
    targetModules: targets,
    rslora: flag("use_rslora"),
    dora: flag("use_dora"),
  };
  adaptedLayers(options);
  return options;
}

/**
 * Reads adapter_config.json of an adapter folder.
 *
 * @throws {Error} where it is missing or wrong
 */
export async function readAdapterConfig(directory: string): Promise<LoraOptions> {
  return parseAdapterConfig(await readFields(directory), `${directory}/${ADAPTER_CONFIG}`);
}

/**
 * The folder of the base model that an adapter was trained on.
 *
 * @throws {Error} where the adapter does not name one that is here
 */
export async function readBaseModel(directory: string): Promise<string> {
  const { base_model_name_or_path: base } = await readFields(directory) as Record<string, unknown>;
  if (typeof base === "string" && await isFolder(base)) return base;
  throw new Error(
    `Cannot find the base model of ${directory}: its ${ADAPTER_CONFIG} names ` +
      `${JSON.stringify(base) ?? "none"}, which is no folder here; give --model`,
  );
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotCapable) {
      return false;
    }
    throw cause;
  }
}

async function readFields(directory: string): Promise<unknown> {
  const path = `${directory}/${ADAPTER_CONFIG}`;
  const json = await readJson(path, "copy it again from where the adapter was saved");
  if (json !== undefined) return json ?? {};
  throw new Error(
    `Cannot open adapter ${directory}: there is no ${path}; give a folder that PEFT or ` +
      `\`deno task train:lora\` saved (${ADAPTER_CONFIG}, ${ADAPTER_WEIGHTS})`,
  );
}
