import assert from "node:assert/strict";
import {
  LLAMA3_2_1B,
  QWEN2_5_0_5B,
  QWEN3_0_6B,
  SMOLLM2_135M,
} from "../tests/support/model_configs.ts";
import { type ModelConfig, parseConfig } from "./config.ts";
import { listFamilies } from "./families/families.ts";
import type { LayerKind } from "./parts/layer_kind.ts";

/** The sizes and options of a config that is wholly honoured. */
function honoured(
  json: Readonly<Record<string, unknown>>,
): Omit<ModelConfig, "raw" | "notes" | "padTokenId" | "layerKinds"> & { readonly kind: LayerKind } {
  const { raw, notes, padTokenId, layerKinds, ...rest } = parseConfig(json);
  assert.equal(raw, json);
  assert.deepEqual([notes, padTokenId], [[], undefined]);
  assert.equal(layerKinds.length, rest.layers);
  const [kind, ...others] = new Set(layerKinds);
  assert.deepEqual(others, []);
  return { ...rest, kind };
}

/** What a config without multipliers has. */
const PLAIN = {
  residualScale: 1,
  embeddingScale: 1,
  embeddingScaleRounded: false,
  normOffset: 0,
  logitScale: 1,
  logitCap: undefined,
};

/** Layers that see everything and are turned without scaling. */
function fullAttention(theta: number, width: number, maxPositions: number): LayerKind {
  return { name: "full_attention", rope: { theta, width, maxPositions } };
}

Deno.test("parseConfig() reads Qwen3-0.6B", () => {
  assert.deepEqual(honoured(QWEN3_0_6B), {
    modelType: "qwen3",
    hiddenSize: 1024,
    intermediateSize: 3072,
    layers: 28,
    heads: 16,
    kvHeads: 8,
    headDim: 128,
    vocabSize: 151936,
    maxPositions: 40960,
    rmsNormEps: 1e-6,
    kind: fullAttention(1e6, 128, 40960),
    attentionScale: 128 ** -0.5,
    ...PLAIN,
    tiedEmbeddings: true,
    attentionBias: false,
  });
});

Deno.test("parseConfig() reads Qwen2.5-0.5B: biases on q, k and v only, and a derived head size", () => {
  assert.deepEqual(honoured(QWEN2_5_0_5B), {
    modelType: "qwen2",
    hiddenSize: 896,
    intermediateSize: 4864,
    layers: 24,
    heads: 14,
    kvHeads: 2,
    headDim: 64,
    vocabSize: 151936,
    maxPositions: 32768,
    rmsNormEps: 1e-6,
    kind: fullAttention(1e6, 64, 32768),
    attentionScale: 64 ** -0.5,
    ...PLAIN,
    tiedEmbeddings: true,
    attentionBias: true,
  });
});

Deno.test("parseConfig() reads SmolLM2-135M as a Llama", () => {
  assert.deepEqual(honoured(SMOLLM2_135M), {
    modelType: "llama",
    hiddenSize: 576,
    intermediateSize: 1536,
    layers: 30,
    heads: 9,
    kvHeads: 3,
    headDim: 64,
    vocabSize: 49152,
    maxPositions: 8192,
    rmsNormEps: 1e-5,
    kind: fullAttention(1e5, 64, 8192),
    attentionScale: 64 ** -0.5,
    ...PLAIN,
    tiedEmbeddings: true,
    attentionBias: false,
  });
});

Deno.test("parseConfig() reads Llama-3.2-1B with its frequency scaling", () => {
  const config = honoured(LLAMA3_2_1B);
  assert.equal(config.headDim, 64);
  assert.equal(config.kind.rope?.theta, 5e5);
  assert.deepEqual(config.kind.rope?.scaling, {
    type: "llama3",
    factor: 32,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositions: 8192,
  });
});

/** The least that a config must say. */
const LEAST = {
  model_type: "llama",
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  vocab_size: 100,
};

