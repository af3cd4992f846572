import assert from "node:assert/strict";
import { parseConfig } from "../config.ts";

type Json = Readonly<Record<string, unknown>>;

const ROTARY = { original_max_position_embeddings: 16, llama_4_scaling_beta: 0.25 };
const SIZES: Json = {
  ...{ model_type: "ministral3", hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2 },
  ...{ num_attention_heads: 4, vocab_size: 100, max_position_embeddings: 64 },
};

Deno.test("Ministral 3's queries grow by the fields of its rotary dictionary", () => {
  const cases: readonly (readonly [Json, beta: number, span: number])[] = [
    [{ rope_parameters: ROTARY }, 0.25, 16],
    [{ rope_scaling: ROTARY }, 0.25, 16],
    [{ rope_parameters: { ...ROTARY, llama_4_scaling_beta: 0 } }, 0, 16],
    [{ rope_parameters: { ...ROTARY, original_max_position_embeddings: 0.5 } }, 0.25, 0.5],
    [{ rope_parameters: { ...ROTARY, original_max_position_embeddings: 1 } }, 0.25, 1],
    // The field beside the dictionary stands for that inside.
    [
      {
        original_max_position_embeddings: 24,
        rope_parameters: { llama_4_scaling_beta: 0.25 },
      },
      ...[0.25, 24] as const,
    ],
    // A field of that name beside the dictionary is not read of β.
    [{ rope_parameters: ROTARY, llama_4_scaling_beta: 3 }, 0.25, 16],
  ];
  for (const [change, beta, span] of cases) {
    const { layerKinds } = parseConfig({ ...SIZES, ...change });
    assert.deepEqual(layerKinds.map(({ queryGrowth }) => queryGrowth), [
      { beta, span },
      { beta, span },
    ], JSON.stringify(change));
  }
});

Deno.test("Ministral 3's layers see a window where sliding_window has a size", () => {
  const kind = (change: Json) => {
    const { layerKinds: [{ name, window }] } = parseConfig({
      ...{ ...SIZES, rope_parameters: ROTARY },
      ...change,
    });
    return [name, window];
  };
  assert.deepEqual(kind({}), ["full_attention", undefined]);
  assert.deepEqual(kind({ sliding_window: null }), ["full_attention", undefined]);
  assert.deepEqual(kind({ sliding_window: 7 }), ["sliding_attention", 7]);
  const sliding = Array<string>(2).fill("sliding_attention");
  assert.deepEqual(kind({ sliding_window: 7, layer_types: sliding }), ["sliding_attention", 7]);
  assert.throws(() => kind({ layer_types: sliding }), {
    message: 'Cannot read config.json: layer_types is ["sliding_attention","sliding_attention"]: ' +
      "only full_attention is supported",
  });
});

Deno.test("what Ministral 3's queries cannot grow by is refused", () => {
  const number = "must be a number from 0, got";
  const cases: readonly (readonly [Json, string])[] = [
    [
      { rope_parameters: { ...ROTARY, llama_4_scaling_beta: -1 } },
      `rope_parameters.llama_4_scaling_beta ${number} -1`,
    ],
    [
      { rope_parameters: { ...ROTARY, llama_4_scaling_beta: "1" } },
      `rope_parameters.llama_4_scaling_beta ${number} "1"`,
    ],
    [
      { rope_parameters: { ...ROTARY, llama_4_scaling_beta: Infinity } },
      `rope_parameters.llama_4_scaling_beta ${number} null`,
    ],
    [
      { rope_scaling: { original_max_position_embeddings: 16 } },
      `rope_scaling.llama_4_scaling_beta ${number} missing`,
    ],
    [
      { rope_parameters: { llama_4_scaling_beta: 1 } },
      `rope_parameters.original_max_position_embeddings ${number} missing`,
    ],
    [
      { rope_parameters: { ...ROTARY, original_max_position_embeddings: 0 } },
      "rope_parameters.original_max_position_embeddings must be above 0, got 0",
    ],
  ];
  for (const [change, message] of cases) {
    assert.throws(() => parseConfig({ ...SIZES, ...change }), {
      name: "RangeError",
      message: `Cannot read config.json: ${message}`,
    });
  }
});
