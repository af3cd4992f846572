import assert from "node:assert/strict";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { parseConfig } from "../../model/config.ts";
import { cpu, parseDevice } from "../../ort/runtime/device.ts";
import { QWEN3_0_6B } from "../../tests/support/model_configs.ts";
import type { FoundGpu } from "../trainers/training_kernels.ts";
import { describeKernels, layoutOf, openKernels } from "./open_kernels.ts";

const FLAGS = { kernels: "auto", optim: "adamw_torch" } as const;
const cuda = { device: parseDevice("cuda:99") };
const config = parseConfig(QWEN3_0_6B);

Deno.test("on the CPU nothing is said of kernels", async () => {
  const found = await openKernels(FLAGS, { device: cpu });
  assert.equal(found.gpu, undefined);
  assert.equal(describeKernels(found, { config, device: cpu }), undefined);
});

Deno.test("where kernels are off or cannot run, one line says why", async () => {
  const off = await openKernels({ ...FLAGS, kernels: "off" }, cuda);
  assert.equal(off.gpu, undefined);
  assert.equal(
    describeKernels(off, { config, ...cuda }),
    "kernels: none of ortune's own, ONNX Runtime's alone: --kernels off",
  );
  // Nobody's hundredth GPU: no driver, or no such device.
  const found = await openKernels(FLAGS, cuda);
  assert.equal(found.gpu, undefined);
  assert.match(
    describeKernels(found, { config, ...cuda })!,
    /^kernels: none of ortune's own, ONNX Runtime's alone: Cannot .*/,
  );
});

Deno.test("what runs in kernels is named, and why the rest does not", () => {
  const found = { gpu: {} } as FoundGpu;
  const line = (
    flags: Parameters<typeof describeKernels>[1] | Record<string, unknown>,
    change: Record<string, unknown> = {},
  ) => {
    const changed = parseConfig({ ...QWEN3_0_6B, ...change });
    return describeKernels(found, { config: changed, ...cuda, ...flags })!;
  };
  const all = "kernels: ortune's own for AdamW, cross-entropy, attention, RMSNorm, SwiGLU";
  assert.equal(line({}), all);
  assert.equal(line({ lora: DEFAULT_LORA }), `${all}, LoRA`);
  const lora = (change: object) => ({ lora: { ...DEFAULT_LORA, ...change } });
  assert.equal(
    line(lora({ rank: 12 })),
    `${all}; ONNX Runtime's for LoRA (rank 12, no multiple of 8 up to 64)`,
  );
  assert.match(line(lora({ dora: true })), /for LoRA \(DoRA\)$/);
  assert.match(
    line({ lora: DEFAULT_LORA }, { intermediate_size: 3080 }),
    /for LoRA \(widths that 64 does not divide\)$/,
  );
  assert.match(
    line({}, { head_dim: 96 }),
    /RMSNorm, SwiGLU; .* for attention \(heads of 96, not of 64 or 128\)$/,
  );
  assert.match(
    line({ lora: DEFAULT_LORA, precision: "fp32" }),
    /RMSNorm, SwiGLU; .* for attention \(in fp32\), LoRA \(in fp32\)$/,
  );
  assert.match(
    line({}, { intermediate_size: 3076 }),
    /, RMSNorm; .* for SwiGLU \(widths that 8 does not divide\)$/,
  );
});

Deno.test("8-bit moments are refused without kernels, but for an adapter, which has none", async () => {
  const flags = { kernels: "off", optim: "adamw_8bit" } as const;
  await assert.rejects(
    openKernels(flags, cuda),
    /^Error: Cannot train with --optim adamw_8bit: it needs .* kernels \(--kernels off\); pass --optim adamw_bf16/,
  );
  assert.equal((await openKernels({ ...flags, lora: DEFAULT_LORA }, cuda)).gpu, undefined);
  await assert.rejects(
    openKernels({ ...flags, kernels: "auto" }, { device: cpu }),
    /^Error: Cannot train with --optim adamw_8bit: .*\(they run on NVIDIA GPUs only\)/,
  );
});

Deno.test("batches are laid out for what computes them", () => {
  const own = { gpu: {} } as FoundGpu;
  const none: FoundGpu = { reason: "--kernels off" };
  const layout = (found: FoundGpu, precision: "bf16" | "fp32") =>
    layoutOf(found, { config, precision, ...cuda });
  assert.equal(layoutOf(none, { config, device: cpu }), "similar-rows");
  assert.equal(layout(own, "bf16"), "end-to-end");
  // Attention has a kernel in bfloat16 alone.
  assert.equal(layout(own, "fp32"), "grid");
  assert.equal(layout(none, "bf16"), "grid");
});

Deno.test("--kernels sync is auto that waits, and says so", async () => {
  const { reason } = await openKernels({ ...FLAGS, kernels: "sync" }, cuda);
  assert.match(reason!, /^Cannot /);
  const found = { gpu: {} } as FoundGpu;
  const line = describeKernels(found, { config, ...cuda, kernels: "sync" });
  assert.match(line!, /^kernels: ortune's own for AdamW, .*; each launch is waited for$/);
});
