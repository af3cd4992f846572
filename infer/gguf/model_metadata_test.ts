import assert from "node:assert/strict";
import type { GgufValue } from "../../gguf/mod.ts";
import { type ModelConfig, parseConfig } from "../../model/config.ts";
import type { ModelType } from "../../model/families/families.ts";
import type { LayerKind } from "../../model/parts/layer_kind.ts";
import { modelMetadata } from "./model_metadata.ts";

type Fields = Readonly<Record<string, unknown>>;
type Entries = readonly (readonly [string, GgufValue])[];

const whole = (value: number): GgufValue => ({ type: "uint32", value });
const real = (value: number): GgufValue => ({ type: "float32", value });
const text = (value: string): GgufValue => ({ type: "string", value });

/** Families whose heads must lie in the hidden size exactly have heads of 4 numbers, others of 8. */
const WHOLE_HEADS: readonly ModelType[] = ["qwen2", "phi3", "olmo2"];
/** What a family's config.json must say. */
const OWN: Readonly<Partial<Record<ModelType, Fields>>> = {
  mistral: { sliding_window: null },
  ministral3: {
    rope_parameters: {
      rope_type: "yarn",
      rope_theta: 5e5,
      factor: 4,
      original_max_position_embeddings: 32,
      llama_4_scaling_beta: 0.25,
    },
  },
  granitemoehybrid: {
    shared_intermediate_size: 24,
    num_local_experts: 0,
    layer_types: Array(4).fill("full_attention"),
    position_embedding_type: "rope",
  },
  gemma3_text: { query_pre_attn_scalar: 8, sliding_window: 5, sliding_window_pattern: 2 },
  qwen3_5_text: {
    full_attention_interval: 2,
    partial_rotary_factor: 0.5,
    linear_num_key_heads: 2,
    linear_num_value_heads: 6,
    linear_key_head_dim: 5,
    linear_value_head_dim: 5,
    linear_conv_kernel_dim: 3,
  },
};

function configOf(model_type: ModelType, change: Fields = {}): ModelConfig {
  return parseConfig({
    model_type,
    vocab_size: 64,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: WHOLE_HEADS.includes(model_type) ? 4 : 8,
    max_position_embeddings: 128,
    rms_norm_eps: 1e-5,
    ...model_type === "ministral3" ? {} : { rope_theta: 5e5 },
    ...OWN[model_type],
    ...change,
  });
}

/** What every architecture has, in its order. */
function common(
  name: string,
  { context = 128, headDim = 8, rope = [], last = [] }: {
    readonly context?: number;
    readonly headDim?: number;
    /** In place of the rotation of whole heads. */
    readonly rope?: Entries;
    readonly last?: Entries;
  } = {},
): Entries {
  const entries: Entries = [
    ["block_count", whole(4)],
    ["context_length", whole(context)],
    ["embedding_length", whole(16)],
    ["feed_forward_length", whole(24)],
    ["attention.head_count", whole(4)],
    ["attention.head_count_kv", whole(2)],
    ...rope.length > 0 ? rope : [["rope.dimension_count", whole(headDim)], [
      "rope.freq_base",
      real(5e5),
    ]] as const,
    ["attention.layer_norm_rms_epsilon", real(1e-5)],
    ["attention.key_length", whole(headDim)],
    ["attention.value_length", whole(headDim)],
    ["vocab_size", whole(64)],
    ...last,
  ];
  return entries.map(([key, value]) => [`${name}.${key}`, value]);
}

/** Rotation of whole heads, and how it is scaled. */
function scaled(...entries: Entries): Entries {
  return [["rope.dimension_count", whole(8)], ["rope.freq_base", real(5e5)], ...entries];
}

function windowNote(name: string, window: number): string {
  return `llama.cpp computes no sliding windows for ${name}: beyond ${window} tokens it sees more than ` +
    `the model was trained with, so context_length is ${window}`;
}

function refuses(config: ModelConfig, name: string, what: string): void {
  assert.throws(
    () => modelMetadata(config),
    new RangeError(
      `Cannot write a GGUF file of this ${config.modelType}: llama.cpp's ${name} has no ${what}; ` +
        "export with --format onnx or hf",
    ),
  );
}

/** A config whose layers are others. */
function withLayers(
  config: ModelConfig,
  change: (kind: LayerKind, layer: number) => LayerKind,
): ModelConfig {
  return { ...config, layerKinds: config.layerKinds.map(change) };
}

const YARN_FACTOR = 0.1 * Math.log(4) + 1;

