/**
 * How config.json scales rotary frequencies: `rope_scaling`, and what newer transformers write in
 * its place, `rope_parameters`.
 *
 * In: the parsed file. Out: θ and one scaling, or an error that names the field. Meanings are those
 * of transformers 5.24.0, modeling_rope_utils.py; where two fields state one fact differently the
 * versions of transformers do not agree, and the file is refused.
 *
 * @module
 */

import { FieldTable, listFields, showValue } from "../internal/json/field_table.ts";
import { isRecord } from "../internal/json/is_record.ts";

/** Frequencies are divided by a factor (`linear`). */
export interface LinearRopeScaling {
  /** Its `rope_type`. */
  readonly type: "linear";
  /** Frequencies are divided by this. */
  readonly factor: number;
}

/**
 * θ grows with sequences longer than `max_position_embeddings` (`dynamic`, NTK-aware). Up to there,
 * and no longer sequence is accepted, θ is the config's.
 */
export interface DynamicRopeScaling {
  /** Its `rope_type`. */
  readonly type: "dynamic";
  /** How much longer sequences may become. */
  readonly factor: number;
}

/** Low frequencies are divided, high ones kept, and queries and keys scaled (YaRN, Peng et al. 2023). */
export interface YarnRopeScaling {
  /** Its `rope_type`. */
  readonly type: "yarn";
  /** Low frequencies are divided by this. */
  readonly factor: number;
  /** Cosines and sines are multiplied by this. */
  readonly attentionFactor: number;
  /** Frequencies that turn more often than this over the original positions are kept. */
  readonly betaFast: number;
  /** Frequencies that turn less often than this over the original positions are divided. */
  readonly betaSlow: number;
  /** Whether the bounds between them are whole dimensions. */
  readonly truncate: boolean;
  /** Positions of the pretrained model, before scaling. */
  readonly originalMaxPositions: number;
}

/** Long wavelengths are divided, short ones kept (`llama3`). */
export interface Llama3RopeScaling {
  /** Its `rope_type`. */
  readonly type: "llama3";
  /** Long wavelengths are divided by this. */
  readonly factor: number;
  /** Wavelengths above originalMaxPositions ÷ this are long. */
  readonly lowFreqFactor: number;
  /** Wavelengths below originalMaxPositions ÷ this are kept. */
  readonly highFreqFactor: number;
  /** Positions of the pretrained model, before scaling. */
  readonly originalMaxPositions: number;
}

/** https://github.com/huggingface/transformers, modeling_rope_utils.py. */
export type RopeScaling =
  | LinearRopeScaling
  | DynamicRopeScaling
  | YarnRopeScaling
  | Llama3RopeScaling;

/** Rotary embeddings as config.json asks for them. */
export interface Rope {
  /** θ, the base of the frequencies. */
  readonly theta: number;
  /** Undefined for `default`. */
  readonly scaling?: RopeScaling;
}

/** What the rest of config.json says, and where to put what is wrong. */
export interface RopeContext {
  /** `max_position_embeddings`. */
  readonly maxPositions: number;
  /** `head_dim`. */
  readonly headDim: number;
  /** Throws an error on a field. */
  readonly fail: (field: string, state: string) => never;
  /** Keeps a warning. */
  readonly note: (message: string) => void;
}

/** θ of transformers' classes where config.json names none. */
const DEFAULT_THETA = 10000;

/** What a type reads besides its own name and θ. */
const PARAMETERS = {
  default: [],
  linear: ["factor"],
  dynamic: ["factor"],
  yarn: [
    "factor",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "original_max_position_embeddings",
  ],
  llama3: [
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
  ],
} as const;

/** A rope_type that is honoured. */
type RopeType = keyof typeof PARAMETERS;

const ALL_PARAMETERS = [
  ...new Set(Object.values(PARAMETERS).flat()),
  "short_factor",
  "long_factor",
];

/** The fields of a rope dictionary, by its type. */
export const ROPE_FIELDS: Readonly<Record<RopeType, FieldTable>> = {
  default: tableOf("default"),
  linear: tableOf("linear"),
  dynamic: tableOf("dynamic"),
  yarn: tableOf("yarn"),
  llama3: tableOf("llama3"),
};

function tableOf(type: RopeType): FieldTable {
  const honoured: readonly string[] = PARAMETERS[type];
  const remedy = `it has no effect with the type ${type}; remove it, or correct the type`;
  const warned = ALL_PARAMETERS.filter((field) => !honoured.includes(field));
  return new FieldTable({
    honoured: ["rope_type", "type", "rope_theta", ...honoured],
    refused: {
      partial_rotary_factor: { unless: [1], remedy: "only 1 is supported" },
      mrope_section: { remedy: "rotary embeddings of images are not supported; use a text model" },
      mrope_interleaved: { unless: [false], remedy: "only text models are supported" },
    },
    warned: Object.fromEntries(warned.map((field) => [field, { remedy }])),
  });
}

