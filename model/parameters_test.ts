import assert from "node:assert/strict";
import {
  LLAMA3_2_1B,
  QWEN2_5_0_5B,
  QWEN3_0_6B,
  QWEN3_1_7B,
  SMOLLM2_135M,
} from "../tests/support/model_configs.ts";
import { elementCount } from "../ort/tensor/dtype.ts";
import { parseConfig } from "./config.ts";
import { familyConfig } from "../tests/support/tiny_model.ts";
import {
  blockLinears,
  blockNorms,
  blockParameters,
  headName,
  isBeside,
  layerOf,
  modelParameters,
} from "./parameters.ts";

Deno.test("published models have as many parameters as their files", () => {
  const cases: [Readonly<Record<string, unknown>>, tensors: number, elements: number][] = [
    [QWEN3_0_6B, 310, 596_049_920],
    [QWEN3_1_7B, 310, 1_720_574_976],
    [QWEN2_5_0_5B, 290, 494_032_768],
    [SMOLLM2_135M, 272, 134_515_008],
    [LLAMA3_2_1B, 146, 1_235_814_400],
  ];
  for (const [json, tensors, elements] of cases) {
    const specs = modelParameters(parseConfig(json));
    assert.equal(specs.length, tensors);
    assert.equal(specs.reduce((sum, { shape }) => sum + elementCount(shape), 0), elements);
    assert.equal(new Set(specs.map(({ name }) => name)).size, tensors, "names are unique");
  }
});

Deno.test("a Qwen3 layer's weights have Hugging Face's names and shapes", () => {
  const specs = blockParameters(parseConfig(QWEN3_0_6B));
  assert.deepEqual(Object.fromEntries(specs.map(({ name, shape }) => [name, shape])), {
    "input_layernorm.weight": [1024],
    "self_attn.q_proj.weight": [2048, 1024],
    "self_attn.k_proj.weight": [1024, 1024],
    "self_attn.v_proj.weight": [1024, 1024],
    "self_attn.q_norm.weight": [128],
    "self_attn.k_norm.weight": [128],
    "self_attn.o_proj.weight": [1024, 2048],
    "post_attention_layernorm.weight": [1024],
    "mlp.gate_proj.weight": [3072, 1024],
    "mlp.up_proj.weight": [3072, 1024],
    "mlp.down_proj.weight": [1024, 3072],
  });
});

Deno.test("biases stand where the family has them", () => {
  const biases = (json: Readonly<Record<string, unknown>>): string[] =>
    blockParameters(parseConfig(json)).map(({ name }) => name).filter((name) =>
      name.endsWith(".bias")
    );
  const qkv = ["self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"];
  assert.deepEqual(biases(QWEN2_5_0_5B), qkv);
  assert.deepEqual(biases(SMOLLM2_135M), []);
  assert.deepEqual(biases({ ...SMOLLM2_135M, attention_bias: true }), [
    ...qkv,
    "self_attn.o_proj.bias",
  ]);
});

Deno.test("norms and biases do not decay, matrices do", () => {
  for (const { name, decays } of modelParameters(parseConfig(QWEN2_5_0_5B))) {
    assert.equal(decays, !/norm\.weight$|\.bias$/.test(name), name);
  }
});

Deno.test("lm_head is a parameter of its own only where it is not tied", () => {
  const untied = parseConfig({ ...QWEN3_0_6B, tie_word_embeddings: false });
  assert.equal(headName(untied), "lm_head.weight");
  assert.deepEqual(modelParameters(untied).at(-1), {
    name: "lm_head.weight",
    shape: [151936, 1024],
    decays: true,
  });
  const tied = parseConfig(QWEN3_0_6B);
  assert.equal(headName(tied), "model.embed_tokens.weight");
  assert.ok(!modelParameters(tied).some(({ name }) => name === "lm_head.weight"));
});

Deno.test("blocks' norms and linear layers are those of a kind of layers, or of all", () => {
  const config = familyConfig("qwen3_5_text");
  const [delta, full] = config.layerKinds;
  const names = (specs: readonly { readonly name: string }[]): string[] =>
    specs.map(({ name }) => name);
  const [input, post] = ["input_layernorm.weight", "post_attention_layernorm.weight"];
  const heads = ["self_attn.q_norm.weight", "self_attn.k_norm.weight"];
  assert.deepEqual(names(blockNorms(config, full)), [input, ...heads, post]);
  assert.deepEqual(names(blockNorms(config, delta)), [input, "linear_attn.norm.weight", post]);
  assert.deepEqual(names(blockNorms(config)), [input, "linear_attn.norm.weight", post, ...heads]);
  const mlp = ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"];
  const attention = ["q", "k", "v", "o"].map((name) => `self_attn.${name}_proj`);
  const linear = ["out_proj", "in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a"]
    .map((name) => `linear_attn.${name}`);
  assert.deepEqual(names(blockLinears(config, full)), [...attention, ...mlp]);
  assert.deepEqual(names(blockLinears(config, delta)), [...linear, ...mlp]);
  assert.deepEqual(names(blockLinears(config)), [...linear, ...mlp, ...attention]);
  // Biases are no layers of their own.
  const qwen2 = familyConfig("qwen2");
  assert.deepEqual(names(blockLinears(qwen2)), [...attention, ...mlp]);
  assert.deepEqual(blockLinears(qwen2)[0], {
    ...{ name: "self_attn.q_proj", shape: [32, 16], decays: true },
  });
});

Deno.test("all layers' weights stand in order, between the embedding and the last norm", () => {
  const names = modelParameters(familyConfig("qwen3_5_text")).map(({ name }) => name);
  assert.equal(names[0], "model.embed_tokens.weight");
  assert.equal(names.at(-1), "model.norm.weight");
  const layers = names.slice(1, -1).map((name) => /^model\.layers\.(\d)\./.exec(name)![1]);
  assert.deepEqual(layers, layers.toSorted());
  // The first layer has a state, and the second attention.
  assert.ok(names.includes("model.layers.0.linear_attn.A_log"));
  assert.ok(names.includes("model.layers.1.self_attn.q_proj.weight"));
  assert.ok(!names.includes("model.layers.0.self_attn.q_proj.weight"));
});

Deno.test("a weight's layer is its name without its end, and a family says what stands beside a model", () => {
  assert.equal(layerOf("mlp.up_proj.weight"), "mlp.up_proj");
  assert.equal(layerOf("self_attn.q_proj.bias"), "self_attn.q_proj");
  assert.deepEqual(
    (["qwen3_5_text", "qwen3"] as const).map((modelType) =>
      isBeside({ modelType }, "mtp.fc.weight")
    ),
    [true, false],
  );
});