Deno.test("modelMetadata() has each family's keys in llama.cpp's order", () => {
  const cases: readonly (readonly [ModelType, Fields, Entries])[] = [
    ["llama", {}, common("llama")],
    ["mistral", {}, common("llama")],
    [
      "ministral3",
      {},
      common("mistral3", {
        rope: scaled(
          ["rope.scaling.type", text("yarn")],
          ["rope.scaling.factor", real(4)],
          ["rope.scaling.original_context_length", whole(32)],
          ["rope.scaling.yarn_beta_fast", real(32)],
          ["rope.scaling.yarn_beta_slow", real(1)],
        ),
        last: [["attention.temperature_scale", real(0.25)]],
      }),
    ],
    [
      "ministral3",
      {
        rope_parameters: {
          rope_type: "yarn",
          rope_theta: 5e5,
          factor: 4,
          beta_fast: 16,
          beta_slow: 2,
          original_max_position_embeddings: 32,
          llama_4_scaling_beta: 0.25,
        },
      },
      common("mistral3", {
        rope: scaled(
          ["rope.scaling.type", text("yarn")],
          ["rope.scaling.factor", real(4)],
          ["rope.scaling.original_context_length", whole(32)],
          ["rope.scaling.yarn_beta_fast", real(16)],
          ["rope.scaling.yarn_beta_slow", real(2)],
        ),
        last: [["attention.temperature_scale", real(0.25)]],
      }),
    ],
    [
      "ministral3",
      {
        rope_parameters: {
          rope_type: "linear",
          rope_theta: 5e5,
          factor: 2,
          original_max_position_embeddings: 48,
          llama_4_scaling_beta: 0.5,
        },
      },
      common("mistral3", {
        rope: scaled(["rope.scaling.type", text("linear")], ["rope.scaling.factor", real(2)]),
        last: [
          ["attention.temperature_scale", real(0.5)],
          ["rope.scaling.original_context_length", whole(48)],
        ],
      }),
    ],
    ["smollm3", {}, common("smollm3")],
    [
      "granite",
      {
        attention_multiplier: 0.25,
        embedding_multiplier: 2,
        residual_multiplier: 0.5,
        logits_scaling: 8,
      },
      common("granite", {
        last: [
          ["attention.scale", real(0.25)],
          ["embedding_scale", real(2)],
          ["residual_scale", real(0.5)],
          ["logit_scale", real(8)],
        ],
      }),
    ],
    ...["rope", "nope"].map((type) =>
      [
        "granitemoehybrid",
        {
          position_embedding_type: type,
          attention_multiplier: 0.25,
          embedding_multiplier: 2,
          residual_multiplier: 0.5,
          logits_scaling: 8,
        },
        common("granite", {
          rope: type === "rope" ? [] : [["rope.dimension_count", whole(8)]],
          last: [
            ["attention.scale", real(0.25)],
            ["embedding_scale", real(2)],
            ["residual_scale", real(0.5)],
            ["logit_scale", real(8)],
            ["rope.scaling.finetuned", { type: "bool", value: type === "rope" }],
          ],
        }),
      ] as const
    ),
    ["qwen2", {}, common("qwen2", { headDim: 4 })],
    ["qwen3", {}, common("qwen3")],
    [
      "phi3",
      { partial_rotary_factor: 0.5 },
      common("phi3", {
        headDim: 4,
        rope: [["rope.dimension_count", whole(2)], ["rope.freq_base", real(5e5)]],
      }),
    ],
    ["olmo2", {}, common("olmo2", { headDim: 4 })],
    [
      "gemma3_text",
      { rope_local_base_freq: 500, final_logit_softcapping: 9 },
      common("gemma3", {
        last: [
          ["attention.sliding_window", whole(5)],
          ["attention.sliding_window_pattern", whole(2)],
          ["rope.freq_base_swa", real(500)],
          ["final_logit_softcapping", real(9)],
        ],
      }),
    ],
    ["gemma3_text", { sliding_window_pattern: 1 }, common("gemma3")],
    [
      "gemma3_text",
      { sliding_window_pattern: 9 },
      common("gemma3", {
        rope: [["rope.dimension_count", whole(8)], ["rope.freq_base", real(1e4)]],
        last: [
          ["attention.sliding_window", whole(5)],
          ["attention.sliding_window_pattern", whole(5)],
          ["rope.freq_base_swa", real(1e4)],
        ],
      }),
    ],
    [
      "qwen3_5_text",
      {},
      common("qwen35", {
        rope: [["rope.dimension_count", whole(4)], ["rope.freq_base", real(5e5)]],
        last: [
          ["rope.dimension_sections", { type: "array", of: "int32", values: [1, 1, 0, 0] }],
          ["ssm.conv_kernel", whole(3)],
          ["ssm.state_size", whole(5)],
          ["ssm.group_count", whole(2)],
          ["ssm.time_step_rank", whole(6)],
          ["ssm.inner_size", whole(30)],
          ["full_attention_interval", whole(2)],
        ],
      }),
    ],
  ];
  for (const [type, change, entries] of cases) {
    assert.deepEqual(modelMetadata(configOf(type, change)), { entries, notes: [] }, type);
  }
});

