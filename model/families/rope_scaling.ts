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

import {
  FieldTable,
  listFields,
  showValue,
  type UnsupportedField,
} from "../../internal/json/field_table.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import type {
  LongRopeScaling,
  Rope,
  RopeScaling,
  YarnRopeScaling,
} from "../parts/rope_settings.ts";

/** What the rest of config.json says, and where to put what is wrong. */
export interface RopeContext {
  /** `max_position_embeddings`. */
  readonly maxPositions: number;
  /** `head_dim`. */
  readonly headDim: number;
  /** The kind of layers to read for, where there is a dictionary a kind. @default "full_attention" */
  readonly layerType?: string;
  /** The fields to read. @default {DEFAULT_FIELDS} */
  readonly fields?: RopeFields;
  /** θ where config.json names none. @default 10000 */
  readonly defaultTheta?: number;
  /** Whether `partial_rotary_factor` is honoured. @default false: it must be 1 */
  readonly partial?: boolean;
  /** `partial_rotary_factor` where config.json names none. @default 1 */
  readonly defaultPartial?: number;
  /** `original_max_position_embeddings` where config.json names none. @default `maxPositions` */
  readonly defaultOriginal?: number;
  /** Other names of types that the family knows. @default none */
  readonly otherNames?: Readonly<Record<string, string>>;
  /** What the family itself reads of the dictionary. @default nothing */
  readonly alsoRead?: readonly string[];
  /** Throws an error on a field. */
  readonly fail: (field: string, state: string) => never;
  /** Keeps a warning. */
  readonly note: (message: string) => void;
}

/** Where the rotary fields of a kind of layers stand. */
export interface RopeFields {
  /** The field of θ outside of dictionaries. */
  readonly theta: string;
  /** The fields that hold dictionaries. */
  readonly dictionaries: readonly string[];
}

const DEFAULT_FIELDS: RopeFields = {
  theta: "rope_theta",
  dictionaries: ["rope_scaling", "rope_parameters"],
};

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
  longrope: [
    "short_factor",
    "long_factor",
    "factor",
    "attention_factor",
    "original_max_position_embeddings",
  ],
} as const;

/** A rope_type that is honoured. */
type RopeType = keyof typeof PARAMETERS;

const ALL_PARAMETERS = [...new Set(Object.values(PARAMETERS).flat())];

/** Fields that text models do without. */
const OF_IMAGES: Readonly<Record<string, UnsupportedField>> = {
  mrope_section: { remedy: "rotary embeddings of images are not supported; use a text model" },
  mrope_interleaved: { unless: [false], remedy: "only text models are supported" },
};

/** The fields of a rope dictionary. */
function fieldsOf(
  type: RopeType,
  { partial = false, alsoRead = [] }: Pick<RopeContext, "partial" | "alsoRead">,
): FieldTable {
  const honoured: readonly string[] = [...new Set([...PARAMETERS[type], ...alsoRead])];
  const remedy = `it has no effect with the type ${type}; remove it, or correct the type`;
  const warned = ALL_PARAMETERS.filter((field) => !honoured.includes(field));
  return new FieldTable({
    honoured: [
      ...["rope_type", "type", "rope_theta", ...honoured],
      ...partial ? ["partial_rotary_factor"] : [],
    ],
    refused: {
      ...partial ? {} : { partial_rotary_factor: { unless: [1], remedy: "only 1 is supported" } },
      ...Object.fromEntries(
        Object.entries(OF_IMAGES).filter(([field]) => !honoured.includes(field)),
      ),
    },
    warned: Object.fromEntries(warned.map((field) => [field, { remedy }])),
  });
}

