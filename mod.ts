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
export * from "./ort/tensor/assert_close.ts";
export * from "./ort/tensor/dtype.ts";
export * from "./ort/tensor/half.ts";
export * from "./ort/tensor/host_copy.ts";
export * from "./ort/tensor/mersenne_twister.ts";
export * from "./ort/tensor/onnx_dtype.ts";
export * from "./ort/tensor/python_random.ts";
export * from "./ort/tensor/safetensors_file.ts";
export * from "./ort/tensor/safetensors_header.ts";
export * from "./ort/tensor/safetensors_sharded.ts";
export * from "./ort/tensor/safetensors_writer.ts";
export * from "./internal/regular_file.ts";
export * from "./internal/json/field_table.ts";
export * from "./internal/json/strict_json.ts";
export * from "./ort/tensor/tensor_errors.ts";
export * from "./ort/tensor/tensor_source.ts";
export * from "./ort/tensor/torch_random.ts";

// Graphs: building, differentiating and writing them as ONNX.
export * from "./ort/graph/alias.ts";
export * from "./ort/graph/arena_estimate.ts";
export * from "./ort/graph/builder.ts";
export * from "./ort/graph/dim.ts";
export * from "./ort/graph/emulate_bfloat16.ts";
export * from "./ort/graph/gradient.ts";
export * from "./ort/graph/gradient_rules.ts";
export * from "./ort/graph/ir.ts";
export * from "./ort/graph/kernel_ops.ts";
export * from "./ort/graph/memory_plan.ts";
export * from "./ort/graph/onnx_writer.ts";
export * from "./ort/graph/subgraphs.ts";
/**
 * The operations of graphs, such as `ops.linear(b, x, weight)`: the builder first, values after it,
 * each with its shape rule.
 */
export * as ops from "./ort/graph/ops.ts";

// ONNX Runtime: the library, tensors on a device and sessions.
export { Cuda, type DeviceMemory } from "./ort/runtime/cuda.ts";
export * from "./ort/runtime/device.ts";
export * from "./ort/runtime/library.ts";
export * from "./ort/runtime/runtime.ts";
export * from "./ort/runtime/session.ts";
export * from "./ort/runtime/tensor.ts";
export { type ApiCall, type Argument, OrtApi } from "./ort/runtime/api.ts";

// Models and datasets from Hugging Face and ModelScope
export * from "./hub/hub_error.ts";
export * from "./hub/hub_options.ts";
export * from "./hub/push_files.ts";
export * from "./hub/resolve_dataset_file.ts";
export * from "./hub/resolve_model.ts";

// Data: JSON Lines, chats, tokenizers, examples and batches.
export * from "./data/batches/batches.ts";
export * from "./data/text/byte_tokenizer.ts";
export * from "./data/text/chat_template.ts";
export * from "./data/batches/collator.ts";
export * from "./data/examples/example.ts";
export * from "./data/examples/example_list.ts";
export * from "./data/examples/join_example.ts";
export * from "./data/records/jsonl.ts";
export * from "./data/records/jsonl_error.ts";
export * from "./data/text/message.ts";
export * from "./data/examples/prepare_examples.ts";
export * from "./data/examples/read_examples.ts";
export * from "./data/records/record.ts";
export type {
  RefusedRow,
  RowStatistics,
  SystemPromptUse,
  UnreadField,
} from "./data/examples/row_statistics.ts";
export * from "./data/examples/seed_example.ts";
export * from "./data/text/streaming_decoder.ts";
export * from "./data/text/thinking.ts";
export type { RowsProgress } from "./data/examples/encode_rows.ts";
export * from "./data/records/dataset_rows.ts";
export * from "./data/examples/preflight.ts";
export * from "./internal/json/python_json.ts";
export * from "./data/records/split_dataset.ts";
export * from "./data/examples/token_table.ts";
export * from "./data/text/tokenizer.ts";

