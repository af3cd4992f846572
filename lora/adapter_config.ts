/**
 * adapter_config.json as PEFT reads and writes it. In: settings, or the parsed file. Out: the
 * file's text, or settings.
 *
 * @module
 */

import { describeValue } from "../internal/json/describe_value.ts";
import { listFields } from "../internal/json/field_table.ts";
import { isRecord } from "../internal/json/is_record.ts";
import { readJson } from "../internal/json/read_json.ts";
import { ADAPTER_FIELDS, reviewInit } from "./adapter_fields.ts";
import type { LoraOptions } from "./lora_options.ts";

/** The file of an adapter's settings. */
export const ADAPTER_CONFIG = "adapter_config.json";
/** The file of an adapter's weights. */
export const ADAPTER_WEIGHTS = "adapter_model.safetensors";

/** An adapter's settings as its file has them. */
export interface AdapterConfig extends LoraOptions {
  /** What of the file is not honoured, a sentence each. */
  readonly notes: readonly string[];
}

/** The text of adapter_config.json: PEFT's portable core, keys sorted. */
export function formatAdapterConfig(
  lora: LoraOptions,
  { baseModel }: { readonly baseModel: string },
): string {
  const { rank, alpha, dropout, targetModules, rslora, dora } = lora;
  const { layersToTransform, layersPattern, excludeModules, rankPattern, alphaPattern } = lora;
  const sorted = (names: string | readonly string[]) =>
    typeof names === "string" ? names : names.toSorted();
  const fields: Record<string, unknown> = {
    alpha_pattern: alphaPattern ?? {},
    base_model_name_or_path: baseModel,
    bias: "none",
    ...excludeModules === undefined ? {} : { exclude_modules: sorted(excludeModules) },
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    ...layersPattern === undefined ? {} : { layers_pattern: layersPattern },
    ...layersToTransform === undefined ? {} : { layers_to_transform: layersToTransform },
    lora_alpha: alpha,
    lora_dropout: dropout,
    modules_to_save: null,
    peft_type: "LORA",
    r: rank,
    rank_pattern: rankPattern ?? {},
    revision: null,
    target_modules: sorted(targetModules),
    task_type: "CAUSAL_LM",
    use_dora: dora,
    use_rslora: rslora,
  };
  return formatFields(fields);
}

/**
 * The text of an adapter's file with another name of its base model; all else stays.
 *
 * @throws {Error} where the file is missing or is no JSON object
 */
export async function renameBaseModel(directory: string, baseModel: string): Promise<string> {
  const fields = await readFields(directory);
  if (!isRecord(fields)) {
    throw new RangeError(`Cannot read ${directory}/${ADAPTER_CONFIG}: expected a JSON object`);
  }
  return formatFields({ ...fields, base_model_name_or_path: baseModel });
}

function formatFields(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(fields, null, 2) + "\n";
}

/**
 * Checks a parsed adapter_config.json. Which layers a model has for it says `loraTargets`.
 *
 * @example
 * ```ts
 * import { parseAdapterConfig } from "@ortune/ortune/lora";
 * import assert from "node:assert/strict";
 *
 * const core = { peft_type: "LORA", r: 4, lora_alpha: 16, target_modules: "all-linear" };
 * const { rank, notes } = parseAdapterConfig({ ...core, layer_gates: 3 });
 * assert.equal(rank, 4);
 * assert.match(notes[0], /layer_gates/);
 * assert.throws(
 *   () => parseAdapterConfig({ ...core, init_lora_weights: "pissa" }),
 *   /init_lora_weights is "pissa": .* path_initial_model_for_weight_conversion/,
 * );
 * ```
 *
 * @throws {RangeError} naming the file, the field and the value
 */
export function parseAdapterConfig(json: unknown, path: string = ADAPTER_CONFIG): AdapterConfig {
  if (!isRecord(json)) throw new RangeError(`Cannot read ${path}: expected a JSON object`);
  const fields: AdapterFields = new AdapterFields(json, path);
  const notes = fields.review();
  const layersToTransform = fields.layers();
  const layersPattern = fields.names("layers_pattern");
  const excludeModules = fields.names("exclude_modules");
  const targetModules = fields.names("target_modules");
  if (targetModules === undefined) {
    fields.fail("target_modules", "must be a list of names or a regular expression");
  }
  if (typeof targetModules === "string") {
    // PEFT refuses both: a regular expression chooses the blocks itself.
    for (const field of ["layers_to_transform", "layers_pattern"]) {
      if ((json[field] ?? null) !== null) {
        fields.fail(field, "must be left out where target_modules is a regular expression");
      }
    }
  }
  if (layersPattern !== undefined && layersPattern.length > 0 && layersToTransform === undefined) {
    fields.fail("layers_pattern", "needs layers_to_transform beside it");
  }
  const isRank = (value: number) => Number.isSafeInteger(value) && value > 0;
  return {
    rank: fields.number("r", isRank, "a whole number above 0"),
    alpha: fields.number("lora_alpha", (value) => value > 0, "a number above 0"),
    dropout: json.lora_dropout === undefined
      ? 0
      : fields.number("lora_dropout", (value) => value >= 0 && value < 1, "from 0 to below 1"),
    targetModules,
    rslora: fields.flag("use_rslora"),
    dora: fields.flag("use_dora"),
    ...layersToTransform === undefined ? {} : { layersToTransform },
    ...layersPattern === undefined ? {} : { layersPattern },
    ...excludeModules === undefined ? {} : { excludeModules },
    ...fields.pattern("rank_pattern", "rankPattern", isRank, "whole numbers above 0"),
    ...fields.pattern("alpha_pattern", "alphaPattern", (value) => value > 0, "numbers above 0"),
    notes,
  };
}