Deno.test("modelMetadata() gives each pair of Qwen3.5's rotation one of three turns", () => {
  const sections = [[2, [1, 1, 0, 0]], [3, [1, 1, 1, 0]], [4, [2, 1, 1, 0]], [5, [2, 2, 1, 0]], [
    32,
    [11, 11, 10, 0],
  ]] as const;
  for (const [pairs, values] of sections) {
    const config = configOf("qwen3_5_text", { head_dim: 4 * pairs });
    const { entries } = modelMetadata(config);
    assert.deepEqual(
      Object.fromEntries(entries)["qwen35.rope.dimension_sections"],
      { type: "array", of: "int32", values },
    );
  }
});

Deno.test("modelMetadata() scales positions as llama.cpp does", () => {
  const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 };
  const yarnEntries: Entries = [
    ["rope.scaling.type", text("yarn")],
    ["rope.scaling.factor", real(4)],
    ["rope.scaling.original_context_length", whole(32)],
  ];
  const llama3 = {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 32,
  };
  const cases: readonly (readonly [Fields | null, Entries])[] = [
    [null, []],
    [{ rope_type: "linear", factor: 3 }, [
      ["rope.scaling.type", text("linear")],
      ["rope.scaling.factor", real(3)],
    ]],
    [{ rope_type: "dynamic", factor: 3 }, []],
    [yarn, yarnEntries],
    [{ ...yarn, attention_factor: YARN_FACTOR }, yarnEntries],
    [{ ...yarn, attention_factor: 1.5 }, [
      ...yarnEntries,
      ["rope.scaling.attn_factor", real(1.5 / YARN_FACTOR)],
    ]],
    [llama3, []],
  ];
  for (const [rope_scaling, entries] of cases) {
    const config = configOf("llama", { rope_scaling });
    assert.deepEqual(modelMetadata(config).entries, common("llama", { rope: scaled(...entries) }));
  }
  const llama = (change: Fields): ModelConfig =>
    configOf("llama", { rope_scaling: { ...yarn, ...change } });
  const bounds = "YaRN with bounds that are no whole dimensions (truncate false)";
  refuses(llama({ truncate: false }), "llama", bounds);
  refuses(llama({ beta_fast: 16 }), "llama", "YaRN with beta_fast 16 and beta_slow 1");
  refuses(llama({ beta_slow: 2 }), "llama", "YaRN with beta_fast 32 and beta_slow 2");
});

Deno.test("modelMetadata() keeps factors of frequencies to families that have a tensor of them", () => {
  const names: Readonly<Partial<Record<ModelType, string>>> = {
    llama: "",
    mistral: "",
    granite: "",
    granitemoehybrid: "",
    phi3: "",
    smollm3: "smollm3",
    qwen2: "qwen2",
    qwen3: "qwen3",
    olmo2: "olmo2",
    gemma3_text: "gemma3",
    qwen3_5_text: "qwen35",
  };
  for (const [family, name] of Object.entries(names)) {
    const type = family as ModelType;
    const pairs = WHOLE_HEADS.includes(type) || type === "qwen3_5_text" ? 2 : 4;
    for (
      const rope_scaling of [
        {
          rope_type: "llama3",
          factor: 8,
          low_freq_factor: 1,
          high_freq_factor: 4,
          original_max_position_embeddings: 32,
        },
        {
          rope_type: "longrope",
          short_factor: Array(pairs).fill(1),
          long_factor: Array(pairs).fill(2),
          attention_factor: 1.25,
          original_max_position_embeddings: 64,
        },
      ]
    ) {
      const config = configOf(type, { rope_scaling });
      if (name !== "") {
        refuses(config, name, `rope_type ${rope_scaling.rope_type}`);
        continue;
      }
      const found = modelMetadata(config).entries
        .map(([key, value]) => [key.replace(/^\w+\./, ""), value] as const)
        .filter(([key]) => key.startsWith("rope.scaling") && !key.endsWith("finetuned"));
      assert.deepEqual(
        found,
        rope_scaling.rope_type === "llama3" ? [] : [
          ["rope.scaling.type", text("longrope")],
          ["rope.scaling.original_context_length", whole(64)],
          ["rope.scaling.attn_factor", real(1.25)],
        ],
        type,
      );
    }
  }
});