// Models: configs, parameters and the graphs of their blocks.
export * from "./model/graphs/block.ts";
export * from "./model/block_kernels.ts";
export * from "./model/config.ts";
export * from "./model/graphs/decode_graphs.ts";
export * from "./model/graphs/device_graphs.ts";
export * from "./model/weights/fit_weights.ts";
export * from "./model/weights/open_model.ts";
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
export * from "./model/graphs/training_graphs.ts";

// Own CUDA kernels.
export * from "./ort/kernels/gpu.ts";

// Running a model's graphs: weights, forward and backward passes.
export * from "./model/engine/batch.ts";
export * from "./model/engine/compiled_graph.ts";
export * from "./model/engine/load_model.ts";
export * from "./model/engine/layered_weights.ts";
export * from "./model/engine/load_weights.ts";
export * from "./model/engine/event_turns.ts";
export * from "./model/engine/pacer.ts";
export * from "./model/engine/parameter_store.ts";
export * from "./model/engine/scratch.ts";
export * from "./model/engine/training_engine.ts";
export { computedTokens, type Layout } from "./model/engine/without_padding.ts";

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
export * from "./train/optimizers/adamw.ts";
export * from "./train/optimizers/adamw_graph.ts";
export * from "./train/best_evaluation.ts";
export * from "./train/checkpoints/checkpoint.ts";
export * from "./train/loop/evaluate.ts";
export * from "./train/events.ts";
export * from "./train/trainers/full_trainer.ts";
export * from "./train/loop/loop.ts";
export * from "./train/trainers/lora_trainer.ts";
export * from "./train/trainers/memory_estimate.ts";
export * from "./train/trainers/model_trainer.ts";
export * from "./train/checkpoints/output_lock.ts";
export * from "./train/loop/plan_updates.ts";
export * from "./train/checkpoints/run_facts.ts";
export * from "./train/checkpoints/saved_config.ts";
export * from "./train/schedule.ts";
export * from "./train/trainer.ts";
export * from "./train/checkpoints/trainer_state.ts";
export * from "./train/trainers/training_precision.ts";

// Generation: decoding, sampling and chats.
export * from "./infer/generate/batch_generator.ts";
export * from "./infer/chat/chat.ts";
export {
  type ChatPromptOptions,
  encodeChatPrompt,
  type EncodedPrompt,
} from "./infer/chat/chat_prompt.ts";
export * from "./infer/generate/decoder.ts";
export * from "./infer/generate/generation_config.ts";
export * from "./infer/generate/generator.ts";
export * from "./infer/generate/kv_cache.ts";
export type {
  LogitsProcessorContext,
  LogitsProcessorOptions,
  SequenceBias,
} from "./infer/sampling/logits_processors.ts";
export * from "./infer/chat/render_terminal.ts";
export * from "./infer/sampling/sampling.ts";
export type { StopTexts } from "./infer/generate/stop_texts.ts";
export * from "./infer/chat/think_splitter.ts";
export * from "./infer/sampling/token_sequence.ts";

// Progress, metrics, charts and reports.
export * from "./train/track/console_tracker.ts";
export * from "./train/track/format_units.ts";
export * from "./train/track/loss_chart.ts";
export * from "./train/track/metrics_log.ts";
export * from "./train/track/read_metrics_log.ts";
export * from "./train/track/report.ts";
export * from "./train/track/sample.ts";
export * from "./train/track/samples_log.ts";
export * from "./train/track/swanlab_log.ts";
export * from "./train/track/tensorboard_log.ts";
export * from "./train/track/tracker.ts";

// Exports for other runtimes, and how far they are from their checkpoint
export * from "./infer/export/client_files.ts";
export * from "./infer/export/export_model.ts";
export * from "./infer/export/exported_decoder.ts";
export * from "./infer/export/exported_generator.ts";
export * from "./infer/export/external_layout.ts";
export * from "./infer/export/export_format.ts";
export * from "./infer/export/model_graph.ts";
export * from "./infer/export/parity.ts";
export * from "./infer/export/parity_models.ts";
export * from "./infer/export/quantize_blocks.ts";
