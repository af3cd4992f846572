import assert from "node:assert/strict";
import type { DType } from "../../ort/tensor/dtype.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { parameter } from "../parts/parameter_spec.ts";
import { compareWeights, misfitError, misshapenTensors } from "./compare_weights.ts";

type Tensors = Readonly<Record<string, readonly [DType, readonly number[]]>>;

/** Names, types and shapes; no weight is read. */
function sourceOf(tensors: Tensors): TensorSource {
  return {
    names: () => Object.keys(tensors),
    info: (name) => ({ dtype: tensors[name][0], shape: tensors[name][1] }),
    read: () => Promise.reject(new Error("a weight was read")),
  };
}

const EMBEDDING = "model.embed_tokens.weight";
const Q = "model.layers.0.self_attn.q_proj.weight";
const SPECS = [
  parameter(EMBEDDING, [10, 4]),
  parameter(Q, [8, 4]),
  parameter("model.norm.weight", [4]),
];
const TENSORS: Tensors = {
  [EMBEDDING]: ["float32", [10, 4]],
  [Q]: ["bfloat16", [8, 4]],
  "model.norm.weight": ["float16", [4]],
};

/** The same without some. */
function without(...names: readonly string[]): Tensors {
  return Object.fromEntries(Object.entries(TENSORS).filter(([name]) => !names.includes(name)));
}

Deno.test("a file fits whose tensors are the model's, a tied head and old rotary tables besides", () => {
  const tables = ["rotary_emb.inv_freq", "model.layers.3.self_attn.rotary_emb.cos_cached"];
  const beside: Tensors = {
    "lm_head.weight": ["float32", [1]],
    ...Object.fromEntries(tables.map((name) => [name, ["float32", [2]] as const])),
    "a.rotary_emb.sin_cached": ["float32", [2]],
  };
  assert.deepEqual(compareWeights(SPECS, sourceOf(TENSORS)), { problems: [] });
  assert.deepEqual(compareWeights(SPECS, sourceOf({ ...TENSORS, ...beside })), { problems: [] });
});

Deno.test("what is missing, unknown and misshapen is told together", () => {
  const { [EMBEDDING]: embedding, ...rest } = TENSORS;
  const misfit = compareWeights(
    SPECS,
    sourceOf({ ...rest, [Q]: ["float32", [4, 8]], other: embedding, xrotary_emb: embedding }),
  );
  assert.deepEqual(misfit, {
    problems: [
      `missing: "${EMBEDDING}"`,
      'not part of the model: "other", "xrotary_emb"',
      `${Q} has shape [4,8], config.json says [8,4]`,
    ],
    hint: undefined,
  });
  // What is no whole model has no hint.
  assert.deepEqual(compareWeights([parameter("a", [2])], sourceOf({})), {
    problems: ['missing: "a"'],
  });
});

Deno.test("misshapen tensors are ten lines at most, and one that counts the others", () => {
  const specs = (count: number) =>
    Array.from({ length: count }, (_, i) => parameter(`w${i}`, [2, i]));
  const source = (count: number) =>
    sourceOf(
      Object.fromEntries(specs(count).map(({ name }) => [name, ["float32", [3, 1]] as const])),
    );
  const line = (i: number): string => `w${i} has shape [3,1], the adapter says [2,${i}]`;
  const lines = (count: number) =>
    misshapenTensors(specs(count), source(count), "the adapter says");
  assert.deepEqual(lines(0), []);
  assert.deepEqual(lines(10), Array.from({ length: 10 }, (_, i) => line(i)));
  assert.deepEqual(lines(11).slice(10), ["and 1 more tensors like these"]);
  assert.deepEqual(lines(12), [
    ...Array.from({ length: 10 }, (_, i) => line(i)),
    "and 2 more tensors like these",
  ]);
  const types = { a: ["float32", [2]], b: ["int64", [2]], c: ["bfloat16", [2]], d: ["bool", [2]] };
  assert.deepEqual(
    misshapenTensors(
      Object.keys(types).map((name) => parameter(name, [2])),
      sourceOf(types as unknown as Tensors),
      "config.json says",
    ),
    [
      "b is int64: expected float32, bfloat16 or float16",
      "d is bool: expected float32, bfloat16 or float16",
    ],
  );
});

const QUANTIZED =
  "These are the weights of a quantized model; ortune trains float weights: take the " +
  "unquantized model";
const WRAPPED =
  "These are the names of a model that is wrapped for LoRA training: merge its adapter " +
  "(PEFT's merge_and_unload) and save that, or take the base model and the adapter's own folder";
const ADAPTER =
  "These are the names of an adapter: give its folder as the adapter, beside its base " +
  "model";
const IMAGES = "These are the names of a model of images or sound: take the text model alone";
const EXPERTS =
  "These are the names of a mixture of experts, which is not supported: take a dense " +
  "model";
const NO_ATTENTION =
  "These are the names of a model without plain attention, which is not supported";
const CLASSIFIER =
  "These are the names of a classifier or reward model: take the causal language " +
  "model";
const META = "These are the names of Meta's own files: convert them to Hugging Face's layout " +
  "(transformers' convert_llama_weights_to_hf.py)";
const GGUF = "These are the names of a GGUF file: take the model in safetensors";
const ANOTHER =
  "These are the names of another architecture; take a model of config.json's model_type";