/** Reads config.json's rope fields together. */
export function parseRope(raw: Readonly<Record<string, unknown>>, context: RopeContext): Rope {
  const { fail } = context;
  const top = positive(raw.rope_theta ?? undefined, "rope_theta", context);
  const dictionaries = ["rope_scaling", "rope_parameters"].flatMap((field) => {
    const dictionary = findDictionary(raw, field, fail);
    return dictionary ? [{ ...dictionary, rope: parseDictionary(dictionary, raw, context) }] : [];
  });
  const resolved = dictionaries.map(({ field, rope: { theta, scaling } }) => {
    if (theta !== undefined && top !== undefined && theta !== top) {
      fail(
        "rope_theta",
        `is ${top} and ${field}.rope_theta is ${theta}: versions of transformers differ in which ` +
          "they take; remove the wrong one",
      );
    }
    const base = theta ?? top ?? DEFAULT_THETA;
    // YaRN divides by its logarithm.
    if (scaling?.type === "yarn" && base === 1) fail("rope_theta", "is 1: yarn needs another base");
    return { theta: base, scaling };
  });
  if (resolved.length === 0) {
    noteTopOriginal(raw, "default", context);
    return { theta: top ?? DEFAULT_THETA };
  }
  if (resolved.length > 1 && JSON.stringify(resolved[0]) !== JSON.stringify(resolved[1])) {
    fail(
      "rope_scaling",
      `asks for ${describe(resolved[0])} and rope_parameters for ${
        describe(resolved[1])
      }: versions ` +
        "of transformers differ in which they take; remove the wrong one",
    );
  }
  return resolved[0];
}

/** A rope dictionary and where it stands. */
interface Dictionary {
  readonly field: string;
  readonly record: Readonly<Record<string, unknown>>;
}

/** The dictionary under a field; the one for full attention where there is one a kind of layer. */
function findDictionary(
  raw: Readonly<Record<string, unknown>>,
  field: string,
  fail: RopeContext["fail"],
): Dictionary | undefined {
  const record = raw[field] ?? undefined;
  if (record === undefined) return undefined;
  if (!isRecord(record)) return fail(field, `must be an object, got ${showValue(record)}`);
  const names = Object.keys(record);
  // transformers takes an empty dictionary for none.
  if (names.length === 0) return undefined;
  const layerTypes = names.filter((name) => /_attention$/.test(name) || isRecord(record[name]));
  if (layerTypes.length === 0) return { field, record };
  const own = record.full_attention;
  if (!isRecord(own)) {
    return fail(field, `is by kind of layer (${listFields(layerTypes)}) without full_attention`);
  }
  const flat = names.filter((name) =>
    !layerTypes.includes(name) && (record[name] ?? null) !== null
  );
  if (flat.length > 0) {
    return fail(
      field,
      `has parameters by kind of layer (${listFields(layerTypes)}) and ${
        listFields(flat)
      } beside ` +
        "them; move these into full_attention",
    );
  }
  return { field: `${field}.full_attention`, record: own };
}

function parseDictionary(
  { field, record }: Dictionary,
  raw: Readonly<Record<string, unknown>>,
  context: RopeContext,
): { readonly theta?: number; readonly scaling?: RopeScaling } {
  const { fail, note } = context;
  const { rope_type: current, type: older } = record;
  if ((current ?? older) !== (older ?? current)) {
    fail(
      field,
      `has rope_type ${showValue(current)} and type ${
        showValue(older)
      }: versions of transformers differ in ` +
        "which they take; remove the wrong one",
    );
  }
  const named = current ?? older ?? "default";
  if (typeof named !== "string" || !Object.hasOwn(PARAMETERS, named)) {
    fail(
      field,
      `has type ${showValue(named)}: ortune supports ${
        Object.keys(PARAMETERS).join(", ")
      }; use a model ` +
        "with one of these",
    );
  }
  const type = named as RopeType;
  const { refused, warned, unknown } = ROPE_FIELDS[type].review(record);
  if (refused.length > 0) {
    const [{ field: first, message }] = refused;
    fail(`${field}.${first}`, message.slice(first.length + 1));
  }
  for (const { message } of warned) note(`${field}.${message}`);
  if (unknown.length > 0) {
    note(
      `${field} holds fields that ortune does not know: ${
        listFields(unknown)
      }; if they change the ` +
        "model its results are wrong",
    );
  }
  noteTopOriginal(raw, type, context);
  const theta = positive(record.rope_theta ?? undefined, `${field}.rope_theta`, context);
  const number = (name: string): number =>
    positive(record[name], `${field}.${name}`, context) ??
      fail(`${field}.${name}`, "must be a number above 0, got missing");
  const original = (): number => originalMaxPositions({ field, record }, raw, context);
  switch (type) {
    case "default":
      return { theta };
    case "linear":
      return { theta, scaling: { type, factor: number("factor") } };
    case "dynamic":
      if (context.headDim < 4) fail("head_dim", `is ${context.headDim}: dynamic needs at least 4`);
      return { theta, scaling: { type, factor: number("factor") } };
    case "yarn":
      return { theta, scaling: parseYarn({ field, record }, original(), context) };
    case "llama3": {
      const [lowFreqFactor, highFreqFactor] = [
        number("low_freq_factor"),
        number("high_freq_factor"),
      ];
      if (highFreqFactor <= lowFreqFactor) {
        const state = `must be above low_freq_factor ${lowFreqFactor}, got ${highFreqFactor}`;
        fail(`${field}.high_freq_factor`, state);
      }
      return {
        theta,
        scaling: {
          type,
          factor: number("factor"),
          lowFreqFactor,
          highFreqFactor,
          originalMaxPositions: original(),
        },
      };
    }
  }
}

