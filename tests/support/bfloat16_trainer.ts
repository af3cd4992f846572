/**
 * A trainer of a model in bfloat16 on the host, whose graphs run emulated and whose kernels are compiled for
 * the processor: as on a GPU, with checkpoints that go on.
 */

import { loadWeights } from "../../model/engine/load_weights.ts";
import { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import { adaptModel } from "../../lora/load_adapter.ts";
import type { LoraOptions } from "../../lora/lora_options.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { openSafetensors } from "../../ort/tensor/safetensors_file.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
import { assembleTrainer } from "../../train/trainers/assemble_trainer.ts";
import type { Trainer } from "../../train/trainer.ts";
import { loadTrainingKernels } from "../../train/trainers/training_kernels.ts";
import { numbersOf, writeNumbers } from "./numbers.ts";
import { randomWeights } from "./tiny_model.ts";

const WEIGHTS = "model.safetensors";

/** Trains random weights, or an adapter on them. */
export async function bfloat16Trainer(
  runtime: Runtime,
  config: ModelConfig,
  { gpu, lora, skipPadding }: {
    readonly gpu: Gpu;
    readonly lora?: LoraOptions;
    readonly skipPadding?: boolean;
  },
): Promise<Trainer> {
  const random = randomWeights(runtime, config);
  const base = new ParameterStore(runtime, random.layout, { dtype: "bfloat16" });
  for (const name of random.names()) {
    writeNumbers(base.tensor(name), random.tensor(name).float32());
    random.tensor(name).write(numbersOf(base.tensor(name)));
  }
  const adapted = lora && adaptModel(runtime, { config, base, lora });
  if (adapted) {
    new TorchGenerator(2).normal(adapted.trained.flat.float32(), 0, 0.1);
    random[Symbol.dispose]();
  }
  // Without an adapter, the float32 master that AdamW updates.
  const store = adapted?.trained ?? random;
  const format = lora ? "float32" : "master";
  const adapter = adapted?.block;
  const kernels = await loadTrainingKernels(gpu, {
    config,
    format,
    precision: "bfloat16",
    adapter,
  });
  return assembleTrainer({
    method: lora ? "lora" : "full",
    config,
    store,
    rounded: adapted ? undefined : base,
    weights: adapted?.weights ?? base,
    adapter: adapted && { block: adapted.block, weights: adapted.weights },
    async save(to, saved) {
      return [{ name: WEIGHTS, ...await writeSafetensors(`${to}/${WEIGHTS}`, saved) }];
    },
    async load(from) {
      await using file = await openSafetensors(`${from}/${WEIGHTS}`);
      await loadWeights(runtime, store, file, { from });
    },
    [Symbol.dispose]() {
      for (const each of [adapted ?? random, base]) each[Symbol.dispose]();
    },
  }, { runtime, graphsOnly: true, skipPadding, format, kernels });
}
