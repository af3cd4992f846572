import assert from "node:assert/strict";
import { parseConfig } from "../config.ts";
import { distinctKinds } from "../parts/layer_kind.ts";

const GEMMA: Readonly<Record<string, unknown>> = {
  model_type: "gemma3_text",
  hidden_size: 640,
  intermediate_size: 2048,
  num_hidden_layers: 7,
  num_attention_heads: 4,
  num_key_value_heads: 1,
  vocab_size: 262144,
  sliding_window: 512,
};
const SCALED = { rope_type: "linear", factor: 8 };

Deno.test("parseConfig() fills in what Gemma 3's class does", () => {
  const config = parseConfig(GEMMA);
  assert.equal(config.headDim, 256);
  assert.equal(config.attentionScale, 1 / 16);
  assert.equal(config.embeddingScale, Math.sqrt(640));
  assert.deepEqual([config.tiedEmbeddings, config.padTokenId, config.normOffset], [true, 0, 1]);
  assert.equal(config.logitCap, undefined);
  assert.deepEqual(
    distinctKinds(config).map(({ name, window, rope: { theta } = {} }) => [name, window, theta]),
    [
      ["sliding_attention", 512, 10000],
      ["full_attention", undefined, 1000000],
    ],
  );
  assert.equal(config.layerKinds[5].rope?.width, 256);
  assert.equal(config.layerKinds[5].name, "full_attention");
  assert.equal(config.layerKinds[6], config.layerKinds[0]);
});

Deno.test("parseConfig() reads both ways in which transformers writes Gemma 3's rotary fields", () => {
  const older = parseConfig({
    ...GEMMA,
    rope_theta: 5000,
    rope_local_base_freq: 300,
    rope_scaling: SCALED,
  });
  const newer = parseConfig({
    ...GEMMA,
    rope_parameters: {
      full_attention: { ...SCALED, rope_theta: 5000 },
      sliding_attention: { rope_type: "default", rope_theta: 300 },
    },
  });
  assert.equal(JSON.stringify(older.layerKinds), JSON.stringify(newer.layerKinds));
  assert.deepEqual(older.layerKinds[5].rope?.scaling, { type: "linear", factor: 8 });
  assert.equal(older.layerKinds[0].rope?.scaling, undefined);
});

Deno.test("every so many layers of Gemma 3 one sees all tokens", () => {
  const letters = (change: Readonly<Record<string, unknown>>) =>
    parseConfig({ ...GEMMA, ...change }).layerKinds
      .map(({ name }) => name === "full_attention" ? "F" : "S").join("");
  assert.equal(letters({}), "SSSSSFS");
  assert.equal(letters({ num_hidden_layers: 12 }), "SSSSSFSSSSSF");
  assert.equal(letters({ sliding_window_pattern: 3 }), "SSFSSFS");
  assert.equal(letters({ sliding_window_pattern: 1, sliding_window: null }), "FFFFFFF");
  const layer_types = ["full_attention", ...Array<string>(6).fill("sliding_attention")];
  assert.equal(letters({ layer_types }), "FSSSSSS");
});

Deno.test("Gemma 3's scores and logits go by fields of their own", () => {
  const config = parseConfig({
    ...{ ...GEMMA, query_pre_attn_scalar: 64, final_logit_softcapping: 30 },
    tie_word_embeddings: false,
  });
  assert.deepEqual([config.attentionScale, config.logitCap, config.tiedEmbeddings], [
    ...[1 / 8, 30, false],
  ]);
});

const REFUSED: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
  [{ sliding_window: null }, /sliding_window is null: layers of sliding_attention need it$/],
  [{ num_key_value_heads: undefined }, /num_key_value_heads must be a whole number/],
  [
    { hidden_activation: "gelu" },
    /hidden_activation is "gelu": only gelu_pytorch_tanh is supported$/,
  ],
  [{ hidden_act: "silu" }, /hidden_act is "silu": the class reads hidden_activation; remove it$/],
  [
    { attn_logit_softcapping: 50 },
    /attn_logit_softcapping is 50: transformers reads it and caps no/,
  ],
  [{ use_bidirectional_attention: true }, /use_bidirectional_attention is true/],
  [{ final_logit_softcapping: 0 }, /final_logit_softcapping must be a number above 0, got 0$/],
  [
    {
      rope_local_base_freq: 20,
      rope_parameters: { full_attention: {}, sliding_attention: { rope_theta: 30 } },
    },
    /rope_local_base_freq is 20 and rope_parameters\.sliding_attention\.rope_theta is 30/,
  ],
  [{ model_type: "gemma3" }, /models of images and text are not supported; use Gemma 3 270M or 1B/],
  [{ model_type: "gemma2" }, /Gemma 2, which caps the scores of attention, is not supported/],
];

for (const [change, message] of REFUSED) {
  Deno.test(`parseConfig() refuses a Gemma 3 with ${JSON.stringify(change)}`, () => {
    assert.throws(() => parseConfig({ ...GEMMA, ...change }), { name: "RangeError", message });
  });
}
