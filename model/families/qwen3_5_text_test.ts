import assert from "node:assert/strict";
import { parseConfig } from "../config.ts";
import { FAMILIES } from "./families.ts";

type Json = Readonly<Record<string, unknown>>;

const SIZES: Json = {
  ...{ model_type: "qwen3_5_text", hidden_size: 32, intermediate_size: 64, num_hidden_layers: 4 },
  ...{ num_attention_heads: 4, num_key_value_heads: 2, vocab_size: 100, rope_theta: 500 },
};
/** As transformers' class has it. */
const DELTA = {
  ...{ keyHeads: 16, valueHeads: 32, keyDim: 128, valueDim: 128, taps: 4, chunk: 64 },
};

Deno.test("every so many layers of Qwen3.5 one has attention, and the others a gated delta rule", () => {
  const [full, linear] = ["full_attention", "linear_attention"];
  const cases: readonly (readonly [Json, string])[] = [
    [{}, "LLLF"],
    [{ full_attention_interval: 1 }, "FFFF"],
    [{ full_attention_interval: 2 }, "LFLF"],
    [{ full_attention_interval: 3 }, "LLFL"],
    [{ layer_types: [full, linear, linear, full], full_attention_interval: 2 }, "FLLF"],
  ];
  for (const [change, expected] of cases) {
    const { layerKinds } = parseConfig({ ...SIZES, ...change });
    const kinds = {
      F: { name: full, rope: { theta: 500, width: 64, maxPositions: 32768 } },
      L: { name: linear, delta: DELTA },
    };
    assert.deepEqual(
      layerKinds,
      Array.from(expected, (each) => kinds[each as "F" | "L"]),
      expected,
    );
    assert.equal(new Set(layerKinds).size, new Set(expected).size);
  }
});

Deno.test("the delta rule's sizes are those of their fields", () => {
  const { layerKinds: [{ delta }] } = parseConfig({
    ...SIZES,
    ...{ linear_num_key_heads: 3, linear_num_value_heads: 6, linear_key_head_dim: 5 },
    ...{ linear_value_head_dim: 7, linear_conv_kernel_dim: 2 },
  });
  assert.deepEqual(delta, {
    ...{ keyHeads: 3, valueHeads: 6, keyDim: 5, valueDim: 7, taps: 2, chunk: 64 },
  });
});

Deno.test("a quarter of each head is turned, unless partial_rotary_factor says otherwise", () => {
  const width = (change: Json) => parseConfig({ ...SIZES, ...change }).layerKinds[3].rope!.width;
  assert.deepEqual(
    [{}, { partial_rotary_factor: 0.5 }, { head_dim: 32 }, { partial_rotary_factor: 1 }].map(width),
    [64, 128, 8, 256],
  );
  // What the dictionary says of images is nothing to a text.
  const dictionary = { partial_rotary_factor: 0.5, mrope_section: [1, 2], mrope_interleaved: true };
  const config = parseConfig({ ...SIZES, rope_parameters: dictionary });
  assert.deepEqual([config.layerKinds[3].rope!.width, config.notes], [128, []]);
});

Deno.test("what Qwen3.5 is not is refused", () => {
  const cases: readonly (readonly [Json, string])[] = [
    [
      { num_key_value_heads: undefined },
      "num_key_value_heads must be a whole number from 1 to 16777216, got missing",
    ],
    [
      { linear_num_key_heads: 3, linear_num_value_heads: 8 },
      "linear_num_key_heads must divide linear_num_value_heads 8, got 3",
    ],
    [
      { linear_num_key_heads: 8, linear_num_value_heads: 4 },
      "linear_num_key_heads must divide linear_num_value_heads 4, got 8",
    ],
    [{ linear_conv_kernel_dim: 1 }, "linear_conv_kernel_dim must be 2 or more, got 1"],
    [
      { layer_types: ["sliding_attention"] },
      'layer_types is ["sliding_attention"]: only full_attention and linear_attention are ' +
      "supported",
    ],
    [
      { attn_output_gate: false },
      "attn_output_gate is false: qwen3_5_text always gates what attention gives",
    ],
    [{ sliding_window: 5 }, "sliding_window is 5: qwen3_5_text has no windows; remove it"],
    [
      { use_sliding_window: true },
      "use_sliding_window is true: qwen3_5_text has no windows; remove it",
    ],
    [
      { mamba_ssm_dtype: "bfloat16" },
      'mamba_ssm_dtype is "bfloat16": states of the gated delta rule are float32; remove it',
    ],
  ];
  for (const [change, message] of cases) {
    assert.throws(() => parseConfig({ ...SIZES, ...change }), {
      name: "RangeError",
      message: `Cannot read config.json: ${message}`,
    });
  }
  const nothing = { attn_output_gate: true, use_sliding_window: false, mamba_ssm_dtype: "float32" };
  assert.deepEqual(parseConfig({ ...SIZES, ...nothing }).notes, []);
});

Deno.test("the parts for images and for further tokens are no part of the text model", () => {
  const besides = FAMILIES.qwen3_5_text.besides!;
  const names = [
    ...["model.visual.patch_embed.proj.weight", "visual.merger.norm.weight", "mtp.fc.weight"],
    ...["model.norm.weight", "model.layers.0.mtp.weight", "lm_head.weight"],
  ];
  assert.deepEqual(names.map((name) => besides.test(name)), [
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});
