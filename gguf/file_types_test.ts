import assert from "node:assert/strict";
import { GGUF_FILE_TYPES, type GgufFileType, type NamedShape, tensorTypes } from "./file_types.ts";
import { GGML_TYPES } from "./ggml_type.ts";

/** The matrices of a layer of Gemma 3 270M. */
const LAYER: Readonly<Record<string, readonly number[]>> = {
  "attn_norm.weight": [640],
  "attn_q.weight": [1024, 640],
  "attn_k.weight": [256, 640],
  "attn_v.weight": [256, 640],
  "attn_output.weight": [640, 1024],
  "attn_q_norm.weight": [256],
  "ffn_up.weight": [2048, 640],
  "ffn_down.weight": [640, 2048],
};

function model(
  layers: number,
  layer = LAYER,
  besides: readonly NamedShape[] = [],
): readonly NamedShape[] {
  return [
    { name: "token_embd.weight", shape: [1024, layer["attn_norm.weight"][0]] },
    ...Array.from(
      { length: layers },
      (_, i) => Object.entries(layer).map(([name, shape]) => ({ name: `blk.${i}.${name}`, shape })),
    ).flat(),
    ...besides,
  ];
}

/** The types of a part, a letter a layer. */
function row(types: ReadonlyMap<string, string>, part: string): string {
  return [...types].filter(([name]) => name.endsWith(`.${part}.weight`))
    .map(([, type]) => type).join(" ");
}

Deno.test("q4_k_m stores Gemma 3 270M as llama.cpp's own file of it does, all 18 layers", () => {
  // 640 numbers are no whole blocks of 256: q5_0 in place of q4_k, q8_0 of q6_k.
  const types = tensorTypes("q4_k_m", model(18));
  const more = [0, 1, 4, 7, 10, 13, 15, 16, 17];
  const mix = (few: string, many: string): string =>
    Array.from({ length: 18 }, (_, layer) => more.includes(layer) ? many : few).join(" ");
  assert.equal(types.get("token_embd.weight"), "q8_0");
  assert.equal(row(types, "attn_norm"), mix("f32", "f32"));
  assert.equal(row(types, "attn_q_norm"), mix("f32", "f32"));
  assert.equal(row(types, "attn_q"), mix("q5_0", "q5_0"));
  assert.equal(row(types, "attn_v"), mix("q5_0", "q8_0"));
  assert.equal(row(types, "attn_output"), mix("q4_k", "q4_k"));
  assert.equal(row(types, "ffn_up"), mix("q5_0", "q5_0"));
  assert.equal(row(types, "ffn_down"), mix("q4_k", "q6_k"));
});

Deno.test("each kind of file has its types: matrices, the head, norms, and rows of no whole blocks", () => {
  const layer = { "attn_norm.weight": [512], "attn_q.weight": [8, 512], "ffn_up.weight": [8, 36] };
  const besides = [
    { name: "output.weight", shape: [1024, 512] },
    { name: "blk.0.ssm_conv1d.weight", shape: [8, 512] },
    { name: "blk.0.attn_qkv.weight", shape: [8, 512] },
    { name: "blk.0.attn_q.bias", shape: [512] },
  ];
  const parts = ["token_embd", "output", "blk.0.attn_q", "blk.0.attn_qkv", "blk.0.ffn_up"];
  const expected: Readonly<Record<GgufFileType, string>> = {
    f32: "f32 f32 f32 f32 f32",
    f16: "f16 f16 f16 f16 f16",
    bf16: "bf16 bf16 bf16 bf16 bf16",
    q8_0: "q8_0 q8_0 q8_0 q8_0 f16",
    q6_k: "q6_k q6_k q6_k q6_k f16",
    q5_k_m: "q5_k q6_k q5_k q6_k f16",
    q4_k_m: "q4_k q6_k q4_k q6_k f16",
    q4_0: "q4_0 q6_k q4_0 q4_0 f16",
  };
  const numbers = new Set<number>();
  for (const [fileType, row] of Object.entries(expected)) {
    const types = tensorTypes(fileType as GgufFileType, model(1, layer, besides));
    assert.equal(parts.map((part) => types.get(`${part}.weight`)).join(" "), row, fileType);
    for (const kept of ["blk.0.attn_norm.weight", "blk.0.ssm_conv1d.weight", "blk.0.attn_q.bias"]) {
      assert.equal(types.get(kept), "f32", kept);
    }
    numbers.add(GGUF_FILE_TYPES[fileType as GgufFileType].number);
  }
  assert.equal(numbers.size, Object.keys(GGUF_FILE_TYPES).length);
  assert.equal(GGML_TYPES.q4_k.number, 12);
});
