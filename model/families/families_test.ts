import assert from "node:assert/strict";
import { type ModelConfig, parseConfig } from "../config.ts";
import type { BlockConfig } from "../parts/block_config.ts";
import type { LayerKind } from "../parts/layer_kind.ts";
import { FAMILIES, familyBlock, isModelType, listFamilies, type ModelType } from "./families.ts";

type Json = Readonly<Record<string, unknown>>;

/** The least that every family must be told, every size another, with all of the families' padding tokens. */
const LEAST: Json = {
  hidden_size: 48,
  intermediate_size: 40,
  num_hidden_layers: 5,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 200_000,
};

/** What a family's class fills in, from transformers 5.24.0. */
interface Filled {
  /** Fields that it cannot do without. */
  readonly needs?: Json;
  /** The sizes and options in which it differs from a plain Llama's. */
  readonly config: Partial<Omit<ModelConfig, "layerKinds" | "raw" | "notes">>;
  /** The kinds of its layers, by which of them is of each. */
  readonly kinds: readonly (LayerKind & { readonly layers: readonly number[] })[];
}

const ALL = [0, 1, 2, 3, 4];

function full(theta: number, width: number, maxPositions: number): LayerKind {
  return { name: "full_attention", rope: { theta, width, maxPositions } };
}

const FILLED: Readonly<Record<ModelType, Filled>> = {
  qwen3: {
    config: { maxPositions: 32768, headDim: 128, attentionScale: 128 ** -0.5 },
    kinds: [{ ...full(10000, 128, 32768), layers: ALL }],
  },
  qwen2: {
    config: { maxPositions: 32768, attentionBias: true },
    kinds: [{ ...full(10000, 12, 32768), layers: ALL }],
  },
  llama: {
    config: { maxPositions: 2048 },
    kinds: [{ ...full(10000, 12, 2048), layers: ALL }],
  },
  mistral: {
    config: { maxPositions: 131072 },
    kinds: [{
      ...full(10000, 12, 131072),
      ...{ name: "sliding_attention", window: 4096, layers: ALL },
    }],
  },
  ministral3: {
    needs: {
      rope_parameters: { original_max_position_embeddings: 16, llama_4_scaling_beta: 0.25 },
    },
    config: {
      ...{ maxPositions: 262144, headDim: 128, attentionScale: 128 ** -0.5 },
      ...{ rmsNormEps: 1e-5, padTokenId: 11 },
    },
    kinds: [{
      name: "full_attention",
      rope: { theta: 10000, width: 128, maxPositions: 262144, scaling: undefined },
      ...{ window: undefined, queryGrowth: { beta: 0.25, span: 16 }, layers: ALL },
    }],
  },
  smollm3: {
    config: { maxPositions: 32768, tiedEmbeddings: true, padTokenId: 128004 },
    kinds: [
      { ...full(2_000_000, 12, 32768), layers: [0, 1, 2, 4] },
      { name: "full_attention_unturned", layers: [3] },
    ],
  },
  granite: {
    config: { maxPositions: 2048, attentionScale: 1 },
    kinds: [{ ...full(10000, 12, 2048), layers: ALL }],
  },
  granitemoehybrid: {
    needs: { num_local_experts: 0, layer_types: Array<string>(5).fill("attention") },
    config: { maxPositions: 2048, intermediateSize: 1024, attentionScale: 1 },
    kinds: [{ name: "full_attention", layers: ALL }],
  },
  phi3: {
    config: { maxPositions: 4096, rmsNormEps: 1e-5, padTokenId: 32000 },
    kinds: [{ ...full(10000, 12, 4096), window: undefined, layers: ALL }],
  },
  olmo2: {
    config: { maxPositions: 2048, rmsNormEps: 1e-5, padTokenId: 1 },
    kinds: [{ ...full(10000, 12, 2048), layers: ALL }],
  },
  gemma3_text: {
    config: {
      ...{ maxPositions: 131072, headDim: 256, attentionScale: 1 / 16 },
      ...{ tiedEmbeddings: true, padTokenId: 0, normOffset: 1 },
      ...{ embeddingScale: 48 ** 0.5, embeddingScaleRounded: true },
    },
    kinds: [{
      ...full(10000, 256, 131072),
      ...{ name: "sliding_attention", window: 4096, layers: ALL },
    }],
  },
  qwen3_5_text: {
    config: { maxPositions: 32768, headDim: 256, attentionScale: 1 / 16, normOffset: 1 },
    kinds: [
      {
        name: "linear_attention",
        delta: {
          ...{ keyHeads: 16, valueHeads: 32, keyDim: 128, valueDim: 128 },
          ...{ taps: 4, chunk: 64 },
        },
        layers: [0, 1, 2, 4],
      },
      { ...full(10000, 64, 32768), layers: [3] },
    ],
  },
};

