/**
 * Which way training takes on a GPU. In: resolved arguments. Out: a GPU for ortune's own kernels, or
 * none, and a line that says which and why.
 */

import { blockKernelsFor, whyNoKernel } from "../../model/block_kernels.ts";
import type { BlockKernel } from "../../model/parts/block_scope.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import type { Layout } from "../../model/engine/without_padding.ts";
import { findOptimizer } from "../optimizers/optimizers.ts";
import { findGpu, type FoundGpu } from "../trainers/training_kernels.ts";
import { computePrecision } from "../training_precision.ts";
import type { DerivedTraining } from "./resolve_training.ts";

/**
 * Opens the GPU for kernels as `--kernels` says.
 *
 * @param cacheDir where compiled kernels are kept; without it they are compiled anew
 * @throws {Error} where the optimizer needs them and they cannot run
 */
export async function openKernels(
  { args: { kernels, optim, lora }, device, precision }: DerivedTraining,
  cacheDir?: string,
): Promise<FoundGpu> {
  const found: FoundGpu = kernels === "off"
    ? { reason: "--kernels off" }
    : await findGpu(device, computePrecision(precision), {
      cacheDir,
      synchronous: kernels === "sync",
    });
  const { needsKernels } = findOptimizer(optim);
  if (!found.gpu && needsKernels !== undefined && !lora) {
    throw new Error(
      `Cannot train with --optim ${optim}: it needs ortune's own CUDA kernels (${found.reason}); ` +
        `${needsKernels}, or make them run`,
    );
  }
  return found;
}

/** One line on what runs in own kernels, and why something does not; nothing on the CPU. */
export function describeKernels(
  { gpu, reason }: FoundGpu,
  { args: { kernels, optim }, device, precision: training, config, adapter }: DerivedTraining,
): string | undefined {
  if (device.kind === "cpu") return undefined;
  if (!gpu) return `kernels: none of ortune's own, ONNX Runtime's alone: ${reason}`;
  const precision = computePrecision(training);
  const parts = blockKernelsFor(config, precision, adapter);
  const wanted: readonly BlockKernel[] = [
    "attention",
    "rmsNorm",
    "swiglu",
    ...adapter ? ["lora"] as const : [],
  ];
  const { title, withKernels } = findOptimizer(optim);
  const own = [
    ...withKernels ? [title] : [],
    "cross-entropy",
    ...wanted.filter((part) => parts.has(part)).map(nameOf),
  ];
  const rest = [
    ...withKernels ? [] : [title],
    ...wanted.filter((part) => !parts.has(part))
      .map((part) => `${nameOf(part)} (${whyNoKernel(part, { config, precision, adapter })})`),
  ];
  return `kernels: ortune's own for ${own.join(", ")}` +
    (rest.length > 0 ? `; ONNX Runtime's for ${rest.join(", ")}` : "") +
    (kernels === "sync" ? "; each launch is waited for" : "");
}

/** How batches are laid out for what computes them. */
export function layoutOf(
  { gpu }: FoundGpu,
  { config, device, precision }: DerivedTraining,
): Layout {
  const { hostMemory, attentionInChunks } = deviceTraits(device);
  if (hostMemory) return "similar-rows";
  if (attentionInChunks) return "end-to-end";
  const attention = blockKernelsFor(config, computePrecision(precision)).has("attention");
  return gpu && attention ? "end-to-end" : "grid";
}

const NAMES: Readonly<Partial<Record<BlockKernel, string>>> = {
  rmsNorm: "RMSNorm",
  swiglu: "SwiGLU",
  lora: "LoRA",
};

function nameOf(part: BlockKernel): string {
  return NAMES[part] ?? part;
}
