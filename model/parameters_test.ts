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
import { blockParameters, headName, modelParameters } from "./parameters.ts";

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
