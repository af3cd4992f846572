/** Losses and gradients of the training engine on WebGPU against the CPU's. */

import { DEFAULT_LORA, type LoraOptions } from "../../lora/lora_options.ts";
import type { LabelledGrid } from "../../model/engine/batch.ts";
import type { BaseDtype } from "../../model/base_storage.ts";
import type { TrainingEngineOptions } from "../../model/engine/training_engine.ts";
import type { ModelType } from "../../model/families/families.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertSamePass, enginePass } from "../support/engine_pass.ts";
import { familyConfig, randomExamples, tinyBatch } from "../support/tiny_model.ts";
import { runtime } from "../support/webgpu_runtime.ts";

const host = new Runtime({ threads: 2 });

// Times the largest element. Measured on lavapipe: gradients 3.5e-6 (of DoRA, base in float16), losses 6.5e-7.
const LIMITS = { gradients: 5e-6, losses: 2e-6 };

const [a, b, c, d, long, other] = randomExamples([40, 33, 17, 60, 1100, 530], 64);
const BATCHES: readonly LabelledGrid[] = [
  tinyBatch([[a, c], [d]], 60),
  tinyBatch([[b], [c, c]], 40),
];
/** Rows that attention takes several chunks of. */
const LONG: readonly LabelledGrid[] = [tinyBatch([[long], [other, d]], 1100)];

interface Case {
  readonly tied: boolean;
  /** @default "qwen3" */
  readonly family?: ModelType;
  /** Times the largest element. @default as in {@linkcode LIMITS} */
  readonly gradients?: number;
  readonly base?: BaseDtype;
  readonly lora?: LoraOptions;
  readonly options?: TrainingEngineOptions;
  /** Of WebGPU alone: the CPU's attention has a mask over the padded grid. */
  readonly device?: TrainingEngineOptions;
  /** @default {@linkcode BATCHES} */
  readonly batches?: readonly LabelledGrid[];
}

const NO_DROPOUT: LoraOptions = { ...DEFAULT_LORA, dropout: 0 };
const CASES: Readonly<Record<string, Case>> = {
  "full, tied": { tied: true },
  "full, untied": { tied: false },
  "full, activations kept": { tied: true, options: { gradientCheckpointing: false } },
  "LoRA": { tied: true, lora: NO_DROPOUT },
  "LoRA with dropout": { tied: true, lora: { ...DEFAULT_LORA, dropout: 0.1 } },
  "LoRA with dropout, attention in chunks, end to end": {
    tied: true,
    lora: { ...DEFAULT_LORA, dropout: 0.1 },
    device: { attentionChunk: 24, skipPadding: true },
  },
  "full, attention in chunks": { tied: true, device: { attentionChunk: 24 } },
  "full, activations kept, attention in chunks": {
    tied: true,
    options: { gradientCheckpointing: false },
    device: { attentionChunk: 24 },
  },
  "full, rows of more than one chunk": {
    ...{ tied: true, batches: LONG, device: { skipPadding: true } },
  },
  "DoRA": { tied: true, lora: { ...NO_DROPOUT, dora: true } },
  "LoRA with dropout, base in float16": { tied: true, base: "fp16", lora: DEFAULT_LORA },
  "DoRA, base in float16, untied": {
    tied: false,
    base: "fp16",
    lora: { ...NO_DROPOUT, dora: true },
  },
  "LoRA with dropout, base in 8 bits": { tied: true, base: "int8", lora: DEFAULT_LORA },
  "DoRA, base in 4 bits, untied": {
    tied: false,
    base: "int4",
    lora: { ...NO_DROPOUT, dora: true },
  },
  // Windows and layers without rotation, scales, and layers that are cut and turned in part.
  "smollm3, attention in chunks": {
    ...{ family: "smollm3", tied: true, device: { attentionChunk: 24, skipPadding: true } },
  },
  "granite": { family: "granite", tied: true },
  "ministral3": { family: "ministral3", tied: true },
  "phi3, LoRA, attention in chunks": {
    ...{ family: "phi3", tied: false, lora: NO_DROPOUT, device: { attentionChunk: 24 } },
  },
  // Its norms stand behind parts that give little, and grow what these round. Measured: 7.7e-6.
  "olmo2": { family: "olmo2", tied: false, gradients: 2e-5 },
};

for (
  const [title, { tied, family = "qwen3", gradients, device, batches = BATCHES, ...rest }] of Object
    .entries(
      CASES,
    )
) {
  Deno.test(`losses and gradients on WebGPU are the CPU's: ${title}`, async () => {
    const config = familyConfig(family, { tie_word_embeddings: tied });
    const given = { ...rest, batches, config };
    const expected = await enginePass(host, host, given);
    const options = { ...rest.options, ...device };
    const actual = await enginePass(runtime, host, { ...given, options });
    const limits = { ...LIMITS, ...gradients === undefined ? {} : { gradients } };
    const worst = assertSamePass(actual, expected, limits);
    if (Deno.env.get("ORTUNE_REPORT")) console.log(title, worst);
  });
}