/** The fields of one file. */
class AdapterFields {
  readonly #raw: Readonly<Record<string, unknown>>;
  readonly #path: string;

  constructor(raw: Readonly<Record<string, unknown>>, path: string) {
    this.#raw = raw;
    this.#path = path;
  }

  /** Refuses what cannot be honoured; answers notes on what can be left. */
  review(): readonly string[] {
    const raw = this.#raw;
    const { peft_type: type = "LORA", init_lora_weights: init } = raw;
    if (type !== "LORA") {
      throw new RangeError(
        `Cannot read ${this.#path}: peft_type is ${
          this.#show(type)
        }, ortune supports only "LORA"; ` +
          "merge the adapter with PEFT first, or train one here",
      );
    }
    const { refused, warned, unknown } = ADAPTER_FIELDS.review(raw);
    const ofInit = reviewInit(init);
    const faults = [
      ...refused.map(({ message }) => message),
      ...ofInit.refused ? [`init_lora_weights is ${this.#show(init)}: ${ofInit.refused}`] : [],
    ];
    if (faults.length > 0) {
      throw new RangeError(`Cannot use the adapter of ${this.#path}: ${faults.join("\n  ")}`);
    }
    const shown = listFields(unknown.map((field) => `${field} (${describeValue(raw[field])})`));
    return [
      ...warned.map(({ message }) => message),
      ...ofInit.warned ? [`init_lora_weights is ${this.#show(init)}: ${ofInit.warned}`] : [],
      ...unknown.length === 0
        ? []
        : [`ortune does not know ${shown} and leaves them out: what they change is lost`],
    ].map((note) => `${this.#path}: ${note}`);
  }

  fail(field: string, must: string): never {
    throw new RangeError(
      `Cannot read ${this.#path}: ${field} ${must}, got ${this.#show(this.#raw[field])}`,
    );
  }

  number(field: string, holds: (value: number) => boolean, what: string): number {
    const value = this.#raw[field];
    if (typeof value === "number" && Number.isFinite(value) && holds(value)) return value;
    this.fail(field, `must be ${what}`);
  }

  flag(field: string): boolean {
    const value = this.#raw[field] ?? false;
    if (typeof value === "boolean") return value;
    this.fail(field, "must be true or false");
  }

  /** A list of names, or a regular expression. */
  names(field: string): readonly string[] | string | undefined {
    const value = this.#raw[field] ?? undefined;
    if (value === undefined || typeof value === "string") return value;
    if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value;
    this.fail(field, "must be a list of names or a regular expression");
  }

  layers(): number | readonly number[] | undefined {
    const value = this.#raw.layers_to_transform ?? undefined;
    const isLayer = (each: unknown): each is number => Number.isSafeInteger(each);
    if (value === undefined || isLayer(value)) return value;
    if (Array.isArray(value) && value.every(isLayer)) return value;
    this.fail("layers_to_transform", "must be the number of a block or a list of them");
  }

  pattern<Key extends string>(
    field: string,
    key: Key,
    holds: (value: number) => boolean,
    what: string,
  ): { readonly [K in Key]?: Readonly<Record<string, number>> } {
    const value = this.#raw[field] ?? {};
    if (!isRecord(value)) this.fail(field, "must be an object");
    const entries = Object.entries(value);
    const wrong = entries.find(([, each]) =>
      typeof each !== "number" || !Number.isFinite(each) || !holds(each)
    );
    if (wrong) {
      throw new RangeError(
        `Cannot read ${this.#path}: ${field} must hold ${what}, got ${this.#show(wrong[1])} for ` +
          this.#show(wrong[0]),
      );
    }
    return (entries.length === 0 ? {} : { [key]: value }) as ReturnType<typeof this.pattern<Key>>;
  }

  #show(value: unknown): string {
    const text = typeof value === "object" && value !== null
      ? describeValue(value)
      : JSON.stringify(value) ?? "missing";
    return text.length > 80 ? `${text.slice(0, 80).toWellFormed()}…` : text;
  }
}

/**
 * Reads adapter_config.json of an adapter folder.
 *
 * @throws {Error} where it is missing or wrong
 */
export async function readAdapterConfig(directory: string): Promise<AdapterConfig> {
  return parseAdapterConfig(await readFields(directory), `${directory}/${ADAPTER_CONFIG}`);
}

/**
 * The base model that an adapter was trained on, as its file names it: a folder, or a hub's id.
 *
 * @throws {Error} where it names none
 */
export async function readBaseModel(directory: string): Promise<string> {
  const fields = await readFields(directory);
  const base = isRecord(fields) ? fields.base_model_name_or_path : undefined;
  if (typeof base === "string" && base !== "") return base;
  throw new Error(
    `Cannot find the base model of ${directory}: its ${ADAPTER_CONFIG} names none; give --model`,
  );
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