Deno.test("each family fills in what its class in transformers fills in", () => {
  assert.deepEqual(Object.keys(FILLED), Object.keys(FAMILIES));
  for (const [modelType, { needs, config, kinds }] of Object.entries(FILLED)) {
    const raw = { ...LEAST, ...needs, model_type: modelType };
    const { layerKinds, ...rest } = parseConfig(raw);
    assert.deepEqual(rest, {
      ...{ modelType, hiddenSize: 48, intermediateSize: 40, layers: 5, heads: 4, kvHeads: 2 },
      ...{ headDim: 12, vocabSize: 200_000, rmsNormEps: 1e-6, normOffset: 0 },
      ...{ tiedEmbeddings: false, attentionBias: false, attentionScale: 12 ** -0.5 },
      ...{ residualScale: 1, embeddingScale: 1, embeddingScaleRounded: false, logitScale: 1 },
      ...{ logitCap: undefined, padTokenId: undefined, notes: [], raw },
      ...config,
    }, modelType);
    assert.equal(layerKinds.length, 5);
    for (const { layers, ...kind } of kinds) {
      assert.deepEqual(layerKinds[layers[0]], kind, modelType);
      // Layers of one kind share graphs, by their object.
      for (const layer of layers) assert.equal(layerKinds[layer], layerKinds[layers[0]], modelType);
    }
    assert.equal(new Set(layerKinds).size, kinds.length, modelType);
  }
});

Deno.test("all families but Qwen2, Mistral and Phi-3 go by attention_bias", () => {
  const fixed: Readonly<Record<string, boolean>> = {
    ...{ qwen2: true, mistral: false, ministral3: false, phi3: false },
  };
  for (const [modelType, { needs }] of Object.entries(FILLED)) {
    for (const attention_bias of [false, true]) {
      const raw = { ...LEAST, ...needs, model_type: modelType, attention_bias };
      assert.equal(parseConfig(raw).attentionBias, fixed[modelType] ?? attention_bias, modelType);
    }
  }
});

/** Sizes that all differ: projections of 24 to queries, 8 to keys. */
const SIZES: BlockConfig = {
  ...{ hiddenSize: 20, intermediateSize: 28, heads: 6, kvHeads: 2, headDim: 4 },
  ...{ rmsNormEps: 1e-6, normOffset: 0, attentionBias: false },
  ...{ attentionScale: 0.5, residualScale: 1 },
};

type Shapes = readonly (readonly [name: string, shape: readonly number[]])[];

const INPUT_NORM: Shapes = [["input_layernorm.weight", [20]]];
const SECOND_NORM: Shapes = [["post_attention_layernorm.weight", [20]]];
const QKV: Shapes = [
  ["self_attn.q_proj.weight", [24, 20]],
  ["self_attn.k_proj.weight", [8, 20]],
  ["self_attn.v_proj.weight", [8, 20]],
];
const QKV_BIASES: Shapes = [
  ["self_attn.q_proj.bias", [24]],
  ["self_attn.k_proj.bias", [8]],
  ["self_attn.v_proj.bias", [8]],
];
const HEAD_NORMS: Shapes = [["self_attn.q_norm.weight", [4]], ["self_attn.k_norm.weight", [4]]];
const OUTPUT: Shapes = [["self_attn.o_proj.weight", [20, 24]]];
const OUTPUT_BIAS: Shapes = [["self_attn.o_proj.bias", [20]]];
const MLP: Shapes = [
  ["mlp.gate_proj.weight", [28, 20]],
  ["mlp.up_proj.weight", [28, 20]],
  ["mlp.down_proj.weight", [20, 28]],
];

