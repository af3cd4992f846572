import assert from "node:assert/strict";
import { parseConfig } from "../config.ts";
import { blockParameters } from "../parameters.ts";

/** As ibm-granite/granite-4.0-1b has it, of two layers. */
const GRANITE: Readonly<Record<string, unknown>> = {
  architectures: ["GraniteMoeHybridForCausalLM"],
  attention_bias: false,
  attention_dropout: 0,
  attention_multiplier: 0.0078125,
  bos_token_id: 100257,
  embedding_multiplier: 12,
  eos_token_id: 100257,
  hidden_act: "silu",
  hidden_size: 2048,
  init_method: "mup",
  initializer_range: 0.1,
  intermediate_size: 4096,
  layer_types: ["attention", "attention"],
  logits_scaling: 8,
  mamba_chunk_size: 256,
  mamba_conv_bias: true,
  mamba_d_conv: 4,
  mamba_d_head: 32,
  mamba_d_state: 256,
  mamba_expand: 2,
  mamba_n_groups: 1,
  mamba_n_heads: 128,
  mamba_proj_bias: false,
  max_position_embeddings: 131072,
  model_type: "granitemoehybrid",
  normalization_function: "rmsnorm",
  num_attention_heads: 16,
  num_experts_per_tok: 0,
  num_hidden_layers: 2,
  num_key_value_heads: 4,
  num_local_experts: 0,
  output_router_logits: false,
  pad_token_id: 100256,
  position_embedding_type: "rope",
  residual_multiplier: 0.22,
  rms_norm_eps: 1e-5,
  rope_scaling: null,
  rope_theta: 10000000,
  router_aux_loss_coef: 0,
  shared_intermediate_size: 3072,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  transformers_version: "4.56.0",
  use_cache: true,
  vocab_size: 100352,
};

Deno.test("parseConfig() reads a dense Granite 4, with nothing to note", () => {
  const config = parseConfig(GRANITE);
  assert.deepEqual(config.notes, []);
  assert.deepEqual(
    [config.intermediateSize, config.attentionScale, config.embeddingScale, config.logitScale],
    [3072, 1 / 128, 12, 1 / 8],
  );
  assert.equal(config.layerKinds[0].rope?.theta, 1e7);
  const shapes = Object.fromEntries(
    blockParameters(config).map(({ name, shape }) => [name, shape]),
  );
  assert.deepEqual(shapes["shared_mlp.input_linear.weight"], [6144, 2048]);
  assert.deepEqual(shapes["shared_mlp.output_linear.weight"], [2048, 3072]);
});

Deno.test("Granite 4 is not turned unless it says rope", () => {
  for (const position_embedding_type of [null, undefined, "nope"]) {
    assert.equal(
      parseConfig({ ...GRANITE, position_embedding_type }).layerKinds[0].rope,
      undefined,
    );
  }
});

const DENSE = "take a dense Granite 4, whose name has no h, such as granite-4.0-micro";
const REFUSED: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
  [
    { num_local_experts: 62 },
    `num_local_experts is 62: mixtures of experts are not supported; ${DENSE}, which says 0`,
  ],
  [
    { num_local_experts: undefined },
    "num_local_experts is missing, which makes it 8: mixtures of experts are not supported; " +
    `${DENSE}, which says 0`,
  ],
  [
    { layer_types: ["mamba", "attention"] },
    `layer_types is ["mamba","attention"]: state spaces (Mamba) are not supported; ${DENSE}`,
  ],
  [
    { layer_types: undefined },
    "layer_types is missing, which makes all layers Mamba's: state spaces (Mamba) are not " +
    `supported; ${DENSE}`,
  ],
  [
    { layer_types: ["attention", "sliding_attention"] },
    'layer_types is ["attention","sliding_attention"]: only full_attention is supported',
  ],
  [
    { layers_block_type: ["mamba", "mamba"] },
    'layers_block_type is ["mamba","mamba"]: it is another name of layer_types; rename it',
  ],
  [
    { position_embedding_type: "alibi" },
    'position_embedding_type is "alibi": only rope and nope are supported',
  ],
  [
    { normalization_function: "layernorm" },
    'normalization_function is "layernorm": only rmsnorm is supported',
  ],
  [{ shared_intermediate_size: 0 }, "shared_intermediate_size must be a whole number from 1 to"],
];

for (const [change, message] of REFUSED) {
  Deno.test(`parseConfig() refuses a Granite 4 with ${JSON.stringify(change)}`, () => {
    assert.throws(
      () => parseConfig({ ...GRANITE, ...change }),
      (error: Error) =>
        error instanceof RangeError && error.message.includes(`config.json: ${message}`),
    );
  });
}
