/**
 * A model's sizes and constants as GGUF's metadata.
 *
 * In: a config. Out: the keys that begin with the architecture's name, or an error that says what llama.cpp does
 * not compute. What it reads is in its `src/models/`, a file a family; its converter is `conversion/`.
 *
 * @module
 */

import type { GgufValue } from "../../gguf/mod.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { ModelType } from "../../model/families/families.ts";
import { distinctKinds, type LayerKind } from "../../model/parts/layer_kind.ts";
import type { Rope, RopeScaling, YarnRopeScaling } from "../../model/parts/rope_settings.ts";
import { GGUF_ARCHITECTURES } from "./tensor_names.ts";

/** A key without the architecture's name, and its value. */
type Entry = readonly [string, GgufValue];

/** Metadata of a model, and where llama.cpp computes something else. */
export interface ModelMetadata {
  /** In llama.cpp's order. */
  readonly entries: readonly Entry[];
  /** One sentence each. */
  readonly notes: readonly string[];
}

/** What a family's models have beside sizes. */
interface Extra {
  readonly entries?: readonly Entry[];
  readonly notes?: readonly string[];
}

const whole = (value: number): GgufValue => ({ type: "uint32", value });
const real = (value: number): GgufValue => ({ type: "float32", value });

/** llama.cpp's own in place of a key, in families for which it reads none. */
const YARN_BETAS = { betaFast: 32, betaSlow: 1 };
/** Every so many layers SmolLM3 turns none: llama.cpp knows no other number. */
const SMOLLM3_STEP = 4;

/**
 * The metadata.
 *
 * @throws {RangeError} naming what llama.cpp does not compute
 */
export function modelMetadata(config: ModelConfig): ModelMetadata {
  const { name } = GGUF_ARCHITECTURES[config.modelType];
  const { hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, rmsNormEps } = config;
  const extra = EXTRAS[config.modelType](config);
  const [first] = config.layerKinds.flatMap(({ rope, window }) =>
    rope && window === undefined ? [rope] : []
  );
  const rope = first ?? config.layerKinds.find(({ rope }) => rope)?.rope;
  const entries: Entry[] = [
    ["block_count", whole(layers)],
    ["context_length", whole(contextLength(config))],
    ["embedding_length", whole(hiddenSize)],
    ["feed_forward_length", whole(intermediateSize)],
    ["attention.head_count", whole(heads)],
    ["attention.head_count_kv", whole(kvHeads)],
    ...rope ? ropeEntries(config, rope) : [["rope.dimension_count", whole(headDim)] as const],
    ["attention.layer_norm_rms_epsilon", real(rmsNormEps)],
    ["attention.key_length", whole(headDim)],
    ["attention.value_length", whole(headDim)],
    ["vocab_size", whole(config.vocabSize)],
    ...extra.entries ?? [],
  ];
  return {
    entries: entries.map(([key, value]) => [`${name}.${key}`, value]),
    notes: extra.notes ?? [],
  };
}