const ATTENTION_STACK = {
  kernel: "attention",
  name: "self_attn.qkv_proj.weight",
  of: ["self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"],
};
const BIAS_STACK = {
  kernel: "attention",
  name: "self_attn.qkv_proj.bias",
  of: ["self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"],
};
const MLP_STACK = {
  kernel: "swiglu",
  name: "mlp.gate_up_proj.weight",
  of: ["mlp.gate_proj.weight", "mlp.up_proj.weight"],
};
const NORMS = ["rmsNorm", "rmsNorm"];

/** What a block is made of: without biases and with those of `attention_bias`. */
interface Made {
  readonly sizes?: Partial<BlockConfig>;
  readonly kind?: LayerKind;
  readonly plain: Shapes;
  /** @default the same: the family does not go by the field */
  readonly biased?: Shapes;
  readonly stacks: readonly unknown[];
  /** @default {stacks} */
  readonly biasedStacks?: readonly unknown[];
  readonly kernels: readonly string[];
}

const LLAMA: Made = {
  plain: [...INPUT_NORM, ...QKV, ...OUTPUT, ...SECOND_NORM, ...MLP],
  biased: [
    ...[...INPUT_NORM, ...QKV, ...QKV_BIASES, ...OUTPUT, ...OUTPUT_BIAS],
    ...[...SECOND_NORM, ...MLP],
  ],
  stacks: [ATTENTION_STACK, MLP_STACK],
  biasedStacks: [ATTENTION_STACK, BIAS_STACK, MLP_STACK],
  kernels: [...NORMS, "attention", "swiglu"],
};
const { biased: _, biasedStacks: __, ...MISTRAL } = LLAMA;
const GATED: Shapes = [["self_attn.q_proj.weight", [48, 20]], ...QKV.slice(1)];
const GATED_BIASES: Shapes = [["self_attn.q_proj.bias", [48]], ...QKV_BIASES.slice(1)];

