import assert from "node:assert/strict";
import { familyConfig } from "../tests/support/tiny_model.ts";
import type { BlockKernel } from "./parts/block_scope.ts";
import { stackedParameters } from "./stacked_parameters.ts";

// Four query heads of 8, two of keys and of values, and an MLP of 24, over 16.
const QKV = {
  name: "self_attn.qkv_proj.weight",
  of: ["q", "k", "v"].map((name) => `self_attn.${name}_proj.weight`),
  ...{ shape: [64, 16], decays: true },
};
const BIASES = {
  name: "self_attn.qkv_proj.bias",
  of: ["q", "k", "v"].map((name) => `self_attn.${name}_proj.bias`),
  ...{ shape: [64], decays: false },
};
const GATE_UP = {
  name: "mlp.gate_up_proj.weight",
  of: ["mlp.gate_proj.weight", "mlp.up_proj.weight"],
  ...{ shape: [48, 16], decays: true },
};

Deno.test("weights are stacked for the kernels that read them side by side", () => {
  const stacked = (...kernels: readonly BlockKernel[]) =>
    stackedParameters(familyConfig("qwen2"), new Set(kernels));
  assert.deepEqual(stacked(), []);
  assert.deepEqual(stacked("rmsNorm", "lora", "dropout", "chunkedAttention"), []);
  assert.deepEqual(stacked("attention"), [QKV, BIASES]);
  assert.deepEqual(stacked("swiglu"), [GATE_UP]);
  assert.deepEqual(stacked("swiglu", "attention"), [QKV, BIASES, GATE_UP]);
});

Deno.test("weights with a gap between them are not stacked", () => {
  // Biases of keys of 8 numbers fill no cache line of 16: their weights stand alone too.
  const config = familyConfig("qwen2", { head_dim: 8, num_key_value_heads: 1 });
  const both: ReadonlySet<BlockKernel> = new Set(["attention", "swiglu"]);
  assert.deepEqual(stackedParameters(config, both), [GATE_UP]);
  // Rows of 15 numbers: 24 of them are no whole lines, 32 and 16 are.
  const odd = familyConfig("qwen2", { hidden_size: 15, head_dim: 8 });
  assert.deepEqual(stackedParameters(odd, both), [{ ...QKV, shape: [64, 15] }, BIASES]);
});

Deno.test("stacks are those of a kind of layers", () => {
  const config = familyConfig("qwen3_5_text");
  const kernels: ReadonlySet<BlockKernel> = new Set(["attention", "swiglu"]);
  const [first, second] = config.layerKinds;
  const stack = [GATE_UP];
  assert.deepEqual(stackedParameters(config, kernels), stack);
  assert.deepEqual(stackedParameters(config, kernels, first), stack);
  assert.deepEqual(stackedParameters(config, kernels, second), stack);
});
