import assert from "node:assert/strict";
import { parseConfig } from "../config.ts";
import { textReader } from "./text_model.ts";

type Json = Readonly<Record<string, unknown>>;

const TEXT: Json = {
  ...{ hidden_size: 32, intermediate_size: 64, num_hidden_layers: 4, num_attention_heads: 4 },
  ...{ num_key_value_heads: 2, vocab_size: 100 },
};
const WHOLE: Json = {
  architectures: ["Qwen3_5ForConditionalGeneration"],
  model_type: "qwen3_5",
  text_config: { ...TEXT, model_type: "qwen3_5_text" },
  vision_config: { depth: 12 },
  image_token_id: 98,
  dtype: "bfloat16",
};
const LEFT_OUT =
  "m/config.json: it is a model of images and text (qwen3_5): its text model is read, " +
  "its parts for images are left out, and what is saved is a text model";

Deno.test("of a model of images and text the text model is read, as a model of its own", () => {
  const config = parseConfig(WHOLE, "m/config.json");
  assert.deepEqual(config.raw, {
    ...TEXT,
    architectures: ["Qwen3_5ForCausalLM"],
    model_type: "qwen3_5_text",
  });
  assert.deepEqual(config.notes, [LEFT_OUT]);
  assert.deepEqual([config.modelType, config.hiddenSize], ["qwen3_5_text", 32]);
});

Deno.test("whether the head is the embedding may stand in either place", () => {
  const cases: readonly (readonly [whole: unknown, text: unknown, raw: Json])[] = [
    [undefined, undefined, {}],
    [true, undefined, { tie_word_embeddings: true }],
    [undefined, true, { tie_word_embeddings: true }],
    [true, true, { tie_word_embeddings: true }],
    [false, undefined, { tie_word_embeddings: false }],
    [undefined, false, { tie_word_embeddings: false }],
  ];
  for (const [whole, text, expected] of cases) {
    const { raw } = textReader({
      ...WHOLE,
      tie_word_embeddings: whole,
      text_config: { ...TEXT, ...text === undefined ? {} : { tie_word_embeddings: text } },
    }, "config.json");
    assert.deepEqual(raw, {
      ...{ ...TEXT, architectures: ["Qwen3_5ForCausalLM"], model_type: "qwen3_5_text" },
      ...expected,
    });
  }
  const both = (tie_word_embeddings: boolean): Json => ({
    ...{ ...WHOLE, tie_word_embeddings },
    text_config: { ...TEXT, tie_word_embeddings: !tie_word_embeddings },
  });
  for (const tied of [false, true]) {
    assert.throws(() => textReader(both(tied), "config.json"), {
      name: "RangeError",
      message:
        `Cannot read config.json: tie_word_embeddings is ${tied} and text_config.tie_word_embeddings ` +
        `is ${!tied}: transformers' classes differ in which they take; remove the wrong one`,
    });
  }
});

Deno.test("notes of the whole and of the text model are one list", () => {
  const config = parseConfig({
    ...{ ...WHOLE, qk_scale: 3 },
    text_config: { ...TEXT, sparsity: 2 },
  }, "m/config.json");
  const unknown = (field: string): string =>
    `it holds fields that ortune does not know: ${field}; if they change the model its results are wrong`;
  assert.deepEqual(config.notes, [
    LEFT_OUT,
    `m/config.json: ${unknown("qk_scale")}`,
    `m/config.json: text_config: ${unknown("sparsity")}`,
  ]);
});

Deno.test("a model of images and text that is another is refused", () => {
  const cases: readonly (readonly [Json, string])[] = [
    [{ text_config: undefined }, "config.json: text_config must be an object, got missing"],
    [{ text_config: [1] }, "config.json: text_config must be an object, got [1]"],
    [
      { quantization_config: { bits: 4 } },
      'config.json: quantization_config is {"bits":4}: ortune trains float weights; use the ' +
      "unquantized model",
    ],
    [
      { architectures: ["Other"] },
      'config.json: architectures is ["Other"]: only Qwen3_5ForConditionalGeneration is supported',
    ],
    [
      { text_config: { ...TEXT, model_type: "qwen3" } },
      'config.json: text_config.model_type is "qwen3", not qwen3_5_text',
    ],
    [
      { text_config: { ...TEXT, head_dim: 7 } },
      "config.json: text_config: head_dim must be even for rotary embeddings, got 7",
    ],
  ];
  for (const [change, message] of cases) {
    assert.throws(() => parseConfig({ ...WHOLE, ...change }), {
      name: "RangeError",
      message: `Cannot read ${message}`,
    });
  }
  assert.deepEqual(parseConfig({ ...WHOLE, architectures: undefined }, "m/config.json").notes, [
    LEFT_OUT,
  ]);
});

Deno.test("any other config.json is read as it is", () => {
  for (const model_type of ["qwen3", "toString", 3, undefined]) {
    const json = { ...WHOLE, model_type };
    const { raw, notes } = textReader(json, "config.json");
    assert.equal(raw, json);
    assert.deepEqual(notes, []);
  }
});