/** What else each family has, after refusing what its graph in llama.cpp does not hold. */
const EXTRAS: Readonly<Record<ModelType, (config: ModelConfig) => Extra>> = {
  llama: (config) => {
    onlyPlainAttention(config);
    return {};
  },
  mistral: (config) => {
    onlyPlainAttention(config);
    return { notes: windowNotes(config) };
  },
  ministral3: (config) => {
    onlyPlainAttention(config);
    const growth = config.layerKinds[0].queryGrowth;
    const { scaling } = config.layerKinds[0].rope!;
    if (growth && scaling?.type === "yarn" && scaling.originalMaxPositions !== growth.span) {
      refuse(config, "queries that grow from other positions on than YaRN's original ones");
    }
    return {
      entries: growth
        ? [
          ["attention.temperature_scale", real(growth.beta)],
          ...scaling?.type === "yarn" ? [] : [originalLength(growth.span)],
        ]
        : [],
      notes: windowNotes(config),
    };
  },
  smollm3: (config) => {
    onlyPlainAttention(config);
    noBiases(config);
    const turned = config.layerKinds.every(({ rope }, layer) =>
      (rope !== undefined) === ((layer + 1) % SMOLLM3_STEP !== 0)
    );
    if (!turned) {
      refuse(config, `layers that are not turned other than every ${SMOLLM3_STEP}th`);
    }
    return { notes: windowNotes(config) };
  },
  granite: (config) => {
    onlyPlainAttention(config, { anyScale: true });
    return { entries: graniteScales(config) };
  },
  granitemoehybrid: (config) => {
    onlyPlainAttention(config, { anyScale: true });
    const turned = config.layerKinds[0].rope !== undefined;
    return {
      entries: [
        ...graniteScales(config),
        // llama.cpp's switch for rotation in this family.
        ["rope.scaling.finetuned", { type: "bool", value: turned }],
      ],
    };
  },
  qwen2: (config) => {
    onlyPlainAttention(config);
    onlyWholeHeads(config);
    return { notes: windowNotes(config) };
  },
  qwen3: (config) => {
    onlyPlainAttention(config);
    noBiases(config);
    return { notes: windowNotes(config) };
  },
  phi3: (config) => {
    onlyWholeHeads(config);
    return { notes: windowNotes(config) };
  },
  olmo2: (config) => {
    onlyPlainAttention(config);
    noBiases(config);
    onlyWholeHeads(config);
    return {};
  },
  gemma3_text: (config) => {
    noBiases(config);
    if (config.layers === 62) refuse(config, "62 layers, which it takes for Gemma 3 27B");
    onlyUsualScale(config);
    const window = config.layerKinds.find((kind) => kind.window !== undefined);
    return {
      entries: [
        ...window
          ? [
            ["attention.sliding_window", whole(window.window!)] as const,
            ["attention.sliding_window_pattern", whole(windowPeriod(config))] as const,
            ["rope.freq_base_swa", real(window.rope!.theta)] as const,
          ]
          : [],
        ...config.logitCap === undefined
          ? []
          : [["final_logit_softcapping", real(config.logitCap)] as const],
      ],
    };
  },
  qwen3_5_text: (config) => {
    noBiases(config);
    onlyUsualScale(config);
    const delta = config.layerKinds.find((kind) => kind.delta)?.delta;
    if (!delta) return refuse(config, "models without a gated delta rule");
    const { keyHeads, keyDim, valueHeads, valueDim, taps } = delta;
    if (keyDim !== valueDim) {
      refuse(config, `heads of ${keyDim} numbers for keys and ${valueDim} for values`);
    }
    if (!config.layerKinds.some(({ rope }) => rope)) refuse(config, "models without attention");
    const interval = config.layerKinds.findIndex(({ delta }) => !delta) + 1;
    const regular = config.layerKinds.every(({ delta }, layer) =>
      (delta === undefined) === ((layer + 1) % interval === 0)
    );
    if (!regular) refuse(config, "layers of attention that are not one of every so many");
    return {
      entries: [
        ["rope.dimension_sections", { type: "array", of: "int32", values: mropeSections(config) }],
        ["ssm.conv_kernel", whole(taps)],
        ["ssm.state_size", whole(keyDim)],
        ["ssm.group_count", whole(keyHeads)],
        ["ssm.time_step_rank", whole(valueHeads)],
        ["ssm.inner_size", whole(valueDim * valueHeads)],
        ["full_attention_interval", whole(interval)],
      ],
    };
  },
};

function refuse({ modelType }: ModelConfig, what: string): never {
  throw new RangeError(
    `Cannot write a GGUF file of this ${modelType}: llama.cpp's ${
      GGUF_ARCHITECTURES[modelType].name
    } has no ${what}; export with --format onnx or hf`,
  );
}

/** Scores by the root of a head's width, unless the family has a key for them. */
function onlyPlainAttention(config: ModelConfig, { anyScale = false } = {}): void {
  if (!anyScale) onlyUsualScale(config);
  const rope = config.layerKinds.find((kind) => kind.rope)?.rope;
  if (rope && rope.width !== config.headDim) {
    refuse(config, `heads of ${config.headDim} numbers of which ${rope.width} are turned`);
  }
}

/** Families of whose projections llama.cpp reads no biases, or none of the output's. */
function noBiases(config: ModelConfig): void {
  if (config.attentionBias) refuse(config, "biases of attention (attention_bias)");
}

function onlyUsualScale(config: ModelConfig): void {
  const { attentionScale, headDim } = config;
  if (Math.abs(attentionScale * Math.sqrt(headDim) - 1) < 1e-6) return;
  refuse(
    config,
    `scores of attention that are multiplied by ${attentionScale} in place of 1/√${headDim}`,
  );
}

/** Families whose heads lie in the hidden size exactly, in llama.cpp. */
function onlyWholeHeads(config: ModelConfig): void {
  const { heads, headDim, hiddenSize } = config;
  if (heads * headDim !== hiddenSize) {
    refuse(config, `${heads} heads of ${headDim} numbers at a hidden size of ${hiddenSize}`);
  }
}

function windowNotes(config: ModelConfig): readonly string[] {
  const windows = config.layerKinds.flatMap(({ window }) => window === undefined ? [] : [window]);
  const least = Math.min(...windows);
  if (least >= config.maxPositions) return [];
  return [
    `llama.cpp computes no sliding windows for ${
      GGUF_ARCHITECTURES[config.modelType].name
    }: beyond ` +
    `${least} tokens it sees more than the model was trained with, so context_length is ${least}`,
  ];
}