const BLOCKS: readonly (readonly [ModelType, Made])[] = [
  ["qwen3", {
    plain: [...INPUT_NORM, ...QKV, ...HEAD_NORMS, ...OUTPUT, ...SECOND_NORM, ...MLP],
    biased: [
      ...[...INPUT_NORM, ...QKV, ...QKV_BIASES, ...HEAD_NORMS, ...OUTPUT, ...OUTPUT_BIAS],
      ...[...SECOND_NORM, ...MLP],
    ],
    stacks: [ATTENTION_STACK, MLP_STACK],
    biasedStacks: [ATTENTION_STACK, BIAS_STACK, MLP_STACK],
    kernels: [...NORMS, "attention", "rmsNorm", "swiglu"],
  }],
  ["qwen2", {
    plain: [...INPUT_NORM, ...QKV, ...QKV_BIASES, ...OUTPUT, ...SECOND_NORM, ...MLP],
    stacks: [ATTENTION_STACK, BIAS_STACK, MLP_STACK],
    kernels: [...NORMS, "attention", "swiglu"],
  }],
  ["llama", LLAMA],
  ["mistral", MISTRAL],
  ["ministral3", MISTRAL],
  ["smollm3", LLAMA],
  ["granite", LLAMA],
  ["granitemoehybrid", {
    plain: [
      ...[...INPUT_NORM, ...QKV, ...OUTPUT, ...SECOND_NORM],
      ["shared_mlp.input_linear.weight", [56, 20]],
      ["shared_mlp.output_linear.weight", [20, 28]],
    ],
    biased: [
      ...[...INPUT_NORM, ...QKV, ...QKV_BIASES, ...OUTPUT, ...OUTPUT_BIAS, ...SECOND_NORM],
      ["shared_mlp.input_linear.weight", [56, 20]],
      ["shared_mlp.output_linear.weight", [20, 28]],
    ],
    stacks: [ATTENTION_STACK],
    biasedStacks: [ATTENTION_STACK, BIAS_STACK],
    kernels: [...NORMS, "attention", "swiglu"],
  }],
  ["phi3", {
    plain: [
      ...INPUT_NORM,
      ["self_attn.qkv_proj.weight", [40, 20]],
      ...[...OUTPUT, ...SECOND_NORM],
      ["mlp.gate_up_proj.weight", [56, 20]],
      ["mlp.down_proj.weight", [20, 28]],
    ],
    stacks: [],
    kernels: [...NORMS, "attention", "swiglu"],
  }],
  ["olmo2", {
    plain: [
      ...QKV,
      ["self_attn.q_norm.weight", [24]],
      ["self_attn.k_norm.weight", [8]],
      ...[...OUTPUT, ...SECOND_NORM, ...MLP],
      ["post_feedforward_layernorm.weight", [20]],
    ],
    biased: [
      ...[...QKV, ...QKV_BIASES],
      ["self_attn.q_norm.weight", [24]],
      ["self_attn.k_norm.weight", [8]],
      ...[...OUTPUT, ...OUTPUT_BIAS, ...SECOND_NORM, ...MLP],
      ["post_feedforward_layernorm.weight", [20]],
    ],
    stacks: [ATTENTION_STACK, MLP_STACK],
    biasedStacks: [ATTENTION_STACK, BIAS_STACK, MLP_STACK],
    kernels: [...NORMS, "rmsNorm", "swiglu"],
  }],
  ["gemma3_text", {
    sizes: { normOffset: 1 },
    plain: [
      ...[...INPUT_NORM, ...QKV, ...HEAD_NORMS, ...OUTPUT, ...SECOND_NORM],
      ["pre_feedforward_layernorm.weight", [20]],
      ...MLP,
      ["post_feedforward_layernorm.weight", [20]],
    ],
    biased: [
      ...[...INPUT_NORM, ...QKV, ...QKV_BIASES, ...HEAD_NORMS, ...OUTPUT, ...OUTPUT_BIAS],
      ...SECOND_NORM,
      ["pre_feedforward_layernorm.weight", [20]],
      ...MLP,
      ["post_feedforward_layernorm.weight", [20]],
    ],
    stacks: [ATTENTION_STACK],
    biasedStacks: [ATTENTION_STACK, BIAS_STACK],
    kernels: [],
  }],
  ["qwen3_5_text", {
    sizes: { normOffset: 1 },
    plain: [...INPUT_NORM, ...GATED, ...HEAD_NORMS, ...OUTPUT, ...SECOND_NORM, ...MLP],
    biased: [
      ...[...INPUT_NORM, ...GATED, ...GATED_BIASES, ...HEAD_NORMS, ...OUTPUT, ...OUTPUT_BIAS],
      ...[...SECOND_NORM, ...MLP],
    ],
    stacks: [MLP_STACK],
    kernels: ["swiglu"],
  }],
  ["qwen3_5_text", {
    sizes: { normOffset: 1 },
    kind: {
      name: "linear_attention",
      delta: { keyHeads: 2, valueHeads: 6, keyDim: 5, valueDim: 3, taps: 4, chunk: 64 },
    },
    plain: [
      ...INPUT_NORM,
      ["linear_attn.dt_bias", [6]],
      ["linear_attn.A_log", [6]],
      // Two keys' and one value's widths: 2 · 10 + 18.
      ["linear_attn.conv1d.weight", [38, 1, 4]],
      ["linear_attn.norm.weight", [3]],
      ["linear_attn.out_proj.weight", [20, 18]],
      ["linear_attn.in_proj_qkv.weight", [38, 20]],
      ["linear_attn.in_proj_z.weight", [18, 20]],
      ["linear_attn.in_proj_b.weight", [6, 20]],
      ["linear_attn.in_proj_a.weight", [6, 20]],
      ...[...SECOND_NORM, ...MLP],
    ],
    stacks: [MLP_STACK],
    kernels: ["swiglu"],
  }],
];

