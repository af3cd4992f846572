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

// Element types, seeded random streams and safetensors files.
export * from "./tensor/assert_close.ts";
export * from "./tensor/dtype.ts";
export * from "./tensor/half.ts";
export * from "./tensor/host_copy.ts";
export * from "./tensor/mersenne_twister.ts";
export * from "./tensor/onnx_dtype.ts";
export * from "./tensor/python_random.ts";
export * from "./tensor/safetensors_file.ts";
export * from "./tensor/safetensors_header.ts";
export * from "./tensor/safetensors_sharded.ts";
export * from "./tensor/safetensors_writer.ts";
export * from "./files/regular_file.ts";
export * from "./json/field_table.ts";
export * from "./json/strict_json.ts";
export * from "./tensor/tensor_errors.ts";
export * from "./tensor/tensor_source.ts";
export * from "./tensor/torch_random.ts";

// Graphs: building, differentiating and writing them as ONNX.
export * from "./graph/alias.ts";
export * from "./graph/arena_estimate.ts";
export * from "./graph/builder.ts";
export * from "./graph/dim.ts";
export * from "./graph/emulate_bfloat16.ts";
export * from "./graph/gradient.ts";
export * from "./graph/gradient_rules.ts";
export * from "./graph/ir.ts";
export * from "./graph/kernel_ops.ts";
export * from "./graph/memory_plan.ts";
export * from "./graph/onnx_writer.ts";
export * from "./graph/stages.ts";
/**
 * The operations of graphs, such as `ops.linear(b, x, weight)`: the builder first, values after it,
 * each with its shape rule.
 */
export * as ops from "./graph/ops.ts";

// ONNX Runtime: the library, tensors on a device and sessions.
export { Cuda, type DeviceMemory } from "./ort/cuda.ts";
export * from "./ort/device.ts";
export * from "./ort/library.ts";
export * from "./ort/runtime.ts";
export * from "./ort/session.ts";
export * from "./ort/tensor.ts";
export { type ApiCall, type Argument, OrtApi } from "./ort/api.ts";

// Models and datasets from Hugging Face and ModelScope
export * from "./hub/hub_error.ts";
export * from "./hub/hub_options.ts";
export * from "./hub/push_files.ts";
export * from "./hub/resolve_dataset_file.ts";
export * from "./hub/resolve_model.ts";

// Data: JSON Lines, chats, tokenizers, examples and batches.
export * from "./data/batches.ts";
export * from "./data/byte_tokenizer.ts";
export * from "./data/chat_template.ts";
export * from "./data/collator.ts";
export * from "./data/example.ts";
export * from "./data/example_list.ts";
export * from "./data/join_example.ts";
export * from "./data/jsonl.ts";
export * from "./data/jsonl_error.ts";
export * from "./data/message.ts";
export * from "./data/prepare_examples.ts";
export * from "./data/read_examples.ts";
export * from "./data/record.ts";
export type {
  RefusedRow,
  RowStatistics,
  SystemPromptUse,
  UnreadField,
} from "./data/row_statistics.ts";
export * from "./data/seed_example.ts";
export * from "./data/streaming_decoder.ts";
export * from "./data/thinking.ts";
export type { RowsProgress } from "./data/encode_rows.ts";
export * from "./data/dataset_rows.ts";
export * from "./data/preflight.ts";
export * from "./data/python_json.ts";
export * from "./data/split_dataset.ts";
export * from "./data/token_table.ts";
export * from "./data/tokenizer.ts";

// Models: configs, parameters and the graphs of their blocks.
export * from "./model/block.ts";
export * from "./model/block_kernels.ts";
export * from "./model/config.ts";
export * from "./model/decode_graphs.ts";
export * from "./model/device_graphs.ts";
export * from "./model/fit_weights.ts";
export * from "./model/open_model.ts";
export * from "./model/parameters.ts";
export * from "./model/stacked_parameters.ts";
export * from "./model/precision.ts";
export * from "./model/rope.ts";
export type {
  DynamicRopeScaling,
  LinearRopeScaling,
  Llama3RopeScaling,
  RopeScaling,
  YarnRopeScaling,
} from "./model/rope_scaling.ts";
export * from "./model/training_graphs.ts";

