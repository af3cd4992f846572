import assert from "node:assert/strict";
import { readConfigFixture } from "../tests/support/config_fixture.ts";
import { parseConfig } from "./config.ts";

type Json = Readonly<Record<string, unknown>>;

/** The least that a config must say. */
const LEAST: Json = {
  model_type: "llama",
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  vocab_size: 100,
};

function notesOf(fields: Json): readonly string[] {
  return parseConfig({ ...LEAST, ...fields }).notes;
}

Deno.test("settings of generation are noted unless they are the defaults of transformers", async () => {
  const fixture = await readConfigFixture<{ readonly generation: Json }>("fields-5.24.0.json");
  // Generation here always has a cache.
  const { use_cache: _, ...generation } = fixture.generation;
  assert.equal(Object.keys(generation).length, 33);
  for (const [field, value] of Object.entries(generation)) {
    assert.deepEqual(notesOf({ [field]: value }), [], field);
    const other = typeof value === "number" ? value + 1 : typeof value === "boolean" ? !value : 7;
    assert.deepEqual(notesOf({ [field]: other }), [
      `config.json: ${field} is ${other}: a setting of generation, which is read here only where ` +
      "there is no generation_config.json; move it there",
    ]);
  }
});

/** A field of each rule, what asks for nothing in it, and what it says to all else. */
const REFUSED: readonly (readonly [field: string, unless: readonly unknown[], remedy: string])[] = [
  ["is_encoder_decoder", [false, 0], "ortune has decoder-only models; use one"],
  [
    "vision_config",
    [],
    "ortune reads text models only; use the text model alone, with its own config.json",
  ],
  ["pruned_heads", [{}], "layers that differ are not supported; use a model without it"],
  ["residual_scale", [1, false], "scaled activations are not supported; use a model without it"],
  ["logits_soft_cap", [0, false], "soft-capped logits are not supported; use a model without it"],
  ["n_routed_experts", [0, false, []], "mixtures of experts are not supported; use a dense model"],
  [
    "use_mla",
    [0, false, 1],
    "attention of this kind is not supported; use a model with plain full attention",
  ],
  [
    "rope_interleave",
    [false],
    "rotary embeddings of this kind are not supported; use a model without it",
  ],
  ["rotary_pct", [1], "only 1 is supported"],
  ["quant_config", [], "ortune trains float weights; use the unquantized model"],
  ["hidden_activation", ["silu", "swish"], "only silu is supported"],
  ["norm_type", ["rmsnorm", "rms_norm", "RMSNorm"], "only RMSNorm is supported"],
  ["use_causal_mask", [true], "only attention with causal masks is supported"],
  ["lm_head_bias", [false], "biases of this kind are not supported; use a model without"],
  [
    "qk_norm",
    [false],
    "this family does not norm queries and keys; its model_type would be another",
  ],
];

/** Values of which each rule takes some at most. */
const VALUES: readonly unknown[] = [
  ...[0, 1, 2, false, true, [], {}, "silu", "swish", "gelu"],
  ...["rmsnorm", "rms_norm", "RMSNorm", "layernorm"],
];

Deno.test("fields that ask for what no family computes are refused unless they ask for nothing", () => {
  for (const [field, unless, remedy] of REFUSED) {
    assert.deepEqual(notesOf({ [field]: null }), [], field);
    for (const value of VALUES) {
      const json = JSON.stringify(value);
      if (unless.some((each) => JSON.stringify(each) === json)) {
        assert.deepEqual(notesOf({ [field]: value }), [], `${field} ${json}`);
        continue;
      }
      assert.throws(() => notesOf({ [field]: value }), {
        name: "RangeError",
        message: `Cannot read config.json: ${field} is ${json}: ${remedy}`,
      });
    }
  }
});

Deno.test("fields of parts that are left out are noted unless they ask for nothing", () => {
  const further = "layers that predict further tokens are left out";
  const code = "the model's own Python code is not run";
  const cases: readonly (readonly [field: string, unless: readonly unknown[], remedy: string])[] = [
    ["num_nextn_predict_layers", [0], further],
    ["mtp_num_hidden_layers", [0], further],
    ["custom_pipelines", [], code],
    [
      "auto_map",
      [],
      `${code}; ortune computes what transformers' class of this model_type does`,
    ],
    ["prefix", [""], "text before every prompt, which is not added; write it there"],
    [
      "task_specific_params",
      [{}],
      "is not read; move what is wanted into generation_config.json",
    ],
    [
      "resid_pdrop",
      [0],
      "this dropout is not applied in training; set it to 0.0 to say that you know",
    ],
  ];
  for (const [field, unless, remedy] of cases) {
    for (const value of [0, 1, "", {}]) {
      const json = JSON.stringify(value);
      const nothing = unless.some((each) => JSON.stringify(each) === json);
      assert.deepEqual(
        notesOf({ [field]: value }),
        nothing ? [] : [`config.json: ${field} is ${json}: ${remedy}`],
      );
    }
  }
});