const FUSED =
  "These are the names of a model whose projections are fused; save it with transformers' " +
  "own class";

/** A name that a model does not have, and what it tells of the file. */
const HINTS: readonly (readonly [name: string, hint: string | undefined])[] = [
  ["model.layers.0.self_attn.q_proj.qweight", QUANTIZED],
  ["model.layers.0.mlp.up_proj.weight.absmax", QUANTIZED],
  ["scales", QUANTIZED],
  ["model.layers.0.self_attn.q_proj.SCB", QUANTIZED],
  ["model.layers.0.q_proj.base_layer.weight", WRAPPED],
  ["model.layers.0.q_proj.lora_A.weight", ADAPTER],
  ["model.layers.0.q_proj.lora_embedding_B", ADAPTER],
  ["model.layers.0.q_proj.lora_magnitude_vector", ADAPTER],
  ["visual.blocks.0.weight", IMAGES],
  ["model.vision_tower.weight", IMAGES],
  ["model.layers.0.mlp.experts.3.up_proj.weight", EXPERTS],
  ["model.layers.0.block_sparse_moe.gate.weight", EXPERTS],
  ["model.layers.0.linear_attn.A_log", NO_ATTENTION],
  ["model.layers.0.mamba.A_log", NO_ATTENTION],
  ["score.weight", CLASSIFIER],
  ["model.v_head.weight", CLASSIFIER],
  ["layers.0.attention.wq.weight", META],
  ["tok_embeddings.weight", META],
  ["blk.12.attn_q.weight", GGUF],
  ["token_embd.weight", GGUF],
  ["transformer.h.0.attn.weight", ANOTHER],
  ["h.0.attn.weight", ANOTHER],
  ["gpt_neox.embed_in.weight", ANOTHER],
  ["model.layers.0.self_attn.qkv_proj.weight", FUSED],
  ["model.layers.0.mlp.gate_up_proj.weight", FUSED],
  ["model.layers.0.self_attn.sinks", undefined],
];

Deno.test("names give away what a file is", () => {
  for (const [name, hint] of HINTS) {
    assert.deepEqual(compareWeights(SPECS, sourceOf({ ...TENSORS, [name]: ["float32", [1]] })), {
      problems: [`not part of the model: "${name}"`],
      hint,
    });
  }
  // The most telling first, wherever it stands.
  const both: Tensors = {
    ...{ ...TENSORS, "score.weight": ["float32", [1]] },
    "model.layers.0.q_proj.lora_A.weight": ["float32", [1]],
  };
  assert.equal(compareWeights(SPECS, sourceOf(both)).hint, ADAPTER);
});

Deno.test("whole numbers give away a quantized model", () => {
  for (
    const [dtype, hint] of [["int8", QUANTIZED], ["uint8", QUANTIZED], [
      "int32",
      undefined,
    ]] as const
  ) {
    assert.deepEqual(compareWeights(SPECS, sourceOf({ ...TENSORS, [Q]: [dtype, [8, 4]] })), {
      problems: [`${Q} is ${dtype}: expected float32, bfloat16 or float16`],
      hint,
    });
  }
});

Deno.test("a head or biases that are missing say what to set in config.json", () => {
  const head = parameter("lm_head.weight", [10, 4]);
  assert.deepEqual(compareWeights([...SPECS, head], sourceOf(TENSORS)), {
    problems: ['missing: "lm_head.weight"'],
    hint: "Take both from the same model, or, where the head is the embedding, set " +
      "tie_word_embeddings to true in config.json",
  });
  // Where more is missing it is another model.
  assert.equal(compareWeights([...SPECS, head], sourceOf(without(Q))).hint, undefined);
  const other: Tensors = { ...TENSORS, other: ["float32", [1]] };
  assert.equal(compareWeights([...SPECS, head], sourceOf(other)).hint, undefined);

  const biases = ["q", "o"].map((name) => `model.layers.0.self_attn.${name}_proj.bias`);
  const set = (value: boolean): string =>
    `Take both from the same model, or set attention_bias to ${value} in config.json if it is a model ` +
    "with biases there";
  const specs = biases.map((name) => parameter(name, [4]));
  assert.equal(compareWeights([...SPECS, ...specs], sourceOf(TENSORS)).hint, set(false));
  assert.equal(compareWeights([...SPECS, specs[0]], sourceOf(TENSORS)).hint, set(false));
  const more: Tensors = Object.fromEntries(biases.map((name) => [name, ["float32", [4]]]));
  assert.equal(compareWeights(SPECS, sourceOf({ ...TENSORS, ...more })).hint, set(true));
  assert.equal(
    compareWeights([...SPECS, ...specs], sourceOf({ ...TENSORS, other: ["float32", [1]] })).hint,
    undefined,
  );
});

Deno.test("a misfit's error has a line a problem, and ends with what to do", () => {
  assert.equal(
    misfitError("m", { problems: ["a", "b"] }).message,
    "Cannot load weights from m: they do not fit its config.json\n  a\n  b\n" +
      "Take both from the same model",
  );
  assert.equal(
    misfitError("m", { problems: ["a"], hint: "Do this" }).message,
    "Cannot load weights from m: they do not fit its config.json\n  a\nDo this",
  );
});