// Own CUDA kernels.
export * from "./kernels/gpu.ts";

// Running a model's graphs: weights, forward and backward passes.
export * from "./engine/batch.ts";
export * from "./engine/compiled_graph.ts";
export * from "./engine/load_model.ts";
export * from "./engine/layered_weights.ts";
export * from "./engine/load_weights.ts";
export * from "./engine/event_turns.ts";
export * from "./engine/pacer.ts";
export * from "./engine/parameter_store.ts";
export * from "./engine/scratch.ts";
export * from "./engine/training_engine.ts";
export { computedTokens, type Layout } from "./engine/without_padding.ts";

// LoRA adapters, in PEFT's files
export * from "./lora/adapter_config.ts";
export * from "./lora/block_adapter.ts";
export * from "./lora/load_adapter.ts";
export * from "./lora/lora_options.ts";
export * from "./lora/lora_targets.ts";
export * from "./lora/merge_adapter.ts";
export * from "./lora/merged_source.ts";
export * from "./lora/open_adapter.ts";
export * from "./lora/peft_source.ts";

// Training: optimizer, schedules, checkpoints and the loop.
export * from "./train/adamw.ts";
export * from "./train/adamw_graph.ts";
export * from "./train/best_evaluation.ts";
export * from "./train/checkpoint.ts";
export * from "./train/evaluate.ts";
export * from "./train/events.ts";
export * from "./train/full_trainer.ts";
export * from "./train/loop.ts";
export * from "./train/lora_trainer.ts";
export * from "./train/memory_estimate.ts";
export * from "./train/model_trainer.ts";
export * from "./train/output_lock.ts";
export * from "./train/plan_updates.ts";
export * from "./train/run_facts.ts";
export * from "./train/saved_config.ts";
export * from "./train/schedule.ts";
export * from "./train/trainer.ts";
export * from "./train/trainer_state.ts";
export * from "./train/training_precision.ts";

// Generation: decoding, sampling and chats.
export * from "./infer/batch_generator.ts";
export * from "./infer/chat.ts";
export {
  type ChatPromptOptions,
  encodeChatPrompt,
  type EncodedPrompt,
} from "./infer/chat_prompt.ts";
export * from "./infer/decoder.ts";
export * from "./infer/generation_config.ts";
export * from "./infer/generator.ts";
export * from "./infer/kv_cache.ts";
export type {
  LogitsProcessorContext,
  LogitsProcessorOptions,
  SequenceBias,
} from "./infer/logits_processors.ts";
export * from "./infer/render_terminal.ts";
export * from "./infer/sampling.ts";
export type { StopTexts } from "./infer/stop_texts.ts";
export * from "./infer/think_splitter.ts";
export * from "./infer/token_sequence.ts";

// Progress, metrics, charts and reports.
export * from "./track/console_tracker.ts";
export * from "./track/format.ts";
export * from "./track/loss_chart.ts";
export * from "./track/metrics_log.ts";
export * from "./track/read_metrics_log.ts";
export * from "./track/report.ts";
export * from "./track/sample.ts";
export * from "./track/samples_log.ts";
export * from "./track/swanlab_log.ts";
export * from "./track/tensorboard_log.ts";
export * from "./track/tracker.ts";

// Exports for other runtimes, and how far they are from their checkpoint
export * from "./export/client_files.ts";
export * from "./export/export_model.ts";
export * from "./export/exported_decoder.ts";
export * from "./export/exported_generator.ts";
export * from "./export/external_layout.ts";
export * from "./export/format.ts";
export * from "./export/model_graph.ts";
export * from "./export/parity.ts";
export * from "./export/parity_models.ts";
export * from "./export/quantize_blocks.ts";
