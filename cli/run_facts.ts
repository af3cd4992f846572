/** What a resumed run must share with the one it goes on from, hashed where it is long. */

import type { Example } from "../data/example.ts";
import { sha256 } from "../train/checkpoint.ts";
import type { RunFacts } from "../train/run_facts.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** Arguments and hashes that shape the result of a run; paths and reporting do not. */
export async function runFacts(
  args: TrainingArguments,
  examples: readonly Example[],
): Promise<RunFacts> {
  const file = async (name: string) => sha256(await Deno.readFile(`${args.model}/${name}`));
  return {
    method: "full",
    config_sha256: await file("config.json"),
    tokenizer_sha256: await file("tokenizer.json"),
    // Ids and labels carry the data, the template and the cut in one.
    train_data_sha256: sha256(
      ...examples.flatMap(({ inputIds, labels }) => [bytesOf(inputIds), bytesOf(labels)]),
    ),
    seed: args.seed,
    num_train_epochs: args.numTrainEpochs,
    max_steps: args.maxSteps,
    per_device_train_batch_size: args.perDeviceTrainBatchSize,
    gradient_accumulation_steps: args.gradientAccumulationSteps,
    packing: args.packing ?? false,
    max_length: args.maxLength,
    learning_rate: args.learningRate,
    lr_scheduler_type: args.lrSchedulerType,
    warmup_steps: args.warmupSteps,
    weight_decay: args.weightDecay,
    max_grad_norm: args.maxGradNorm,
    logging_steps: args.loggingSteps,
  };
}

function bytesOf(array: Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
