import assert from "node:assert/strict";
import { familyConfig } from "../tests/support/tiny_model.ts";
import { blockKernelsFor, type KernelAdapter, whyNoKernel } from "./block_kernels.ts";
import type { ModelType } from "./families/families.ts";
import type { Precision } from "./precision.ts";

type Json = Readonly<Record<string, unknown>>;

/** Sizes that all kernels take. */
const SIZES: Json = {
  ...{ hidden_size: 128, intermediate_size: 192, num_attention_heads: 4, head_dim: 64 },
  num_key_value_heads: 2,
};

function kernels(
  modelType: ModelType,
  change: Json = {},
  { precision = "bfloat16", adapter }: {
    readonly precision?: Precision;
    readonly adapter?: KernelAdapter;
  } = {},
): string {
  const config = familyConfig(modelType, { ...SIZES, ...change });
  return [...blockKernelsFor(config, precision, adapter)].join(" ");
}

Deno.test("attention has a kernel in bfloat16, of heads of 64 and 128 that are turned whole", () => {
  const rest = "rmsNorm swiglu";
  assert.equal(kernels("qwen3"), `attention ${rest}`);
  assert.equal(kernels("qwen3", { head_dim: 128 }), `attention ${rest}`);
  for (const head_dim of [32, 96, 256]) assert.equal(kernels("qwen3", { head_dim }), rest);
  assert.equal(kernels("qwen3", {}, { precision: "float32" }), rest);
  // Of others the kernel would turn all of a head, or none of its queries more.
  assert.equal(kernels("phi3"), rest);
  assert.equal(kernels("phi3", { partial_rotary_factor: 1 }), `attention ${rest}`);
  assert.equal(kernels("ministral3"), rest);
  assert.equal(kernels("olmo2"), rest);
  assert.equal(kernels("gemma3_text"), "");
  assert.equal(kernels("qwen3_5_text"), "swiglu");
  // Layers without rotation are turned by nothing.
  assert.equal(kernels("smollm3"), `attention ${rest}`);
});

Deno.test("kernels take rows of whole lanes of 8", () => {
  assert.equal(kernels("llama", { hidden_size: 130 }), "attention swiglu");
  assert.equal(kernels("llama", { hidden_size: 136 }), "attention rmsNorm swiglu");
  assert.equal(kernels("llama", { intermediate_size: 196 }), "attention rmsNorm");
  assert.equal(kernels("llama", { intermediate_size: 200 }), "attention rmsNorm swiglu");
  // Norms of heads are norms too.
  assert.equal(kernels("qwen3", { head_dim: 20 }), "swiglu");
});

Deno.test("an adapter's products have a kernel of ranks and widths that it takes, else its dropout", () => {
  const with_ = (
    rank: number,
    dropout: number,
    change: Json = {},
    precision: Precision = "bfloat16",
  ) =>
    kernels("llama", change, { precision, adapter: { products: { rank }, dropout } })
      .split(" ").filter((kernel) => kernel === "lora" || kernel === "dropout").join();
  for (const rank of [8, 16, 64]) assert.equal(with_(rank, 0.1), "lora");
  for (const rank of [0, 4, 12, 72]) {
    assert.deepEqual([with_(rank, 0.1), with_(rank, 0)], ["dropout", ""]);
  }
  assert.deepEqual([with_(8, 0), with_(8, 0, {}, "float32")], ["lora", ""]);
  assert.equal(with_(8, 0.1, {}, "float32"), "dropout");
  // Each width must be a multiple of 64 for products, of 8 for dropout.
  const widths: readonly Json[] = [
    { hidden_size: 136 },
    { intermediate_size: 200 },
    { num_attention_heads: 5, num_key_value_heads: 5, head_dim: 8 },
    { num_attention_heads: 8, num_key_value_heads: 2, head_dim: 8 },
  ];
  for (const change of widths) {
    assert.equal(with_(8, 0.1, change), "dropout", JSON.stringify(change));
  }
  for (const change of [{ hidden_size: 132 }, { intermediate_size: 196 }]) {
    assert.equal(with_(8, 0.1, change), "");
  }
  assert.equal(with_(8, 0.1, { num_attention_heads: 3, num_key_value_heads: 1, head_dim: 2 }), "");
  // Without products an adapter is for operators.
  const adapter = { dropout: 0.1 };
  assert.equal(kernels("llama", {}, { adapter }), "attention rmsNorm swiglu");
});

Deno.test("why a part has no kernel is said in a few words", () => {
  const why = (
    part: Parameters<typeof whyNoKernel>[0],
    modelType: ModelType,
    change: Json = {},
    { precision = "bfloat16", adapter }: {
      readonly precision?: Precision;
      readonly adapter?: KernelAdapter;
    } = {},
  ) =>
    whyNoKernel(part, {
      config: familyConfig(modelType, { ...SIZES, ...change }),
      ...{ precision, adapter },
    });
  assert.equal(why("rmsNorm", "llama"), "widths that 8 does not divide");
  assert.equal(
    why("swiglu", "llama", {}, { precision: "float32" }),
    "widths that 8 does not divide",
  );
  assert.equal(why("attention", "llama", {}, { precision: "float32" }), "in fp32");
  assert.equal(why("lora", "llama", {}, { precision: "float32" }), "in fp32");
  assert.equal(why("attention", "olmo2"), "attention as in olmo2");
  assert.equal(why("attention", "phi3"), "heads of which a part is turned");
  assert.equal(why("attention", "ministral3"), "queries that grow with their positions");
  assert.equal(why("attention", "llama", { head_dim: 32 }), "heads of 32, not of 64 or 128");
  const lora = (adapter?: KernelAdapter): string => why("lora", "llama", {}, { adapter });
  assert.equal(lora(), "DoRA");
  assert.equal(lora({ dropout: 0 }), "DoRA");
  assert.equal(lora({ dropout: 0, noProducts: "ranks that differ" }), "ranks that differ");
  assert.equal(lora({ dropout: 0, products: { rank: 8 } }), "widths that 64 does not divide");
  for (const rank of [4, 72]) {
    assert.equal(
      lora({ dropout: 0, products: { rank } }),
      `rank ${rank}, no multiple of 8 up to 64`,
    );
  }
});
