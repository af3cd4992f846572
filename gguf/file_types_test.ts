import assert from "node:assert/strict";
import { GGUF_FILE_TYPES, type GgufFileType, type NamedShape, tensorTypes } from "./file_types.ts";
import { bitsOf, describeGgmlType, GGML_TYPES, ggmlBytes, ggmlTypeOf } from "./ggml_type.ts";

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

Deno.test("kinds of files have llama.cpp's numbers", () => {
  // llama_ftype of llama.h.
  assert.deepEqual(GGUF_FILE_TYPES, {
    f32: { number: 0, type: "f32", mixed: false },
    f16: { number: 1, type: "f16", mixed: false },
    bf16: { number: 32, type: "bf16", mixed: false },
    q8_0: { number: 7, type: "q8_0", mixed: false },
    q6_k: { number: 18, type: "q6_k", mixed: false },
    q5_k_m: { number: 17, type: "q5_k", mixed: true },
    q4_k_m: { number: 15, type: "q4_k", mixed: true },
    q4_0: { number: 2, type: "q4_0", mixed: false },
  });
});

Deno.test("types have ggml's numbers and blocks", () => {
  // ggml_type of ggml.h, and the sizes of ggml-common.h's structures.
  const types = {
    f32: { number: 0, block: 1, bytes: 4 },
    f16: { number: 1, block: 1, bytes: 2 },
    q4_0: { number: 2, block: 32, bytes: 2 + 16 },
    q4_1: { number: 3, block: 32, bytes: 2 + 2 + 16 },
    q5_0: { number: 6, block: 32, bytes: 2 + 4 + 16 },
    q5_1: { number: 7, block: 32, bytes: 2 + 2 + 4 + 16 },
    q8_0: { number: 8, block: 32, bytes: 2 + 32 },
    q2_k: { number: 10, block: 256, bytes: 16 + 64 + 2 + 2 },
    q3_k: { number: 11, block: 256, bytes: 32 + 64 + 12 + 2 },
    q4_k: { number: 12, block: 256, bytes: 2 + 2 + 12 + 128 },
    q5_k: { number: 13, block: 256, bytes: 2 + 2 + 12 + 32 + 128 },
    q6_k: { number: 14, block: 256, bytes: 128 + 64 + 16 + 2 },
    bf16: { number: 30, block: 1, bytes: 2 },
  };
  assert.deepEqual(GGML_TYPES, types);
  for (const [name, { number }] of Object.entries(types)) {
    assert.equal(ggmlTypeOf(number), name);
    assert.equal(describeGgmlType(number), `type ${number} (${name})`);
  }
  const others: readonly (readonly [number, string])[] = [
    ...([[9, "q8_1"], [15, "q8_k"], [16, "iq2_xxs"], [17, "iq2_xs"], [18, "iq3_xxs"]] as const),
    ...([[19, "iq1_s"], [20, "iq4_nl"], [21, "iq3_s"], [22, "iq2_s"], [23, "iq4_xs"]] as const),
    ...([[24, "i8"], [25, "i16"], [26, "i32"], [27, "i64"], [28, "f64"], [29, "iq1_m"]] as const),
    ...([[34, "tq1_0"], [35, "tq2_0"], [39, "mxfp4"]] as const),
    ...[4, 5, 31, 33, 36, 38, 40].map((number) => [number, "unknown to ggml"] as const),
  ];
  for (const [number, name] of others) {
    assert.equal(ggmlTypeOf(number), undefined);
    assert.equal(describeGgmlType(number), `type ${number} (${name})`);
  }
  const bits = { f32: 32, f16: 16, bf16: 16, q8_0: 8, q6_k: 6, q5_1: 5, q4_k: 4, q2_k: 2 } as const;
  for (const [name, expected] of Object.entries(bits)) {
    assert.equal(bitsOf(name as keyof typeof bits), expected);
  }
});

Deno.test("ggmlBytes() takes whole blocks a row", () => {
  assert.equal(ggmlBytes("q4_0", [3, 2, 64]), 3 * 2 * 2 * 18);
  assert.equal(ggmlBytes("f32", []), 4);
  assert.equal(ggmlBytes("bf16", [3, 5]), 30);
  assert.throws(() => ggmlBytes("q4_0", [32, 48]), {
    name: "RangeError",
    message:
      "Cannot lay out a tensor [32, 48] as q4_0: rows of 48 numbers are no whole blocks of 32",
  });
  assert.throws(() => ggmlBytes("f32", [2 ** 51]), {
    message: `Cannot lay out a tensor [${2 ** 51}]: it exceeds 2^53 − 1 bytes`,
  });
});

Deno.test("only matrices of several rows are stored in few bits, and of some parts none", () => {
  const named = (name: string, ...shape: number[]): NamedShape => ({ name, shape });
  const tensors = [
    named("blk.0.a.weight", 2, 256),
    named("blk.0.b.weight", 1, 256),
    named("blk.0.c.weight", 256),
    named("blk.0.d.weight", 4, 1, 256),
    named("blk.0.e.weight", 1, 4, 256),
    named("blk.0.f.bias", 2, 256),
    named("blk.0.g_norm.weight", 2, 256),
    named("blk.0.ffn_gate_inp.weight", 2, 256),
    named("blk.0.ssm_conv1d.weight", 2, 256),
  ];
  assert.deepEqual([...tensorTypes("q6_k", tensors).values()], [
    ...["q6_k", "f32", "f32", "q6_k", "q6_k"],
    ...["f32", "f32", "f32", "f32"],
  ]);
});

Deno.test("more bits go to the layers at both ends and each third between, by their numbers", () => {
  // Eighths of 16 are two; the layers' order in the file says nothing.
  const shape = [2, 256];
  const tensors = Array.from(
    { length: 16 },
    (_, i) => ({ name: `blk.${15 - i}.ffn_down.weight`, shape }),
  );
  const types = tensorTypes("q4_k_m", tensors);
  const more = Array.from({ length: 16 }, (_, i) => i)
    .filter((layer) => types.get(`blk.${layer}.ffn_down.weight`) === "q6_k");
  assert.deepEqual(more, [0, 1, 4, 7, 10, 13, 14, 15]);
});
