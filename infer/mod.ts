/**
 * Generation: replies of a model, thinking and answer apart.
 *
 * ```ts
 * import { createSampler } from "@ortune/ortune/infer";
 * import assert from "node:assert/strict";
 *
 * const greedy = createSampler({ greedy: true });
 * assert.equal(greedy(Float32Array.of(0.1, 2, -1)), 1);
 * ```
 *
 * @module
 */

// Chats.
export {
  type ChatModel,
  type LoadedGenerator,
  loadGenerator,
  type LoadGeneratorOptions,
  openChatModel,
  type OpenChatModelOptions,
} from "./chat/open_chat_model.ts";
export { type ChatContext, type ChatContextOptions, openChat } from "./chat/chat_context.ts";
export { chat, type ChatOptions, type ChatReply } from "./chat/chat.ts";
export type { ChatPrompt, ChatPromptOptions, EncodedPrompt } from "./chat/chat_prompt.ts";
export { type Output, type Reply, reply } from "./chat/reply.ts";
export { renderTerminal, type RenderTerminalOptions } from "./chat/render_terminal.ts";
export { type ChatPiece, ThinkSplitter, type ThinkSplitterOptions } from "./chat/think_splitter.ts";

// Tokens.
export {
  createGenerator,
  decoderGenerator,
  type DecoderGeneratorOptions,
  type Generator,
  type GeneratorOptions,
  type TokenDecoder,
} from "./generate/generator.ts";
export type { FinishReason, GenerateOptions, Generation } from "./generate/generation.ts";
export {
  type GenerationConfig,
  type GenerationFallbacks,
  parseGenerationConfig,
  readGenerationConfig,
} from "./generate/generation_config.ts";
export type { DecoderWeights } from "./generate/decode_blocks.ts";
export { Decoder, type DecoderOptions } from "./generate/decoder.ts";
export { KvCache, type KvCacheOptions, type LayerCache } from "./generate/kv_cache.ts";
export {
  BatchFullError,
  BatchGenerator,
  type BatchGeneratorOptions,
  type BatchLoad,
} from "./generate/batch_generator.ts";
export type { AdapterSlot } from "./generate/batch_decoder.ts";
export type { StopTexts } from "./generate/stop_texts.ts";
export { assertSampling, createSampler, type Sampler } from "./sampling/sampling.ts";
export type { SamplerOptions, SamplingOptions } from "./sampling/sampling_options.ts";
export type { TokenConstraint, TokenConstraintSource } from "./sampling/token_constraint.ts";
export type { ChosenLogprob, TokenLogprob } from "./sampling/token_logprobs.ts";
export { TokenSequence } from "./sampling/token_sequence.ts";
export type {
  LogitsProcessorContext,
  LogitsProcessorOptions,
  SequenceBias,
} from "./sampling/logits_processors.ts";

// GGUF files as models, and models as GGUF files.
export { type ExportedGguf, exportGguf, type ExportGgufOptions } from "./gguf/export_gguf.ts";
export { exportGgufAdapter, type ExportGgufAdapterOptions } from "./gguf/export_gguf_adapter.ts";
export { formatModelfile, type ModelfileOptions } from "./gguf/modelfile.ts";
export { type ImportedModel, importGguf, type ImportGgufOptions } from "./gguf/import_gguf.ts";
export type { ImportedDtype } from "./gguf/imported_weights.ts";
