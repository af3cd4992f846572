/**
 * Fine-tunes Qwen3, Qwen2/2.5 and Llama on stock ONNX Runtime, from TypeScript.
 *
 * In: a model folder in Hugging Face's layout and a JSON Lines file of chats. Out: a model that
 * answers, and checkpoints in the same layout. `using` and `await using` free native memory.
 *
 * ```ts
 * import {
 *   chat, createFullTrainer, createGenerator, linearSchedule, loadTokenizer, readExamples,
 *   Runtime, train,
 * } from "@ortune/ortune";
 *
 * async function fineTune(folder: string, data: string, question: string): Promise<void> {
 *   using runtime = new Runtime();
 *   const tokenizer = await loadTokenizer(folder);
 *   const { examples } = await readExamples(data, { tokenizer, maxLength: 2048 });
 *   await using trainer = await createFullTrainer(folder, { runtime });
 *   const schedule = (totalSteps: number) => linearSchedule({ peak: 1e-5, totalSteps });
 *   const options = { examples, padId: tokenizer.padTokenId!, schedule };
 *   for await (const event of train(trainer, options)) {
 *     if (event.type === "log") console.log(`step ${event.step}: loss ${event.loss}`);
 *   }
 *   const { config, weights } = trainer;
 *   using generator = createGenerator({ runtime, config, weights });
 *   const messages = [{ role: "user", content: question }] as const;
 *   for await (const { text } of chat(generator, tokenizer, { messages })) console.log(text);
 * }
 * ```
 *
 * Importing needs no permission. {@linkcode Runtime} needs `--allow-ffi` (without a path: Deno
 * refuses function pointers otherwise); reading models and data `--allow-read` of their folders;
 * checkpoints and logs `--allow-write` and `--allow-read` of theirs. Nothing uses the network.
 *
 * @module
 */

// Whole runs and training.
export {
  runTraining,
  type RunTrainingContext,
  type TrainingRun,
} from "./train/runs/run_training.ts";
export type { TrainingArguments, TrainingOptions } from "./train/runs/training_arguments.ts";
export { train, type TrainOptions } from "./train/loop/loop.ts";
export type { TrainEvent } from "./train/events.ts";
export type { Trainer } from "./train/trainer.ts";
export { createFullTrainer, type FullTrainerOptions } from "./train/trainers/full_trainer.ts";
export { createLoraTrainer, type LoraTrainerOptions } from "./train/trainers/lora_trainer.ts";
export { cosineSchedule } from "./train/schedules/cosine_schedules.ts";
export { constantSchedule, linearSchedule } from "./train/schedules/schedules.ts";
export type { Schedule } from "./train/schedule.ts";
export { listCheckpoints, verifyCheckpoint } from "./train/checkpoints/checkpoint.ts";

// Data.
export { readRows } from "./data/records/read_rows.ts";
export { parseRecord, toMessages } from "./data/records/record.ts";
export type { TrainingRecord } from "./data/records/record_types.ts";
export type { Message } from "./data/text/message.ts";
export { createTokenizer, loadTokenizer, type Tokenizer } from "./data/text/tokenizer.ts";
export { byteTokenizerFiles } from "./data/text/byte_tokenizer.ts";
export type { Example } from "./data/examples/example.ts";
export { toExamples, type ToExamplesOptions } from "./data/examples/to_examples.ts";
export { readExamples } from "./data/examples/read_examples.ts";
export type { ReadExamplesOptions } from "./data/examples/read_examples_options.ts";
export { makeBatches } from "./data/batches/batches.ts";
export { type Batch, collate } from "./data/batches/collator.ts";
export { readDatasetRows } from "./data/records/dataset_rows.ts";
export { splitDataset } from "./data/records/split_dataset.ts";
export { formatPythonJson } from "./internal/json/python_json.ts";

// Models and adapters.
export { type ModelConfig, parseConfig } from "./model/config.ts";
export { type Model, openModel, readConfig } from "./model/weights/open_model.ts";
export { loadModel } from "./model/engine/load_model.ts";
export { DEFAULT_LORA, type LoraOptions } from "./lora/lora_options.ts";
export { loadAdapter } from "./lora/load_adapter.ts";
export { mergeAdapter } from "./lora/merge_adapter.ts";

// Replies.
export { type ChatModel, openChatModel } from "./infer/chat/open_chat_model.ts";
export { chat, type ChatOptions, type ChatReply } from "./infer/chat/chat.ts";
export { type Output, reply } from "./infer/chat/reply.ts";
export { createGenerator, type Generator } from "./infer/generate/generator.ts";
export type { GenerateOptions, Generation } from "./infer/generate/generation.ts";
export { readGenerationConfig } from "./infer/generate/generation_config.ts";

// Other runtimes, hubs and trackers.
export { exportModel, type ExportModelOptions } from "./infer/export/export_model.ts";
export { resolveModel } from "./hub/resolve_model.ts";
export { resolveDatasetFile } from "./hub/resolve_dataset_file.ts";
export { pushFiles } from "./hub/push_files.ts";
export { HubError } from "./hub/hub_error.ts";
export type { Tracker } from "./train/track/tracker.ts";
export { createConsoleTracker } from "./train/track/console_tracker.ts";
export { createMetricsLog } from "./train/track/metrics_log.ts";
export { createTensorboardLog } from "./train/track/tensorboard_log.ts";
export { createSwanlabLog } from "./train/track/swanlab_log.ts";

// ONNX Runtime and weights.
export { Runtime } from "./ort/runtime/runtime.ts";
export { cpu, type Device, parseDevice } from "./ort/runtime/device.ts";
export { openSafetensors } from "./ort/tensor/safetensors_file.ts";
export { writeSafetensors } from "./ort/tensor/safetensors_writer.ts";
export type { TensorSource } from "./ort/tensor/tensor_source.ts";