Deno.test("parseConfig() fills in what Hugging Face's classes fill in", () => {
  assert.deepEqual(honoured(LEAST), {
    modelType: "llama",
    hiddenSize: 32,
    intermediateSize: 64,
    layers: 2,
    heads: 4,
    kvHeads: 4,
    headDim: 8,
    vocabSize: 100,
    maxPositions: 2048,
    rmsNormEps: 1e-6,
    kind: { name: "full_attention", rope: { theta: 10000, width: 8, maxPositions: 2048 } },
    attentionScale: 8 ** -0.5,
    ...PLAIN,
    tiedEmbeddings: false,
    attentionBias: false,
  });
  assert.equal(parseConfig({ ...LEAST, model_type: "qwen3" }).headDim, 128);
  assert.ok(parseConfig({ ...LEAST, attention_bias: true }).attentionBias);
  const qwen2 = parseConfig({ ...LEAST, model_type: "qwen2", attention_bias: false });
  assert.ok(qwen2.attentionBias, "Qwen2 has biases, whatever the field says");
});

Deno.test("parseConfig() reads rope_parameters, as newer transformers write it", () => {
  const { rope_theta, rope_scaling, ...rest } = LLAMA3_2_1B;
  const newer = { ...rest, rope_parameters: { rope_theta, ...rope_scaling as object } };
  assert.deepEqual(honoured(newer), honoured(LLAMA3_2_1B));
  const plain = { ...LEAST, rope_parameters: { rope_type: "default", rope_theta: 5000 } };
  const [{ rope }] = parseConfig(plain).layerKinds;
  assert.deepEqual([rope?.theta, rope?.scaling], [5000, undefined]);
});

Deno.test("parseConfig() takes null for what is not there", () => {
  const nulls = { mlp_bias: null, use_sliding_window: null, quantization_config: null };
  const more = { rope_scaling: null, rope_parameters: null, head_dim: null, attention_bias: null };
  assert.deepEqual(honoured({ ...LEAST, ...nulls, ...more }), honoured(LEAST));
});

const SUPPORTED = `ortune supports ${listFamilies()}`;
const WHOLE = "must be a whole number from 1 to 16777216, got";
const SCALING = { ...LLAMA3_2_1B.rope_scaling as object };

