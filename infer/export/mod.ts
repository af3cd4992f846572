/**
 * Models for other runtimes: a folder that transformers.js and ONNX Runtime GenAI read, in float32,
 * float16 or 4 bits, and how far its answers are from the checkpoint's.
 *
 * ```ts
 * import { EXPORT_FORMATS } from "@ortune/ortune/export";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(Object.keys(EXPORT_FORMATS), ["fp32", "fp16", "q4", "q4f16"]);
 * ```
 *
 * @module
 */

export {
  type ExportedFile,
  type ExportedModel,
  exportModel,
  type ExportModelOptions,
  type KeptAdapter,
} from "./export_model.ts";
export type { ExternalLayoutOptions } from "./external_layout.ts";
export { type ClientFilesOptions, exportClientFiles } from "./client_files.ts";
export { EXPORT_FORMATS, type ExportDtype, type ExportFormat, modelFile } from "./export_format.ts";
export { ExportedDecoder, type ExportedDecoderOptions } from "./exported_decoder.ts";
export {
  exportedGenerator,
  type ExportedGeneratorOptions,
  findExported,
} from "./exported_generator.ts";
export {
  compareParity,
  type ParityModel,
  type ParityQuestions,
  type ParityReference,
  parityReference,
  type ParityReport,
} from "./parity.ts";
export {
  checkpointParityModel,
  exportParityModel,
  type LoadedCheckpoint,
} from "./parity_models.ts";
