/**
 * Which way training takes on a GPU. In: flags and an opened device. Out: a GPU for ortune's own
 * kernels, or none, and a line that says which and why.
 */

import type { Runtime } from "../ort/runtime.ts";
import { findGpu, type FoundGpu } from "../train/training_kernels.ts";
import { computePrecision, resolvePrecision } from "../train/training_precision.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** The GPU, unless there is none, and what to say of it: nothing on the CPU. */
export interface OpenedKernels {
  readonly gpu: FoundGpu["gpu"];
  readonly line?: string;
}

/**
 * Opens the GPU for kernels as `--kernels` says.
 *
 * @throws {Error} where the optimizer needs them and they cannot run
 */
export async function openKernels(
  { kernels, optim, precision, lora }: Pick<
    TrainingArguments,
    "kernels" | "optim" | "precision" | "lora"
  >,
  { device }: Pick<Runtime, "device">,
): Promise<OpenedKernels> {
  const { gpu, reason }: FoundGpu = kernels === "off"
    ? { reason: "--kernels off" }
    : await findGpu(device, computePrecision(resolvePrecision(device, precision)));
  if (gpu) {
    return {
      gpu,
      line:
        "kernels: ortune's own, for AdamW and cross-entropy, and for attention, RMSNorm, RoPE, " +
        "SwiGLU and dropout where the model's sizes allow",
    };
  }
  if (optim === "adamw_8bit" && !lora) {
    throw new Error(
      `Cannot train with --optim adamw_8bit: it needs ortune's own CUDA kernels (${reason}); ` +
        "pass --optim adamw_bf16, which takes two more bytes a parameter, or make them run",
    );
  }
  if (device.kind === "cpu") return { gpu };
  return { gpu, line: `kernels: none of ortune's own, ONNX Runtime's alone: ${reason}` };
}