Deno.test("modelMetadata() goes to the positions of config.json, where LongRoPE has further ones", () => {
  const config = configOf("phi3", {
    original_max_position_embeddings: 64,
    rope_scaling: { rope_type: "longrope", short_factor: [1, 1], long_factor: [2, 2] },
  });
  assert.equal(config.maxPositions, 64);
  const context = (config: ModelConfig): unknown =>
    Object.fromEntries(modelMetadata(config).entries)["phi3.context_length"];
  assert.deepEqual(context(config), whole(128));
  const { max_position_embeddings: _left, ...raw } = config.raw;
  assert.deepEqual(context({ ...config, raw }), whole(64));
});

Deno.test("modelMetadata() ends the context where llama.cpp has no windows, and says so", () => {
  const windows = { use_sliding_window: true, sliding_window: 100, max_window_layers: 2 };
  const cases: readonly (readonly [ModelType, string, Fields])[] = [
    ["mistral", "llama", { sliding_window: 100 }],
    ["ministral3", "mistral3", { sliding_window: 100 }],
    ["smollm3", "smollm3", { use_sliding_window: true, sliding_window: 100 }],
    ["qwen2", "qwen2", windows],
    ["qwen3", "qwen3", windows],
    ["phi3", "phi3", { sliding_window: 100 }],
  ];
  for (const [type, name, change] of cases) {
    const of = (sliding_window: number): readonly unknown[] => {
      const { entries, notes } = modelMetadata(configOf(type, { ...change, sliding_window }));
      return [Object.fromEntries(entries)[`${name}.context_length`], notes];
    };
    assert.deepEqual(of(100), [whole(100), [windowNote(name, 100)]]);
    assert.deepEqual(of(127), [whole(127), [windowNote(name, 127)]]);
    assert.deepEqual(of(128), [whole(128), []]);
    assert.deepEqual(of(500), [whole(128), []]);
  }
  // Gemma 3's are computed.
  const { entries, notes } = modelMetadata(configOf("gemma3_text"));
  assert.deepEqual([Object.fromEntries(entries)["gemma3.context_length"], notes], [
    whole(128),
    [],
  ]);
});

Deno.test("modelMetadata() turns as the layers that see all, or as those that there are", () => {
  const config = configOf("smollm3", { use_sliding_window: true, sliding_window: 100 });
  const rope = config.layerKinds[0].rope!;
  const base = (config: ModelConfig): unknown =>
    Object.fromEntries(modelMetadata(config).entries)["smollm3.rope.freq_base"];
  const other = withLayers(
    config,
    (kind, layer) => layer === 0 ? { ...kind, window: 9, rope: { ...rope, theta: 7 } } : kind,
  );
  assert.deepEqual(base(other), real(5e5));
  assert.deepEqual(base(withLayers(other, (kind) => ({ ...kind, window: 9 }))), real(7));
});