/** What is wrong with a config, and the message after the path. */
const malformed: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
  [{ model_type: undefined }, `model_type is missing: ${SUPPORTED}`],
  [{ model_type: "gpt2" }, `model_type is "gpt2": ${SUPPORTED}`],
  [{ model_type: "toString" }, `model_type is "toString": ${SUPPORTED}`],
  [{ model_type: 3 }, `model_type is 3: ${SUPPORTED}`],
  [{ hidden_act: "gelu" }, 'hidden_act is "gelu": only silu is supported'],
  [{ mlp_bias: true }, "mlp_bias is true: only models without it are supported"],
  [{ mlp_bias: 1 }, "mlp_bias must be true or false, got 1"],
  [{ use_sliding_window: true }, "use_sliding_window is true: only full attention is supported"],
  [
    { layer_types: ["full_attention", "sliding_attention"] },
    'layer_types is ["full_attention","sliding_attention"]: only full_attention is supported',
  ],
  [{ layer_types: "all" }, 'layer_types is "all": only full_attention is supported'],
  [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor is 0.5: only 1 is supported"],
  [{ use_sliding_window: "yes" }, 'use_sliding_window must be true or false, got "yes"'],
  [
    { quantization_config: { bits: 4 } },
    "quantization_config is set: ortune trains float " +
    "weights; use the unquantized model",
  ],
  [{ hidden_size: undefined }, `hidden_size ${WHOLE} missing`],
  [{ hidden_size: 0 }, `hidden_size ${WHOLE} 0`],
  [{ hidden_size: 1.5 }, `hidden_size ${WHOLE} 1.5`],
  [{ hidden_size: "32" }, `hidden_size ${WHOLE} "32"`],
  [{ hidden_size: 2 ** 24 + 4 }, `hidden_size ${WHOLE} 16777220`],
  [{ intermediate_size: -1 }, `intermediate_size ${WHOLE} -1`],
  [
    { num_hidden_layers: undefined },
    "num_hidden_layers must be a whole number from 1 to 1024, got missing",
  ],
  [
    { num_hidden_layers: 10000 },
    "num_hidden_layers must be a whole number from 1 to 1024, got 10000",
  ],
  [{ num_attention_heads: [4] }, `num_attention_heads ${WHOLE} [4]`],
  [{ vocab_size: 1e300 }, `vocab_size ${WHOLE} 1e+300`],
  [{ max_position_embeddings: 0 }, `max_position_embeddings ${WHOLE} 0`],
  [{ num_key_value_heads: 3 }, "num_key_value_heads must divide num_attention_heads 4, got 3"],
  [{ num_key_value_heads: 8 }, "num_key_value_heads must divide num_attention_heads 4, got 8"],
  [{ num_attention_heads: 5 }, "num_attention_heads must divide hidden_size 32, got 5"],
  [{ head_dim: 7 }, "head_dim must be even for rotary embeddings, got 7"],
  [{ head_dim: -8 }, `head_dim ${WHOLE} -8`],
  [{ rms_norm_eps: 0 }, "rms_norm_eps must be a number above 0, got 0"],
  [{ rms_norm_eps: "1e-6" }, 'rms_norm_eps must be a number above 0, got "1e-6"'],
  [{ rope_theta: -1 }, "rope_theta must be a number above 0, got -1"],
  [{ rope_theta: Infinity }, "rope_theta must be a number above 0, got null"],
  [{ tie_word_embeddings: 1 }, "tie_word_embeddings must be true or false, got 1"],
  [{ attention_bias: "false" }, 'attention_bias must be true or false, got "false"'],
  [{ rope_scaling: "linear" }, 'rope_scaling must be an object, got "linear"'],
  [{ rope_scaling: [1] }, "rope_scaling must be an object, got [1]"],
  [{ rope_parameters: 2 }, "rope_parameters must be an object, got 2"],
  [
    { rope_scaling: { type: "su", factor: 2 } },
    'rope_scaling has type "su": ortune supports default, linear, dynamic, yarn, llama3, longrope; ' +
    "use a model with one of these",
  ],
  [
    { rope_scaling: { type: "longrope", factor: 2, long_factor: [1, 2, 3, 4] } },
    "rope_scaling.short_factor must be a list of 4 numbers above 0, one a frequency, got missing",
  ],
  [
    { rope_scaling: { type: "longrope", long_factor: [1, 2, 3] } },
    "rope_scaling.long_factor must be a list of 4 numbers above 0, one a frequency, got [1,2,3]",
  ],
  [
    { model_type: "qwen3", layer_types: ["full_attention", "sliding_attention"] },
    "layer_types has sliding_attention, but use_sliding_window is not true or sliding_window is " +
    "null: say how many tokens are seen, or make it full_attention",
  ],
  [
    { model_type: "qwen2", layer_types: ["full_attention"] },
    "layer_types has 1 entries, but num_hidden_layers is 2",
  ],
  [
    { model_type: "qwen3", max_window_layers: 0.5 },
    "max_window_layers must be a whole number, got 0.5",
  ],
  [
    { model_type: "mistral", layer_types: ["full_attention", "full_attention"] },
    'layer_types is ["full_attention","full_attention"]: only sliding_attention is supported',
  ],
  [
    { model_type: "ministral3", rope_theta: 1e6 },
    "rope_parameters must be an object with llama_4_scaling_beta and " +
    "original_max_position_embeddings, got missing",
  ],
  [
    {
      model_type: "ministral3",
      rope_parameters: { type: "yarn", factor: 4, original_max_position_embeddings: 64 },
    },
    "rope_parameters.llama_4_scaling_beta must be a number from 0, got missing",
  ],
  [
    { model_type: "smollm3", no_rope_layers: [1, 2] },
    "no_rope_layers must be a list of 0 and 1, got [1,2]",
  ],
  [
    { model_type: "smollm3", no_rope_layers: [1] },
    "no_rope_layers has 1 entries, but num_hidden_layers is 2",
  ],
  [
    { model_type: "granite", logits_scaling: 0 },
    "logits_scaling must be a number above 0, got 0",
  ],
  [
    { model_type: "phi3", partial_rotary_factor: 0.4 },
    "partial_rotary_factor is 0.4: of heads of 8 numbers it turns 3; that must be an even number " +
    "from 2 to 8",
  ],
  [
    {
      model_type: "phi3",
      partial_rotary_factor: 0.5,
      rope_parameters: { rope_type: "default", partial_rotary_factor: 0.75 },
    },
    "partial_rotary_factor is 0.5 and rope_parameters.partial_rotary_factor is 0.75: versions of " +
    "transformers differ in which they take; remove the wrong one",
  ],
  [
    { rope_scaling: { type: "linear" } },
    "rope_scaling.factor must be a number above 0, got missing",
  ],
  [
    { rope_scaling: { rope_type: "yarn" } },
    "rope_scaling.factor must be a number above 0, got missing; null stands for " +
    "max_position_embeddings ÷ original_max_position_embeddings",
  ],
  [
    { rope_scaling: { ...SCALING, factor: undefined } },
    "rope_scaling.factor must be a number " +
    "above 0, got missing",
  ],
  [
    { rope_scaling: { ...SCALING, low_freq_factor: "1" } },
    "rope_scaling.low_freq_factor must be " +
    'a number above 0, got "1"',
  ],
  [
    { rope_scaling: { ...SCALING, high_freq_factor: 1 } },
    "rope_scaling.high_freq_factor must be " +
    "above low_freq_factor 1, got 1",
  ],
];