/** Reads config.json's rope fields together. */
export function parseRope(raw: Readonly<Record<string, unknown>>, context: RopeContext): Rope {
  const { fail, maxPositions, defaultTheta = DEFAULT_THETA, fields = DEFAULT_FIELDS } = context;
  const top = positive(raw[fields.theta] ?? undefined, fields.theta, context);
  const dictionaries = fields.dictionaries.flatMap((field) => {
    const dictionary = findDictionary(raw, field, context);
    return dictionary ? [{ ...dictionary, rope: parseDictionary(dictionary, raw, context) }] : [];
  });
  const resolved = dictionaries.map(({ field, rope: { theta, scaling } }) => {
    if (theta !== undefined && top !== undefined && theta !== top) {
      fail(
        fields.theta,
        `is ${top} and ${field}.rope_theta is ${theta}: versions of transformers differ in which ` +
          "they take; remove the wrong one",
      );
    }
    const base = theta ?? top ?? defaultTheta;
    // YaRN divides by its logarithm.
    if (scaling?.type === "yarn" && base === 1) fail("rope_theta", "is 1: yarn needs another base");
    return { theta: base, scaling };
  });
  const width = turnedWidth(raw, dictionaries, context);
  if (resolved.length === 0) {
    noteTopOriginal(raw, "default", context);
    return { theta: top ?? defaultTheta, width, maxPositions };
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
  return { ...resolved[0], width, maxPositions };
}

/** How much of a head is turned: `partial_rotary_factor`, beside the dictionaries or in them. */
function turnedWidth(
  raw: Readonly<Record<string, unknown>>,
  dictionaries: readonly Dictionary[],
  context: RopeContext,
): number {
  const { headDim, partial = false, defaultPartial = 1, fail } = context;
  if (!partial) return headDim;
  const name = "partial_rotary_factor";
  const found = [{ field: "", record: raw }, ...dictionaries].flatMap(({ field, record }) => {
    const full = field === "" ? name : `${field}.${name}`;
    const value = positive(record[name] ?? undefined, full, context);
    return value === undefined ? [] : [{ full, value }];
  });
  const [first, ...rest] = found;
  const other = rest.find(({ value }) => value !== first.value);
  if (other) {
    fail(
      first.full,
      `is ${first.value} and ${other.full} is ${other.value}: versions of transformers differ in ` +
        "which they take; remove the wrong one",
    );
  }
  const { full, value } = first ?? { full: name, value: defaultPartial };
  const width = Math.floor(headDim * value);
  if (width >= 2 && width <= headDim && width % 2 === 0) return width;
  return fail(
    full,
    `is ${value}: of heads of ${headDim} numbers it turns ${width}; that must be an even ` +
      `number from 2 to ${headDim}`,
  );
}

/** A rope dictionary and where it stands. */
interface Dictionary {
  readonly field: string;
  readonly record: Readonly<Record<string, unknown>>;
}

/** The dictionary under a field; that of the kind of layer where there is one a kind. */
function findDictionary(
  raw: Readonly<Record<string, unknown>>,
  field: string,
  { fail, layerType = "full_attention" }: RopeContext,
): Dictionary | undefined {
  const record = raw[field] ?? undefined;
  if (record === undefined) return undefined;
  if (!isRecord(record)) return fail(field, `must be an object, got ${showValue(record)}`);
  const names = Object.keys(record);
  // transformers takes an empty dictionary for none.
  if (names.length === 0) return undefined;
  const layerTypes = names.filter((name) => /_attention$/.test(name) || isRecord(record[name]));
  if (layerTypes.length === 0) return { field, record };
  const own = record[layerType];
  if (!isRecord(own)) {
    return fail(field, `is by kind of layer (${listFields(layerTypes)}) without ${layerType}`);
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
        `them; move these into ${layerType}`,
    );
  }
  return { field: `${field}.${layerType}`, record: own };
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
  const written = current ?? older ?? "default";
  const named = typeof written === "string" ? context.otherNames?.[written] ?? written : written;
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
  const { refused, warned, unknown } = fieldsOf(type, context).review(record);
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
    case "longrope":
      return {
        theta,
        scaling: parseLongRope({ field, record }, { raw, original: original() }, context),
      };
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

function parseLongRope(
  { field, record }: Dictionary,
  { raw, original }: { readonly raw: Readonly<Record<string, unknown>>; readonly original: number },
  context: RopeContext,
): LongRopeScaling {
  const { fail, maxPositions } = context;
  const count = turnedWidth(raw, [{ field, record }], context) / 2;
  const factors = (name: string): readonly number[] => {
    const list = record[name];
    const numbers = Array.isArray(list) &&
      list.every((each) => typeof each === "number" && each > 0 && Number.isFinite(each));
    if (numbers && list.length === count) return list;
    return fail(
      `${field}.${name}`,
      `must be a list of ${count} numbers above 0, one a frequency, got ${showValue(list)}`,
    );
  };
  const given = positive(
    record.attention_factor ?? undefined,
    `${field}.attention_factor`,
    context,
  );
  const factor = positive(record.factor ?? undefined, `${field}.factor`, context) ??
    maxPositions / original;
  // Beyond the original positions other factors count, which are checked nevertheless.
  factors("long_factor");
  return {
    type: "longrope",
    shortFactors: factors("short_factor"),
    attentionFactor: given ??
      (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original))),
    originalMaxPositions: original,
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
  return top ?? own ?? context.defaultOriginal ?? context.maxPositions;
}

/** The field beside the dictionary is read with some types only. */
function noteTopOriginal(
  raw: Readonly<Record<string, unknown>>,
  type: RopeType,
  { note }: RopeContext,
): void {
  const name = "original_max_position_embeddings";
  const read: readonly string[] = PARAMETERS[type];
  if ((raw[name] ?? null) === null || read.includes(name)) return;
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

function describe({ theta, scaling }: Pick<Rope, "theta" | "scaling">): string {
  return `${scaling ? JSON.stringify(scaling) : "no scaling"} with rope_theta ${theta}`;
}