Deno.test("modelMetadata() refuses attention that llama.cpp's graph of a family does not compute", () => {
  const names: Readonly<Record<ModelType, string>> = {
    llama: "llama",
    mistral: "llama",
    ministral3: "mistral3",
    smollm3: "smollm3",
    granite: "granite",
    granitemoehybrid: "granite",
    qwen2: "qwen2",
    qwen3: "qwen3",
    phi3: "phi3",
    olmo2: "olmo2",
    gemma3_text: "gemma3",
    qwen3_5_text: "qwen35",
  };
  const includes = (list: string): (type: string) => boolean => (type) =>
    list.split(" ").includes(type);
  const usualScale = includes(
    "llama mistral ministral3 smollm3 qwen2 qwen3 olmo2 gemma3_text qwen3_5_text",
  );
  const turnsWhole = includes(
    "llama mistral ministral3 smollm3 granite granitemoehybrid qwen2 qwen3 olmo2",
  );
  const unbiased = includes("smollm3 qwen3 olmo2 gemma3_text qwen3_5_text");
  for (const [family, name] of Object.entries(names)) {
    const type = family as ModelType;
    const config = configOf(type);
    const { headDim, attentionScale } = config;
    const expect = (refused: boolean, changed: ModelConfig, what: string): void => {
      if (refused) refuses(changed, name, what);
      else modelMetadata(changed);
    };
    modelMetadata({ ...config, attentionScale: headDim ** -0.5 * (1 + 1e-9) });
    const scale = 2 * attentionScale;
    expect(
      usualScale(type),
      { ...config, attentionScale: scale },
      `scores of attention that are multiplied by ${scale} in place of 1/√${headDim}`,
    );
    expect(
      turnsWhole(type),
      withLayers(config, (kind) => ({ ...kind, rope: kind.rope && { ...kind.rope, width: 2 } })),
      `heads of ${headDim} numbers of which 2 are turned`,
    );
    expect(
      unbiased(type),
      { ...config, attentionBias: true },
      "biases of attention (attention_bias)",
    );
    expect(
      WHOLE_HEADS.includes(type),
      { ...config, heads: 3 },
      `3 heads of ${headDim} numbers at a hidden size of 16`,
    );
  }
  // Without rotation there is nothing that is turned in part.
  modelMetadata(withLayers(configOf("llama"), ({ rope: _rope, ...kind }) => kind));
});

Deno.test("modelMetadata() refuses layers in another order than a family's in llama.cpp", () => {
  refuses(
    configOf("smollm3", { no_rope_layer_interval: 2 }),
    "smollm3",
    "layers that are not turned other than every 4th",
  );
  refuses(
    configOf("smollm3", { no_rope_layers: [1, 1, 1, 1] }),
    "smollm3",
    "layers that are not turned other than every 4th",
  );
  const ministral = configOf("ministral3");
  refuses(
    withLayers(ministral, (kind) => ({ ...kind, queryGrowth: { beta: 0.25, span: 31 } })),
    "mistral3",
    "queries that grow from other positions on than YaRN's original ones",
  );
  assert.deepEqual(
    modelMetadata(withLayers(ministral, ({ queryGrowth: _growth, ...kind }) => kind)).entries
      .map(([key]) => key).filter((key) => key.includes("temperature")),
    [],
  );
  const sliding = (...places: readonly number[]): Fields => ({
    layer_types: Array.from(
      { length: 4 },
      (_, layer) => places.includes(layer) ? "sliding_attention" : "full_attention",
    ),
  });
  for (const places of [[1], [0, 3], [1, 2, 3], [0, 2, 3]]) {
    refuses(
      configOf("gemma3_text", sliding(...places)),
      "gemma3",
      "windows in other layers than all but every so manieth",
    );
  }
  refuses(
    configOf("gemma3_text", { num_hidden_layers: 62 }),
    "gemma3",
    "62 layers, which it takes for Gemma 3 27B",
  );
  modelMetadata(configOf("gemma3_text", { num_hidden_layers: 61, sliding_window_pattern: 6 }));
  const gemma = configOf("gemma3_text", { rope_scaling: { rope_type: "linear", factor: 8 } });
  modelMetadata(gemma);
  refuses(
    {
      ...gemma,
      layerKinds: gemma.layerKinds.map((kind) => ({ ...kind, rope: gemma.layerKinds[1].rope })),
    },
    "gemma3",
    "scaling of positions in layers with windows",
  );
});

Deno.test("modelMetadata() refuses Qwen3.5's layers where they are not llama.cpp's", () => {
  const of = (...places: readonly number[]): ModelConfig =>
    configOf("qwen3_5_text", {
      layer_types: Array.from(
        { length: 4 },
        (_, layer) => places.includes(layer) ? "full_attention" : "linear_attention",
      ),
    });
  const irregular = "layers of attention that are not one of every so many";
  for (const places of [[0], [1], [0, 2], [1, 2], [2, 3]]) {
    refuses(of(...places), "qwen35", irregular);
  }
  for (const [places, interval] of [[[1, 3], 2], [[2], 3], [[3], 4]] as const) {
    assert.deepEqual(modelMetadata(of(...places)).entries.at(-1), [
      "qwen35.full_attention_interval",
      whole(interval),
    ]);
  }
  refuses(of(), "qwen35", "models without attention");
  refuses(of(0, 1, 2, 3), "qwen35", "models without a gated delta rule");
  refuses(
    configOf("qwen3_5_text", { linear_value_head_dim: 7 }),
    "qwen35",
    "heads of 5 numbers for keys and 7 for values",
  );
});
