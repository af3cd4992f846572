/**
 * From rows to batches: JSON Lines, chat templates, tokenizers, examples with labels, and batches.
 *
 * In: files of think/answer records or of chats. Out: token ids and labels as Hugging Face's
 * templates and tokenizers make them, in the order that its Trainer takes them.
 *
 * ```ts
 * import { byteTokenizerFiles, createTokenizer, makeBatches, toExamples } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const chat = [{ role: "user", content: "2 + 2?" }, { role: "assistant", content: "4" }] as const;
 * const examples = toExamples(chat, { tokenizer, maxLength: 64 });
 * const options = { batchSize: 1, padId: tokenizer.padTokenId!, seed: 42, epoch: 0 };
 * const [batch] = makeBatches(examples, options);
 * assert.equal(batch.tokens, examples[0].inputIds.length);
 * ```
 *
 * @module
 */

// Rows.
export { readRows, type ReadRowsOptions } from "./records/read_rows.ts";
export {
  JsonlError,
  type JsonlErrorPlace,
  type RowLocation,
  type RowUnit,
} from "./records/jsonl_error.ts";
export { parseRecord, toMessages, type ToMessagesOptions } from "./records/record.ts";
export type {
  AnyRecord,
  ChatRecord,
  PairRecord,
  QuestionRecord,
  ReplyRecord,
  TextRecord,
  TrainingRecord,
} from "./records/record_types.ts";
export type { ParseRecordOptions, RecognizedShape } from "./records/shape_row.ts";
export type { OnUnread } from "./records/row_shape.ts";
export { assertRowColumns, COLUMN_MEANINGS, type RowColumns } from "./records/row_shapes.ts";
export {
  type DatasetRows,
  readDatasetRows,
  type ReadDatasetRowsOptions,
} from "./records/dataset_rows.ts";
export {
  type DatasetSplit,
  splitDataset,
  type SplitDatasetOptions,
} from "./records/split_dataset.ts";
export {
  formatPythonJson,
  parsePythonJson,
  type PythonJson,
  PythonNumber,
  toPlainJson,
} from "../internal/json/python_json.ts";

// Chats and tokens.
export type { Message, Role, Tool, ToolCall } from "./text/message.ts";
export { checkChatTemplate, renderChat, type RenderChatOptions } from "./text/chat_template.ts";
export {
  CHAT_SETTINGS,
  type ChatSettings,
  formatChatSettings,
  parseChatSettings,
  readChatSettings,
} from "./text/chat_settings.ts";
export { type SplitReply, splitThinking } from "./text/thinking.ts";
export {
  createTokenizer,
  type DecodeOptions,
  loadTokenizer,
  type LoadTokenizerOptions,
  type RenderOptions,
  type Tokenizer,
  type TokenizerFiles,
} from "./text/tokenizer.ts";
export { byteTokenizerFiles } from "./text/byte_tokenizer.ts";
export { StreamingDecoder, type StreamingDecoderOptions } from "./text/streaming_decoder.ts";

// Examples.
export { type Example, IGNORED } from "./examples/example.ts";
export { type EmptyThink, toExamples, type ToExamplesOptions } from "./examples/to_examples.ts";
export { toTextExample, type ToTextExampleOptions } from "./examples/text_example.ts";
export { encodeRecord, type EncodeRecordOptions } from "./examples/encode_record.ts";
export { taughtTurns, type Teach } from "./examples/taught_turns.ts";
export type { Truncation, TruncationOptions } from "./examples/truncation.ts";
export { joinExample, type JoinExampleOptions } from "./examples/join_example.ts";
export { type ExampleList, toExampleList } from "./examples/example_list.ts";
export { readExamples, type ReadExamplesResult } from "./examples/read_examples.ts";
export type { ReadExamplesOptions } from "./examples/read_examples_options.ts";
export type { ReadExamplesReport } from "./examples/read_examples_report.ts";
export type {
  RefusedRow,
  RowStatistics,
  ShapeUse,
  SystemPromptUse,
  UnreadField,
} from "./examples/row_statistics.ts";
export {
  type PreparedExamples,
  prepareExamples,
  type PrepareExamplesOptions,
  type TokenFolder,
} from "./examples/prepare_examples.ts";
export type { EncodeRowsOptions, LocatedExample, RowsProgress } from "./examples/encode_rows.ts";
export {
  type ExampleColumns,
  PackedExamples,
  type PackedExamplesParts,
  type TokenSink,
  type TokenStorage,
} from "./examples/packed_examples.ts";
export {
  interleaveRows,
  type InterleaveRowsOptions,
  type MixStrategy,
} from "./examples/interleave_rows.ts";
export { toSeedExample, type ToSeedExampleOptions } from "./examples/seed_example.ts";
export {
  type ControlTokenUse,
  inspectRecords,
  type InspectRecordsOptions,
  promptIsInference,
  type PromptIsInferenceOptions,
  type RecordsInspection,
  rendersGenerationPrompt,
  taughtTerminator,
} from "./examples/preflight.ts";
export {
  formatTokenTable,
  type FormatTokenTableOptions,
  type TokenRow,
  tokenTable,
} from "./examples/token_table.ts";

// Batches.
export {
  countBatches,
  makeBatches,
  type MakeBatchesOptions,
  planBatches,
} from "./batches/batches.ts";
export { type BatchPlanOptions, epochOrder, type EpochOrderOptions } from "./batches/epoch_plan.ts";
export {
  type Batch,
  collate,
  type CollateOptions,
  packExamples,
  type PackExamplesOptions,
} from "./batches/collator.ts";
