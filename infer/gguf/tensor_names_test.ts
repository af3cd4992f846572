import assert from "node:assert/strict";
import type { ModelType } from "../../model/families/families.ts";
import { modelParameters } from "../../model/parameters.ts";
import { FAMILY_FIELDS, familyConfig } from "../../tests/support/tiny_model.ts";
import { ggufTensorName, hfTensorName } from "./tensor_names.ts";

const LLAMA = {
  "input_layernorm.weight": "attn_norm.weight",
  "self_attn.q_proj.weight": "attn_q.weight pair-rows",
  "self_attn.k_proj.weight": "attn_k.weight pair-rows",
  "self_attn.v_proj.weight": "attn_v.weight",
  "self_attn.o_proj.weight": "attn_output.weight",
  "post_attention_layernorm.weight": "ffn_norm.weight",
  "mlp.gate_proj.weight": "ffn_gate.weight",
  "mlp.up_proj.weight": "ffn_up.weight",
  "mlp.down_proj.weight": "ffn_down.weight",
};
const ROWS = {
  ...LLAMA,
  "self_attn.q_proj.weight": "attn_q.weight",
  "self_attn.k_proj.weight": "attn_k.weight",
};
const HEAD_NORMS = {
  "self_attn.q_norm.weight": "attn_q_norm.weight",
  "self_attn.k_norm.weight": "attn_k_norm.weight",
};
const { "input_layernorm.weight": _norm, ...PROJECTIONS } = ROWS;

/** Names inside a layer by llama.cpp's tables, and what is done to the numbers. */
const NAMES: Readonly<Record<ModelType, Readonly<Record<string, string>>>> = {
  llama: LLAMA,
  mistral: LLAMA,
  ministral3: LLAMA,
  smollm3: LLAMA,
  granite: LLAMA,
  granitemoehybrid: {
    ...Object.fromEntries(Object.entries(LLAMA).filter(([name]) => !name.startsWith("mlp."))),
    "shared_mlp.input_linear.weight": "ffn_gate.weight ffn_up.weight",
    "shared_mlp.output_linear.weight": "ffn_down.weight",
  },
  qwen2: {
    ...ROWS,
    "self_attn.q_proj.bias": "attn_q.bias",
    "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.bias": "attn_v.bias",
  },
  qwen3: { ...ROWS, ...HEAD_NORMS },
  phi3: {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.qkv_proj.weight": "attn_qkv.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
  },
  olmo2: {
    ...PROJECTIONS,
    ...HEAD_NORMS,
    "post_attention_layernorm.weight": "post_attention_norm.weight",
    "post_feedforward_layernorm.weight": "post_ffw_norm.weight",
  },
  gemma3_text: {
    ...ROWS,
    "self_attn.q_norm.weight": "attn_q_norm.weight add-one",
    "self_attn.k_norm.weight": "attn_k_norm.weight add-one",
    "input_layernorm.weight": "attn_norm.weight add-one",
    "post_attention_layernorm.weight": "post_attention_norm.weight add-one",
    "pre_feedforward_layernorm.weight": "ffn_norm.weight add-one",
    "post_feedforward_layernorm.weight": "post_ffw_norm.weight add-one",
  },
  qwen3_5_text: {
    ...ROWS,
    "self_attn.q_norm.weight": "attn_q_norm.weight add-one",
    "self_attn.k_norm.weight": "attn_k_norm.weight add-one",
    "input_layernorm.weight": "attn_norm.weight add-one",
    "post_attention_layernorm.weight": "post_attention_norm.weight add-one",
    "linear_attn.in_proj_qkv.weight": "attn_qkv.weight tile-value-rows",
    "linear_attn.in_proj_z.weight": "attn_gate.weight tile-rows",
    "linear_attn.in_proj_b.weight": "ssm_beta.weight tile-rows",
    "linear_attn.in_proj_a.weight": "ssm_alpha.weight tile-rows",
    "linear_attn.conv1d.weight": "ssm_conv1d.weight tile-value-rows",
    "linear_attn.norm.weight": "ssm_norm.weight",
    "linear_attn.out_proj.weight": "ssm_out.weight tile-columns",
    "linear_attn.A_log": "ssm_a decay-rate",
    "linear_attn.dt_bias": "ssm_dt.bias tile-rows",
  },
};
const PLUS_ONE: readonly string[] = ["gemma3_text", "qwen3_5_text"];
const LAYER = /^model\.layers\.(\d+)\.(.+)$/;

Deno.test("every tensor of every family has llama.cpp's name, and the name leads back", () => {
  for (const family of Object.keys(FAMILY_FIELDS) as ModelType[]) {
    const seen = new Set<string>();
    const config = familyConfig(family, { tie_word_embeddings: false });
    for (const { name } of modelParameters(config)) {
      const found = ggufTensorName(family, name);
      const [, layer, local] = LAYER.exec(name) ?? [];
      if (local === undefined) {
        const outside: Readonly<Record<string, string>> = {
          "model.embed_tokens.weight": "token_embd.weight",
          "model.norm.weight": "output_norm.weight",
          "lm_head.weight": "output.weight",
        };
        const add = name === "model.norm.weight" && PLUS_ONE.includes(family);
        assert.deepEqual(found, {
          names: [outside[name]],
          ...add && { change: "add-one" },
        });
      } else {
        seen.add(local);
        const words = NAMES[family][local].split(" ");
        const change = words.filter((word) => word.includes("-"));
        assert.deepEqual(found, {
          names: words.filter((word) => !word.includes("-")).map((word) => `blk.${layer}.${word}`),
          ...change.length > 0 && { change: change[0] },
        }, `${family} ${local}`);
      }
      for (const [half, theirs] of found.names.entries()) {
        assert.deepEqual(hfTensorName(family, theirs), {
          name,
          ...found.names.length === 2 && { half },
          ...found.change && { change: found.change },
        });
      }
    }
    assert.deepEqual([...seen].sort(), Object.keys(NAMES[family]).sort(), family);
  }
});

Deno.test("tensors that a family does not have have no name", () => {
  assert.throws(
    () => ggufTensorName("mistral", "model.layers.0.self_attn.q_norm.weight"),
    new RangeError(
      "Cannot name model.layers.0.self_attn.q_norm.weight in GGUF: llama.cpp's llama has no such tensor",
    ),
  );
  for (const name of ["model.layers.0.toString", "model.other.weight", "blk.0.attn_q.weight"]) {
    assert.throws(() => ggufTensorName("llama", name), /^RangeError: Cannot name /);
  }
  for (const name of ["rope_freqs.weight", "blk.0.attn_q_norm.weight", "attn_q.weight"]) {
    assert.equal(hfTensorName("llama", name), undefined);
  }
});
