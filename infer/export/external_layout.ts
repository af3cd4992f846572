/**
 * Where each weight of an export lies in the files beside the .onnx file.
 *
 * In: weights with their sizes. Out: files no larger than a browser can hold in one buffer, and for
 * each value its file, offset and length.
 *
 * @module
 */

import type { ExternalData } from "../../ort/graph/onnx_writer.ts";
import { tensorBytes } from "../../ort/tensor/tensor_source.ts";
import type { GraphWeight, WeightPart } from "./model_graph.ts";

// A browser's ArrayBuffer holds some 2 GB, and ONNX Runtime's web build addresses no more at a time.
const MAX_FILE_BYTES = 2e9;
// A page of memory, so that files can be mapped instead of read.
const ALIGNMENT = 4096;

/** A file of weights. */
export interface ExternalFile {
  /** Its name beside the .onnx file. */
  readonly name: string;
  /** Bytes of the file. */
  readonly bytes: number;
  /** What is written into it, in order. */
  readonly weights: readonly GraphWeight[];
}

/** The layout of an export's weights. */
export interface ExternalLayout {
  /** `model.onnx_data`, `model.onnx_data_1` and so on; adapters have the last for themselves. */
  readonly files: readonly ExternalFile[];
  /** Of every value. */
  readonly places: ReadonlyMap<string, ExternalData>;
}

/** Options of {@linkcode layOutExternal}. */
export interface ExternalLayoutOptions {
  /**
   * Most bytes of a file; a larger weight gets one of its own.
   * @default {2e9}
   */
  readonly maxFileBytes?: number;
}

/** Bytes of a part of a weight. */
function partBytes({ values: [{ dtype, shape }] }: WeightPart): number {
  return tensorBytes({ dtype, shape: shape as readonly number[] });
}

/**
 * Lays weights out, in their order, behind one another.
 *
 * @param model the .onnx file's name, such as `model_q4.onnx`
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { EXPORT_FORMATS } from "@ortune/ortune/export";
 * import { layOutExternal } from "./external_layout.ts";
 * import { modelGraph } from "./model_graph.ts";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 32, intermediate_size: 64,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 16, vocab_size: 261, eos_token_id: 258,
 * });
 * const { weights } = modelGraph(config, { format: EXPORT_FORMATS.fp32 });
 * const { files, places } = layOutExternal("model.onnx", weights);
 * assert.deepEqual(files.map(({ name }) => name), ["model.onnx_data"]);
 * assert.equal(places.get("model.embed_tokens.weight")!.length, 4 * 261 * 32);
 * ```
 */
export function layOutExternal(
  model: string,
  weights: readonly GraphWeight[],
  { maxFileBytes = MAX_FILE_BYTES }: ExternalLayoutOptions = {},
): ExternalLayout {
  const files: { name: string; bytes: number; weights: GraphWeight[]; adapter: boolean }[] = [];
  const places = new Map<string, ExternalData>();
  for (const weight of weights) {
    const bytes = weight.parts.reduce((sum, part) => align(sum) + partBytes(part), 0);
    let file = files.at(-1);
    const full = file !== undefined && align(file.bytes) + bytes > maxFileBytes;
    if (file === undefined || full || file.adapter !== weight.adapter) {
      const name = `${model}_data${files.length === 0 ? "" : `_${files.length}`}`;
      files.push(file = { name, bytes: 0, weights: [], adapter: weight.adapter });
    }
    file.weights.push(weight);
    for (const part of weight.parts) {
      const place = { location: file.name, offset: align(file.bytes), length: partBytes(part) };
      for (const { name } of part.values) places.set(name, place);
      file.bytes = place.offset + place.length;
    }
  }
  return { files, places };
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
