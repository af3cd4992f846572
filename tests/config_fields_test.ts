/** No field of transformers' config classes falls through: each is honoured, named, or listed with a reason. */

import assert from "node:assert/strict";
import { WITHOUT_EFFECT } from "../model/config_fields.ts";
import { type ModelConfig, parseConfig } from "../model/config.ts";
import { FAMILIES } from "../model/families/families.ts";
import type { Family } from "../model/families/family.ts";
import { attentionFactor, inverseFrequencies } from "../model/rope.ts";
import { isRecord } from "../internal/json/is_record.ts";
import { readConfigFixture } from "./support/config_fixture.ts";

type Json = Readonly<Record<string, unknown>>;

interface Fields {
  readonly version: string;
  readonly classes: Readonly<Record<string, Json>>;
  readonly popped: readonly string[];
  readonly generation: Json;
  readonly read_by_models: readonly string[];
  readonly rope_parameters: Readonly<Record<string, readonly string[]>>;
  readonly rope_keys?: readonly string[];
}

const versions = await Promise.all(
  ["5.24.0", "4.57.6"].map((version) => readConfigFixture<Fields>(`fields-${version}.json`)),
);

/** What a family cannot be read without. */
const REQUIRED: Readonly<Record<string, Json>> = {
  ministral3: {
    rope_parameters: {
      type: "yarn",
      factor: 4,
      original_max_position_embeddings: 16,
      llama_4_scaling_beta: 0.1,
    },
  },
  // Else it has experts, state spaces and no rotation.
  granitemoehybrid: {
    num_local_experts: 0,
    layer_types: ["attention", "attention"],
    position_embedding_type: "rope",
    shared_intermediate_size: 40,
  },
  // Else no layer of two is without rotation.
  smollm3: { no_rope_layer_interval: 2 },
  // Else no layer of two sees all.
  gemma3_text: { sliding_window_pattern: 2 },
  // Else no layer of two has attention.
  qwen3_5_text: { full_attention_interval: 2, partial_rotary_factor: 1 },
};

/** Other values than those of {@linkcode OTHER}, for a family. */
const OTHER_OF_FAMILY: Readonly<Record<string, Json>> = {
  "ministral3.original_max_position_embeddings": { original_max_position_embeddings: 24 },
  "phi3.original_max_position_embeddings": {
    original_max_position_embeddings: 16,
    rope_scaling: {
      type: "su",
      short_factor: [1, 1, 1, 1, 2, 2, 2, 2],
      long_factor: [1, 1, 2, 2, 4, 4, 8, 8],
    },
  },
};

/** What every family can be read from, with every size another. */
const SIZES: Json = {
  hidden_size: 48,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  head_dim: 16,
  vocab_size: 96,
  max_position_embeddings: 64,
};

/**
 * Values that are valid and not the default, where a number more or the other flag would not do.
 * Those that change the result only together with others come with them.
 */
const OTHER: Readonly<Record<string, Json>> = {
  attention_bias: { attention_bias: true },
  architectures: { architectures: ["Qwen3ForSequenceClassification"] },
  bos_token_id: { bos_token_id: 5 },
  dtype: { dtype: "float16" },
  eos_token_id: { eos_token_id: 5 },
  forced_bos_token_id: { forced_bos_token_id: 5 },
  hidden_act: { hidden_act: "gelu" },
  layer_types: { layer_types: ["full_attention", "sliding_attention"] },
  max_window_layers: { max_window_layers: 1, use_sliding_window: true },
  model_type: { model_type: "gpt2" },
  num_attention_heads: { num_attention_heads: 4 },
  num_key_value_heads: { num_key_value_heads: 3 },
  original_max_position_embeddings: {
    original_max_position_embeddings: 16,
    rope_scaling: { type: "yarn", factor: 4 },
  },
  pad_token_id: { pad_token_id: 5 },
  rope_parameters: { rope_parameters: { rope_type: "linear", factor: 2 } },
  rope_scaling: { rope_scaling: { rope_type: "linear", factor: 2 } },
  sliding_window: { sliding_window: 8, use_sliding_window: true, max_window_layers: 0 },
  use_sliding_window: { use_sliding_window: true, sliding_window: 8, max_window_layers: 0 },
};

/** Honoured elsewhere, by what reads `raw`. */
const READ_FROM_RAW = ["eos_token_id"];