Deno.test("parseConfig() names the file, the field and the value of what is wrong", () => {
  for (const [change, message] of malformed) {
    assert.throws(() => parseConfig({ ...LEAST, ...change }, "m/config.json"), {
      name: "RangeError",
      message: `Cannot read m/config.json: ${message}`,
    }, message);
  }
  for (const json of [null, undefined, [], "{}", 3]) {
    assert.throws(() => parseConfig(json), {
      name: "RangeError",
      message: "Cannot read config.json: expected a JSON object",
    });
  }
});

Deno.test("parseConfig() refuses attention without a causal mask", () => {
  assert.throws(() => parseConfig({ ...LEAST, is_causal: false }), {
    name: "RangeError",
    message:
      "Cannot read config.json: is_causal is false: only attention with causal masks is supported",
  });
  assert.deepEqual(parseConfig({ ...LEAST, is_causal: true }).notes, []);
});

const LIKE_CLASS =
  "it is computed as LlamaForCausalLM, as model_type says; if it is another model " +
  "its results are wrong";
const HEADLESS =
  "a model without a head, such as one of embeddings; its head is the embedding, as " +
  "tie_word_embeddings says";

Deno.test("parseConfig() notes classes of which model_type makes another", () => {
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, readonly string[]])[] = [
    [{ architectures: null }, []],
    [{ architectures: [] }, []],
    [{ architectures: ["LlamaForCausalLM"] }, []],
    [{ architectures: ["LLaMAForCausalLM"] }, []],
    [
      { architectures: ["AquilaForCausalLM"] },
      [`architectures is ["AquilaForCausalLM"]: ${LIKE_CLASS}`],
    ],
    [{ architectures: ["GPT2LMHeadModel"] }, [
      `architectures is ["GPT2LMHeadModel"]: ${LIKE_CLASS}`,
    ]],
    [
      { architectures: ["LlamaModel"], tie_word_embeddings: true },
      [`architectures is ["LlamaModel"]: ${HEADLESS}`],
    ],
  ];
  for (const [change, notes] of cases) {
    assert.deepEqual(
      parseConfig({ ...LEAST, ...change }, "m/config.json").notes,
      notes.map((note) => `m/config.json: ${note}`),
    );
  }
});

Deno.test("parseConfig() refuses classes that are no causal language models", () => {
  const other = "it is no causal language model; use one with LlamaForCausalLM";
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
    // A model without a head whose head is not the embedding has none at all.
    [{ architectures: ["LlamaModel"] }, `is ["LlamaModel"]: ${other}`],
    [{ architectures: ["LlamaModel"], tie_word_embeddings: false }, `is ["LlamaModel"]: ${other}`],
    [{ architectures: ["QwenModel"], tie_word_embeddings: true }, `is ["QwenModel"]: ${other}`],
    [
      { architectures: ["LlamaForSequenceClassification"] },
      `is ["LlamaForSequenceClassification"]: ${other}`,
    ],
    [
      { architectures: ["LlamaForCausalLM", "BertModel"] },
      `is ["LlamaForCausalLM","BertModel"]: ${other}`,
    ],
    [{ architectures: "LlamaForCausalLM" }, 'must be a list of names, got "LlamaForCausalLM"'],
    [
      { architectures: ["LlamaForCausalLM", 3] },
      'must be a list of names, got ["LlamaForCausalLM",3]',
    ],
  ];
  for (const [change, state] of cases) {
    assert.throws(() => parseConfig({ ...LEAST, ...change }), {
      name: "RangeError",
      message: `Cannot read config.json: architectures ${state}`,
    });
  }
});