function parseYarn(
  { field, record }: Dictionary,
  originalMaxPositions: number,
  context: RopeContext,
): YarnRopeScaling {
  const { fail, note, maxPositions } = context;
  // 0 counts as missing in these, as in the reference.
  const optional = (name: string): number | undefined =>
    record[name] === 0
      ? undefined
      : positive(record[name] ?? undefined, `${field}.${name}`, context);
  if (record.factor === undefined) {
    fail(
      `${field}.factor`,
      "must be a number above 0, got missing; null stands for max_position_embeddings ÷ " +
        "original_max_position_embeddings",
    );
  }
  const implied = maxPositions / originalMaxPositions;
  const factor = positive(record.factor ?? undefined, `${field}.factor`, context) ?? implied;
  if (factor !== implied && implied !== 1) {
    note(
      `${field}.factor is ${factor}, but max_position_embeddings ${maxPositions} ÷ ` +
        `original_max_position_embeddings ${originalMaxPositions} is ${implied}: ${factor} is used`,
    );
  }
  const [betaFast, betaSlow] = [optional("beta_fast") ?? 32, optional("beta_slow") ?? 1];
  if (betaFast < betaSlow) {
    fail(`${field}.beta_fast`, `must not be below beta_slow ${betaSlow}, got ${betaFast}`);
  }
  const truncate = record.truncate ?? true;
  if (typeof truncate !== "boolean") {
    return fail(`${field}.truncate`, `must be true or false, got ${showValue(truncate)}`);
  }
  const [mscale, mscaleAllDim] = [optional("mscale"), optional("mscale_all_dim")];
  if ((mscale === undefined) !== (mscaleAllDim === undefined)) {
    const alone = mscale === undefined ? "mscale_all_dim" : "mscale";
    note(`${field}.${alone} is ${record[alone]}: it has no effect without the other of the two`);
  }
  const computed = mscale !== undefined && mscaleAllDim !== undefined
    ? yarnScale(factor, mscale) / yarnScale(factor, mscaleAllDim)
    : yarnScale(factor, 1);
  const given = positive(
    record.attention_factor ?? undefined,
    `${field}.attention_factor`,
    context,
  );
  if (given !== undefined && mscale !== undefined) {
    note(`${field}.mscale is ${mscale}: it has no effect beside attention_factor`);
  }
  return {
    type: "yarn",
    factor,
    attentionFactor: given ?? computed,
    betaFast,
    betaSlow,
    truncate,
    originalMaxPositions,
  };
}

/** YaRN's scale of attention, 0.1 · m · ln(factor) + 1. */
function yarnScale(factor: number, mscale: number): number {
  return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
}

/** Positions before scaling: beside the dictionary, in it, or else `max_position_embeddings`. */
function originalMaxPositions(
  { field, record }: Dictionary,
  raw: Readonly<Record<string, unknown>>,
  context: RopeContext,
): number {
  const name = "original_max_position_embeddings";
  const top = positive(raw[name] ?? undefined, name, context);
  const own = positive(record[name] ?? undefined, `${field}.${name}`, context);
  if (top !== undefined && own !== undefined && top !== own) {
    context.fail(
      name,
      `is ${top} and ${field}.${name} is ${own}: versions of transformers differ in which they ` +
        "take; remove the wrong one",
    );
  }
  return top ?? own ?? context.maxPositions;
}

/** The field beside the dictionary is read with two types only. */
function noteTopOriginal(
  raw: Readonly<Record<string, unknown>>,
  type: RopeType,
  { note }: RopeContext,
): void {
  const name = "original_max_position_embeddings";
  if ((raw[name] ?? null) === null || type === "yarn" || type === "llama3") return;
  note(
    `${name} is ${showValue(raw[name])}: it has no effect with rotary embeddings of type ${type}`,
  );
}

function positive(
  value: unknown,
  field: string,
  { fail }: Pick<RopeContext, "fail">,
): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
  return fail(field, `must be a number above 0, got ${showValue(value)}`);
}

function describe({ theta, scaling }: Rope): string {
  return `${scaling ? JSON.stringify(scaling) : "no scaling"} with rope_theta ${theta}`;
}