/** Without effect in one family only, since its class fixes what the field says. */
const FIXED_BY_FAMILY: Readonly<Record<string, string>> = {
  "qwen2.attention_bias": "Qwen2 has biases on q, k and v, whatever this says",
  ...Object.fromEntries(
    ["llama", "granite", "granitemoehybrid", "olmo2"].map((family) => [
      `${family}.max_window_layers`,
      "says which layers have windows; the family has none, as sliding_window is refused",
    ]),
  ),
  ...Object.fromEntries(
    ["mistral", "ministral3", "phi3"].flatMap((family) => [
      [`${family}.attention_bias`, "the classes have no biases, whatever this says"],
      [`${family}.use_sliding_window`, "the classes go by sliding_window alone"],
      [`${family}.max_window_layers`, "the classes give all layers the window"],
    ]),
  ),
  "gemma3_text.use_sliding_window": "layer_types says which layers have windows",
  "smollm3.max_window_layers": "layer_types and no_rope_layers say which layers have windows",
};

function otherValue(field: string, value: unknown): Json {
  if (Object.hasOwn(OTHER, field)) return OTHER[field];
  if (typeof value === "boolean") return { [field]: !value };
  if (typeof value === "number") {
    return { [field]: Number.isInteger(value) ? value + 2 : value * 1.5 };
  }
  if (isRecord(value)) return { [field]: { "1": [2] } };
  if (Array.isArray(value)) return { [field]: ["x"] };
  return { [field]: "other" };
}

/** What changes in the model: sizes, flags, and of rotary embeddings what is computed in the end. */
function facts(json: Json): string {
  const config: ModelConfig = parseConfig(json);
  const { raw: _raw, notes: _notes, layerKinds, ...rest } = config;
  const kinds = layerKinds.map(({ rope, ...kind }) => ({
    ...kind,
    ...rope ? { frequencies: [...inverseFrequencies(rope)], factor: attentionFactor(rope) } : {},
  }));
  return JSON.stringify({ ...rest, kinds });
}

/** Whether the field changes the result, or is named; else the reason why it is not. */
function outcome(base: Json, change: Json, field: string): "honoured" | "named" | undefined {
  // What comes with the field is there before, unless it is the field.
  const { [field]: _, ...company } = change;
  let before: string | undefined;
  try {
    before = facts({ ...base, ...company });
  } catch { /* refused with or without the field: it must then be named */ }
  try {
    const after = facts({ ...base, ...change });
    if (before !== undefined && after !== before) return "honoured";
    const { notes } = parseConfig({ ...base, ...change });
    return notes.some((note) => note.includes(field)) ? "named" : undefined;
  } catch (cause) {
    assert.ok(cause instanceof RangeError, String(cause));
    return cause.message.includes(field) ? "named" : undefined;
  }
}

for (const { version, classes, popped, generation, read_by_models: read } of versions) {
  for (const [family, described] of Object.entries<Family>(FAMILIES)) {
    const className = described.configClass ?? `${described.className}Config`;
    if (!classes[className]) continue; // families_test.ts says which versions have it
    Deno.test(`every field of ${className} and its base in transformers ${version} is honoured, named or listed`, () => {
      const defaults: Record<string, unknown> = {
        ...Object.fromEntries([...popped, ...read].map((field) => [field, undefined])),
        ...generation,
        ...classes.PretrainedConfig,
        ...classes[className],
      };
      const base = { model_type: family, ...SIZES, ...REQUIRED[family] };
      const through: string[] = [];
      for (const [field, value] of Object.entries(defaults)) {
        const other = OTHER_OF_FAMILY[`${family}.${field}`] ??
          otherValue(field, value ?? SIZES[field]);
        const found = outcome(base, other, field);
        const reason = WITHOUT_EFFECT[field] ?? described.ignored?.[field] ??
          FIXED_BY_FAMILY[`${family}.${field}`];
        if (found === undefined && reason === undefined && !READ_FROM_RAW.includes(field)) {
          through.push(field);
        }
        // The list is of what has no effect, and of nothing else.
        if (reason !== undefined) assert.equal(found, undefined, `${field} has an effect`);
      }
      assert.deepEqual(through, []);
      assert.ok(Object.keys(defaults).length > 60);
    });
  }
}

Deno.test("a field that nobody knows is named, and null asks for nothing", () => {
  const base = { model_type: "qwen3", ...SIZES };
  const { notes } = parseConfig(
    { ...base, qk_scale: 2, flux: [1], nothing: null },
    "m/config.json",
  );
  assert.deepEqual(notes, [
    "m/config.json: it holds fields that ortune does not know: qk_scale, flux; if they change the " +
    "model its results are wrong",
  ]);
});