/** As far as llama.cpp computes what the model was trained with. */
function contextLength(config: ModelConfig): number {
  const { raw, layerKinds, modelType } = config;
  // Those two compute windows.
  const windows = modelType === "gemma3_text" || modelType === "qwen3_5_text"
    ? []
    : layerKinds.flatMap(({ window }) => window === undefined ? [] : [window]);
  // With LongRoPE llama.cpp goes beyond the positions that ortune computes.
  const most = typeof raw.max_position_embeddings === "number"
    ? raw.max_position_embeddings
    : config.maxPositions;
  return Math.min(most, ...windows);
}

/** Of so many layers the last sees all tokens. */
function windowPeriod(config: ModelConfig): number {
  const kinds: readonly LayerKind[] = config.layerKinds;
  const first = kinds.findIndex(({ window }) => window === undefined);
  const period = first < 0 ? kinds.length + 1 : first + 1;
  const regular = kinds.every(({ window }, layer) =>
    (window === undefined) === ((layer + 1) % period === 0)
  );
  return regular ? period : refuse(config, "windows in other layers than all but every so manieth");
}

function graniteScales(
  { attentionScale, embeddingScale, residualScale, logitScale }: ModelConfig,
): readonly Entry[] {
  return [
    ["attention.scale", real(attentionScale)],
    ["embedding_scale", real(embeddingScale)],
    ["residual_scale", real(residualScale)],
    // llama.cpp divides by it.
    ["logit_scale", real(1 / logitScale)],
  ];
}

const originalLength = (positions: number): Entry => [
  "rope.scaling.original_context_length",
  whole(positions),
];

/** How queries and keys are turned in layers that see all. */
function ropeEntries(config: ModelConfig, rope: Rope): readonly Entry[] {
  return [
    ["rope.dimension_count", whole(rope.width)],
    ["rope.freq_base", real(rope.theta)],
    ...scalingEntries(config, rope.scaling),
  ];
}

/** Families in whose graphs llama.cpp divides frequencies by a tensor of factors. */
const WITH_FACTORS: readonly ModelType[] = [
  "llama",
  "mistral",
  "ministral3",
  "granite",
  "granitemoehybrid",
  "phi3",
];

function scalingEntries(config: ModelConfig, scaling: RopeScaling | undefined): readonly Entry[] {
  if (scaling === undefined) return [];
  for (const { window, rope } of distinctKinds(config)) {
    if (window !== undefined && config.modelType === "gemma3_text" && rope?.scaling) {
      refuse(config, "scaling of positions in layers with windows");
    }
  }
  const type = (value: string): Entry => ["rope.scaling.type", { type: "string", value }];
  switch (scaling.type) {
    // Up to max_position_embeddings nothing is scaled.
    case "dynamic":
      return [];
    case "linear":
      return [type("linear"), ["rope.scaling.factor", real(scaling.factor)]];
    case "yarn":
      return [
        type("yarn"),
        ["rope.scaling.factor", real(scaling.factor)],
        ...yarn(config, scaling),
      ];
    case "llama3":
      if (!WITH_FACTORS.includes(config.modelType)) refuse(config, "rope_type llama3");
      return [];
    case "longrope":
      if (!WITH_FACTORS.includes(config.modelType)) refuse(config, "rope_type longrope");
      return [
        type("longrope"),
        originalLength(scaling.originalMaxPositions),
        ["rope.scaling.attn_factor", real(scaling.attentionFactor)],
      ];
  }
}

function yarn(config: ModelConfig, scaling: YarnRopeScaling): readonly Entry[] {
  const { factor, attentionFactor, betaFast, betaSlow, truncate, originalMaxPositions } = scaling;
  if (!truncate) refuse(config, "YaRN with bounds that are no whole dimensions (truncate false)");
  const reads = config.modelType === "ministral3";
  if (!reads && (betaFast !== YARN_BETAS.betaFast || betaSlow !== YARN_BETAS.betaSlow)) {
    refuse(config, `YaRN with beta_fast ${betaFast} and beta_slow ${betaSlow}`);
  }
  // llama.cpp multiplies this by YaRN's usual factor of queries and keys.
  const usual = 0.1 * Math.log(factor) + 1;
  return [
    originalLength(originalMaxPositions),
    ...Math.abs(attentionFactor - usual) < 1e-6
      ? []
      : [["rope.scaling.attn_factor", real(attentionFactor / usual)] as const],
    ...reads
      ? [
        ["rope.scaling.yarn_beta_fast", real(betaFast)] as const,
        ["rope.scaling.yarn_beta_slow", real(betaSlow)] as const,
      ]
      : [],
  ];
}

/**
 * How positions in time, height and width take turns in a head's pairs. In text all three are one, so any turns do
 * that leave no pair out, which llama.cpp would not turn.
 */
function mropeSections({ layerKinds }: ModelConfig): readonly number[] {
  const pairs = layerKinds.find((kind) => kind.rope)!.rope!.width / 2;
  return [Math.ceil(pairs / 3), Math.ceil((pairs - 1) / 3), Math.ceil((pairs - 2) / 3), 0];
}