Deno.test("each family's block has its weights, stacks and kernels", () => {
  assert.deepEqual(new Set(BLOCKS.map(([modelType]) => modelType)), new Set(Object.keys(FAMILIES)));
  for (const [modelType, { sizes, kind, plain, biased, stacks, biasedStacks, kernels }] of BLOCKS) {
    for (const attentionBias of [false, true]) {
      const config = { ...SIZES, ...sizes, attentionBias, modelType };
      const block = familyBlock(config, kind ?? { name: "full_attention" });
      assert.deepEqual(
        block.parameters,
        (attentionBias ? biased ?? plain : plain).map(([name, shape]) => ({
          ...{ name, shape },
          // Weight decay leaves norms and biases alone, and no other vector.
          decays: !/norm\.weight$|bias$/.test(name),
        })),
        modelType,
      );
      assert.deepEqual(block.stacks, attentionBias ? biasedStacks ?? stacks : stacks, modelType);
      assert.deepEqual(block.kernels, kernels, modelType);
    }
  }
});

Deno.test("with an offset norms have no kernel, nor has attention whose heads are normed", () => {
  const kernels = (modelType: ModelType): readonly string[] =>
    familyBlock({ ...SIZES, normOffset: 1, modelType }, { name: "full_attention" }).kernels;
  assert.deepEqual(kernels("qwen3"), ["swiglu"]);
  assert.deepEqual(kernels("llama"), ["attention", "swiglu"]);
});

Deno.test("queries and keys are normed as the family does it, whatever the file would have", () => {
  const normed: readonly ModelType[] = ["qwen3", "olmo2", "gemma3_text", "qwen3_5_text"];
  for (const [modelType, { needs }] of Object.entries(FILLED)) {
    const own = normed.includes(modelType as ModelType);
    const remedy = own
      ? `${modelType} always norms queries and keys`
      : "this family does not norm queries and keys; its model_type would be another";
    for (const field of ["qk_norm", "qk_layernorm", "use_qk_norm"]) {
      const raw = { ...LEAST, ...needs, model_type: modelType };
      assert.deepEqual(parseConfig({ ...raw, [field]: own }).notes, []);
      assert.throws(() => parseConfig({ ...raw, [field]: !own }), {
        name: "RangeError",
        message: `Cannot read config.json: ${field} is ${!own}: ${remedy}`,
      });
    }
  }
});

Deno.test("the families there are, and which other models they cover", () => {
  assert.equal(
    listFamilies(),
    "qwen3, qwen2, llama, mistral, ministral3, smollm3, granite, granitemoehybrid, phi3, olmo2, " +
      "gemma3_text, qwen3_5_text (gemma3_text covers Gemma 3 270M and 1B; granite covers Granite 3; " +
      "granitemoehybrid covers Granite 4 dense; llama covers SmolLM; phi3 covers Phi-3.5 and " +
      "Phi-4-mini; qwen2 covers Qwen2.5; qwen3_5_text covers the text of dense Qwen3.5)",
  );
  const asked = ["qwen3", "gemma3_text", "gpt2", "toString", "", 3, undefined, null];
  assert.deepEqual(asked.map(isModelType), [true, true, ...Array<boolean>(6).fill(false)]);
});

Deno.test("mixtures of experts and Gemma's other models are refused with what to take", () => {
  const experts = "mixtures of experts are not supported; use a dense model";
  const gemma = "use Gemma 3 270M or 1B, whose model_type is gemma3_text";
  const cases: readonly (readonly [string, string])[] = [
    ["qwen3_next", experts],
    ["qwen3_5_moe", experts],
    ["qwen3_5_moe_text", experts],
    ["gemma", `Gemma 1 is not supported; ${gemma}`],
    ["gemma2", `Gemma 2, which caps the scores of attention, is not supported; ${gemma}`],
    ["gemma3", `models of images and text are not supported; ${gemma}`],
  ];
  for (const [model_type, message] of cases) {
    assert.throws(() => parseConfig({ ...LEAST, model_type }), {
      name: "RangeError",
      message: `Cannot read config.json: model_type is "${model_type}": ${message}`,
    });
  }
});