/** A valid dictionary of each type, in which every key has a value that is not its default. */
const DICTIONARIES: Readonly<Record<string, Json>> = {
  default: {},
  linear: { factor: 2 },
  dynamic: { factor: 2 },
  yarn: { factor: 4, original_max_position_embeddings: 16, beta_fast: 4 },
  llama3: {
    factor: 4,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 16,
  },
  longrope: {
    factor: 4,
    original_max_position_embeddings: 16,
    short_factor: [1, 1, 1, 1, 2, 2, 2, 2],
    long_factor: [1, 1, 2, 2, 4, 4, 8, 8],
  },
};

/** Other values of a dictionary's keys, with what they need beside them. */
const OTHER_ROPE: Readonly<Record<string, Json>> = {
  factor: { factor: 3 },
  original_max_position_embeddings: { original_max_position_embeddings: 24 },
  attention_factor: { attention_factor: 1.5 },
  beta_fast: { beta_fast: 1.2 },
  beta_slow: { beta_slow: 0.3 },
  mscale: { mscale: 1.5, mscale_all_dim: 0.7 },
  mscale_all_dim: { mscale: 1.5, mscale_all_dim: 0.7 },
  truncate: { truncate: false },
  low_freq_factor: { low_freq_factor: 2 },
  high_freq_factor: { high_freq_factor: 3 },
  rope_theta: { rope_theta: 1234 },
  partial_rotary_factor: { partial_rotary_factor: 0.5 },
  short_factor: { short_factor: [1, 2, 3, 4, 5, 6, 7, 8] },
  long_factor: { long_factor: [1, 2] },
  mrope_section: { mrope_section: [2, 3, 3] },
  rope_type: { rope_type: "proportional" },
  type: { type: "su" },
};

const ropeKeys = [
  ...new Set(versions.flatMap(({ rope_parameters: byType, rope_keys: keys = [] }) => [
    ...Object.values(byType).flat(),
    ...keys,
  ])),
];

/** What is done with a key beside the others of its dictionary. */
function outcomeInRope(
  base: Json,
  field: string,
  [before, after]: readonly [Json, Json],
  key: string,
) {
  const unchanged = facts({ ...base, [field]: before });
  const json = { ...base, [field]: after };
  try {
    if (facts(json) !== unchanged) return "honoured";
    return parseConfig(json).notes.some((note) => note.includes(key)) ? "named" : undefined;
  } catch (cause) {
    assert.ok(cause instanceof RangeError, String(cause));
    assert.ok(cause.message.includes(field), cause.message);
    return cause.message.includes(key.replace("rope_type", "type")) ? "named" : undefined;
  }
}

/** Keys that change the model: all others must be named. */
const HONOURED_ROPE: Readonly<Record<string, readonly string[]>> = {
  default: ["rope_theta"],
  linear: ["factor", "rope_theta"],
  // Its factor counts beyond max_position_embeddings, where sequences are refused.
  dynamic: ["rope_theta"],
  yarn: [
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "factor",
    "mscale",
    "mscale_all_dim",
    "original_max_position_embeddings",
    "rope_theta",
    "truncate",
  ],
  // Of long_factor only the length counts up to the original positions, beyond which sequences are refused.
  longrope: [
    "attention_factor",
    "factor",
    "original_max_position_embeddings",
    "rope_theta",
    "short_factor",
  ],
  llama3: [
    "factor",
    "high_freq_factor",
    "low_freq_factor",
    "original_max_position_embeddings",
    "rope_theta",
  ],
};

for (const [type, dictionary] of Object.entries(DICTIONARIES)) {
  for (const field of ["rope_scaling", "rope_parameters"]) {
    Deno.test(`every key of ${field} of type ${type} is honoured or named`, () => {
      assert.ok(ropeKeys.length >= 17);
      const base = { model_type: "llama", ...SIZES };
      const honoured: string[] = [];
      const through: string[] = [];
      for (const key of [...ropeKeys, "finetuned"]) {
        const { [key]: other, ...company } = OTHER_ROPE[key] ?? { [key]: true };
        const theta = key === "rope_theta" ? {} : { rope_theta: 100 };
        const before = { rope_type: type, ...theta, ...dictionary, ...company };
        const after = { ...before, [key]: other };
        const found = outcomeInRope(base, field, [before, after], key);
        if (found === "honoured") honoured.push(key);
        if (found === undefined) through.push(key);
      }
      assert.deepEqual(through, type === "dynamic" ? ["factor"] : []);
      assert.deepEqual(honoured.toSorted(), HONOURED_ROPE[type]);
    });
  }
}
