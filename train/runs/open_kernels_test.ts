import assert from "node:assert/strict";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { parseConfig } from "../../model/config.ts";
import { QWEN3_0_6B } from "../../tests/support/model_configs.ts";
import type { FoundGpu } from "../trainers/training_kernels.ts";
import { type DerivedTraining, deriveTraining } from "./resolve_training.ts";
import {
  DEFAULT_TRAINING,
  type TrainingArguments,
  type TrainingOptions,
} from "./training_arguments.ts";
import { describeKernels, layoutOf, openKernels } from "./open_kernels.ts";

const cuda: TrainingOptions = { device: "cuda:99" };

/** What follows from options, of a model with changes in its config.json. */
function derive(options: TrainingOptions, changes: Record<string, unknown> = {}): DerivedTraining {
  const args = { ...DEFAULT_TRAINING, ...options } as TrainingArguments;
  return deriveTraining(args, parseConfig({ ...QWEN3_0_6B, ...changes }));
}

Deno.test("on the CPU nothing is said of kernels", async () => {
  const found = await openKernels(derive({}));
  assert.equal(found.gpu, undefined);
  assert.equal(describeKernels(found, derive({})), undefined);
});

Deno.test("where kernels are off or cannot run, one line says why", async () => {
  const off = await openKernels(derive({ ...cuda, kernels: "off" }));
  assert.equal(off.gpu, undefined);
  assert.equal(
    describeKernels(off, derive(cuda)),
    "kernels: none of ortune's own, ONNX Runtime's alone: --kernels off",
  );
  // Nobody's hundredth GPU: no driver, or no such device.
  const found = await openKernels(derive(cuda));
  assert.equal(found.gpu, undefined);
  assert.match(
    describeKernels(found, derive(cuda))!,
    /^kernels: none of ortune's own, ONNX Runtime's alone: Cannot .*/,
  );
});

Deno.test("what runs in kernels is named, and why the rest does not", () => {
  const found = { gpu: {} } as FoundGpu;
  const line = (options: TrainingOptions, changes: Record<string, unknown> = {}) =>
    describeKernels(found, derive({ ...cuda, ...options }, changes))!;
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
  const options: TrainingOptions = { ...cuda, kernels: "off", optim: "adamw_8bit" };
  await assert.rejects(
    openKernels(derive(options)),
    /^Error: Cannot train with --optim adamw_8bit: it needs .* kernels \(--kernels off\); pass --optim adamw_bf16/,
  );
  assert.equal((await openKernels(derive({ ...options, lora: DEFAULT_LORA }))).gpu, undefined);
  await assert.rejects(
    openKernels(derive({ optim: "adamw_8bit" })),
    /^Error: Cannot train with --optim adamw_8bit: .*\(they run on NVIDIA GPUs only\)/,
  );
});

Deno.test("batches are laid out for what computes them", () => {
  const own = { gpu: {} } as FoundGpu;
  const none: FoundGpu = { reason: "--kernels off" };
  const layout = (found: FoundGpu, precision: "bf16" | "fp32") =>
    layoutOf(found, derive({ ...cuda, precision }));
  assert.equal(layoutOf(none, derive({})), "similar-rows");
  assert.equal(layout(own, "bf16"), "end-to-end");
  // Attention has a kernel in bfloat16 alone.
  assert.equal(layout(own, "fp32"), "grid");
  assert.equal(layout(none, "bf16"), "grid");
  // Elsewhere in chunks, which go by segments.
  assert.equal(layoutOf(none, derive({ device: "webgpu" })), "end-to-end");
});

Deno.test("--kernels sync is auto that waits, and says so", async () => {
  const { reason } = await openKernels(derive({ ...cuda, kernels: "sync" }));
  assert.match(reason!, /^Cannot /);
  const found = { gpu: {} } as FoundGpu;
  const line = describeKernels(found, derive({ ...cuda, kernels: "sync" }));
  assert.match(line!, /^kernels: ortune's own for AdamW, .*; each launch is waited for$/);
});