Deno.test("parseConfig() notes fields without effect and fields that it does not know", () => {
  const dropout = "this dropout is not applied in training; set it to 0.0 to say that you know";
  const types = "neither has an effect, weights are read in the type that their files have";
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, readonly string[]])[] = [
    [{ attention_dropout: 0, dtype: "bfloat16" }, []],
    [{ attention_dropout: 0.1, dropout: 0.2 }, [
      `attention_dropout is 0.1: ${dropout}`,
      `dropout is 0.2: ${dropout}`,
    ]],
    [{ dtype: "bfloat16", torch_dtype: "bfloat16" }, []],
    [{ torch_dtype: "bfloat16" }, []],
    [{ dtype: "bfloat16", torch_dtype: "float32" }, [
      `dtype is "bfloat16" and torch_dtype is "float32": ${types}`,
    ]],
    [{ qk_scale: 1, sparsity: 2 }, [
      "it holds fields that ortune does not know: qk_scale, sparsity; if they change the model its " +
      "results are wrong",
    ]],
  ];
  for (const [change, notes] of cases) {
    assert.deepEqual(
      parseConfig({ ...LEAST, ...change }).notes,
      notes.map((note) => `config.json: ${note}`),
    );
  }
});

Deno.test("parseConfig() refuses fields that ask for something else, all together", () => {
  assert.throws(
    () => parseConfig({ ...LEAST, attn_logit_softcapping: 30, num_experts: 8, lm_head_bias: true }),
    {
      name: "RangeError",
      message:
        "Cannot read config.json: attn_logit_softcapping is 30: soft-capped logits are not " +
        "supported; use a model without it; num_experts is 8: mixtures of experts are not supported; " +
        "use a dense model; lm_head_bias is true: biases of this kind are not supported; use a model " +
        "without",
    },
  );
});

Deno.test("parseConfig() counts a negative pad_token_id from the end, as PyTorch does", () => {
  const outside = (id: number): readonly string[] => [
    `config.json: pad_token_id is ${id}, outside of the 100 tokens of vocab_size: it is not used`,
  ];
  const cases: readonly (readonly [unknown, number | undefined, readonly string[]])[] = [
    [undefined, undefined, []],
    [null, undefined, []],
    [0, 0, []],
    [1, 1, []],
    [99, 99, []],
    [100, undefined, outside(100)],
    [-1, 99, []],
    [-100, 0, []],
    [-101, undefined, outside(-101)],
  ];
  for (const [pad_token_id, padTokenId, notes] of cases) {
    const config = parseConfig({ ...LEAST, pad_token_id });
    assert.deepEqual([config.padTokenId, config.notes], [padTokenId, notes]);
  }
  for (const [id, shown] of [[1.5, "1.5"], ["0", '"0"']]) {
    assert.throws(() => parseConfig({ ...LEAST, pad_token_id: id }), {
      name: "RangeError",
      message: `Cannot read config.json: pad_token_id must be a whole number, got ${shown}`,
    });
  }
  // The class's own where the vocabulary has it: Olmo2Config says 1.
  const olmo2 = (vocab_size: number) => parseConfig({ ...LEAST, model_type: "olmo2", vocab_size });
  assert.deepEqual([olmo2(2).padTokenId, olmo2(1).padTokenId], [1, undefined]);
});

Deno.test("parseConfig() takes no longer sequences than LongRoPE's short factors are for", () => {
  const scaling = {
    type: "longrope",
    ...{ short_factor: [1, 1, 1, 1], long_factor: [2, 2, 2, 2] },
    original_max_position_embeddings: 1024,
  };
  const config = parseConfig({ ...LEAST, max_position_embeddings: 4096, rope_scaling: scaling });
  assert.equal(config.maxPositions, 1024);
  assert.deepEqual(config.notes, [
    "config.json: max_position_embeddings is 4096: sequences of up to 1024 tokens " +
    "(original_max_position_embeddings) are supported, with the short factors of longrope",
  ]);
  for (const max_position_embeddings of [512, 1024]) {
    const short = parseConfig({ ...LEAST, max_position_embeddings, rope_scaling: scaling });
    assert.deepEqual([short.maxPositions, short.notes], [max_position_embeddings, []]);
  }
});

Deno.test("parseConfig() takes sizes up to its limits", () => {
  const config = parseConfig({ ...LEAST, vocab_size: 2 ** 24, num_hidden_layers: 1024 });
  assert.deepEqual([config.vocabSize, config.layers], [2 ** 24, 1024]);
  assert.throws(() => parseConfig({ ...LEAST, num_hidden_layers: 1025 }), {
    message:
      "Cannot read config.json: num_hidden_layers must be a whole number from 1 to 1024, got 1025",
  });
});
