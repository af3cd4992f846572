/**
 * Writes a model as an ONNX file with its weights beside it.
 *
 * In: weights under Hugging Face's names, perhaps an adapter's. Out: `onnx/model*.onnx` and
 * `onnx/model*.onnx_data` in a folder, as transformers.js and any ONNX Runtime load them.
 *
 * @module
 */

import { writeOnnx } from "../../ort/graph/onnx_writer.ts";
import { loraB, loraParameters } from "../../lora/block_adapter.ts";
import type { LoraOptions } from "../../lora/lora_options.ts";
import { loraTargets } from "../../lora/lora_targets.ts";
import { resizedSource } from "../../lora/resized_source.ts";
import type { ModelConfig } from "../../model/config.ts";
import { layerName } from "../../model/parameters.ts";
import type { ParameterSpec } from "../../model/parts/parameter_spec.ts";
import { distinctKinds } from "../../model/parts/layer_kind.ts";
import { positionTables } from "../../model/rope.ts";
import { FileWriter, type WrittenBytes } from "../../ort/tensor/file_writer.ts";
import { missingTensorError } from "../../ort/tensor/tensor_errors.ts";
import {
  readFloat32,
  type TensorData,
  type TensorInfo,
  type TensorSource,
  tensorSourceFromMap,
} from "../../ort/tensor/tensor_source.ts";
import { type ExternalLayoutOptions, layOutExternal } from "./external_layout.ts";
import { EXPORT_FORMATS, type ExportDtype, modelFile } from "./export_format.ts";
import { EXPORT_OPSET, modelGraph, positionTableName } from "./model_graph.ts";
import { writeExternalFile } from "./write_external.ts";

/** An adapter that stays apart from its base. */
export interface KeptAdapter {
  /** Its settings. */
  readonly lora: LoraOptions;
  /** Its weights, `model.layers.0.self_attn.q_proj.lora_A.weight` and so on. */
  readonly weights: TensorSource;
}

/** What {@linkcode exportModel} exports, and how. */
export interface ExportModelOptions extends ExternalLayoutOptions {
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  /** Its weights, read a few rows at a time. */
  readonly weights: TensorSource;
  /** The numbers it is written in. */
  readonly dtype: ExportDtype;
  /**
   * An adapter for a file of its own, the last one.
   * @default {none}
   */
  readonly adapter?: KeptAdapter;
  /** Called with the bytes written so far and in all. */
  readonly onBytes?: (written: number, total: number) => void;
  /** Stops between two chunks; the file being written is left out. */
  readonly signal?: AbortSignal;
}

/** A file of an export. */
export interface ExportedFile extends WrittenBytes {
  /** Its path inside the folder, such as `onnx/model_q4.onnx_data`. */
  readonly path: string;
}

/** A model that was written. */
export interface ExportedModel {
  /** The numbers it is written in. */
  readonly dtype: ExportDtype;
  /** The files of weights, and last the model. */
  readonly files: readonly ExportedFile[];
}

/**
 * Exports a model into a folder, which must have a folder `onnx`. `exportClientFiles` adds what else
 * transformers.js wants.
 *
 * @example
 * ```ts
 * import { exportModel, parseConfig, Runtime } from "@ortune/ortune";
 * import { ExportedDecoder } from "@ortune/ortune/export";
 * import { layoutParameters, modelParameters, ParameterStore } from "@ortune/ortune/model";
 * import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
 * import assert from "node:assert/strict";
 * import { mkdir, mkdtemp, rm } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 32, intermediate_size: 64,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 16, vocab_size: 261, eos_token_id: 258,
 * });
 * using runtime = new Runtime({ threads: 1 });
 * using weights = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
 * new TorchGenerator(42).normal(weights.flat.float32(), 0, 0.1);
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * await mkdir(`${folder}/onnx`);
 * const { files } = await exportModel(folder, { config, weights, dtype: "q4" });
 * assert.deepEqual(files.map(({ path }) => path), ["onnx/model_q4.onnx_data", "onnx/model_q4.onnx"]);
 * {
 *   using decoder = new ExportedDecoder(runtime, folder, { config, dtype: "q4" });
 *   assert.equal((await decoder.prefill([1, 2, 3])).length, 261);
 * }
 * await rm(folder, { recursive: true });
 * ```
 *
 * @throws {RangeError} where the format cannot hold the model
 */
export async function exportModel(
  directory: string,
  options: ExportModelOptions,
): Promise<ExportedModel> {
  const { config, weights: base, dtype, adapter, onBytes, signal } = options;
  const specs = adapter ? adapterParameters(config, adapter.lora) : [];
  const format = EXPORT_FORMATS[dtype];
  const { graph, weights } = modelGraph(config, { format, adapter: specs });
  const name = modelFile(dtype);
  const layout = layOutExternal(name, weights, options);
  const total = layout.files.reduce((sum, { bytes }) => sum + bytes, 0);
  const source = layeredSource([
    base,
    positionSource(config),
    ...adapter ? [await scaledAdapter(config, adapter)] : [],
  ]);
  const files: ExportedFile[] = [];
  let written = 0;
  for (const file of layout.files) {
    const bytes = await writeExternalFile(`${directory}/onnx`, file, {
      places: layout.places,
      source,
      onBytes: (ofFile) => onBytes?.(written + ofFile, total),
      signal,
    });
    written += bytes.bytes;
    files.push({ path: `onnx/${file.name}`, ...bytes });
  }
  // Last, so that a model is there only with all of its weights.
  await using file = await FileWriter.create(`${directory}/onnx/${name}`);
  await file.write(
    writeOnnx(graph, { external: layout.places, opset: EXPORT_OPSET, shapes: true }),
  );
  files.push({ path: `onnx/${name}`, ...await file.commit() });
  return { dtype, files };
}

/** The tables that turn queries and keys, for every position of the model. */
function positionSource(config: ModelConfig): TensorSource {
  const tables = distinctKinds(config).flatMap((kind) =>
    Object.entries(positionTables(kind, config.maxPositions)).map((
      [name, { width, data }],
    ): [string, TensorData] => [positionTableName(config, kind, name), {
      dtype: "float32",
      shape: [config.maxPositions, width],
      data: new Uint8Array(data.buffer),
    }])
  );
  return tensorSourceFromMap(new Map(tables));
}

/** What a kept adapter adds to the graph. */
function adapterParameters(config: ModelConfig, lora: LoraOptions): readonly ParameterSpec[] {
  if (lora.dora) {
    throw new RangeError(
      "Cannot keep a DoRA adapter apart from its model: its magnitudes scale the model's own rows; " +
        "leave out --keep-adapter to merge it",
    );
  }
  return loraParameters(config, lora);
}

/** The adapter in memory, its scale in B: the graph has no number of its own to be exchanged. */
async function scaledAdapter(
  config: ModelConfig,
  { lora, weights }: KeptAdapter,
): Promise<TensorSource> {
  const scales = new Map(
    loraTargets(config, lora).map(({ layer, name, scale }) => [
      layerName(layer, loraB(name)),
      scale,
    ]),
  );
  const specs = adapterParameters(config, lora);
  const source = resizedSource(weights, specs);
  const tensors = new Map<string, TensorData>();
  for (const { name, shape } of specs) {
    const numbers = await readFloat32(source, name);
    const scale = scales.get(name);
    const scaled = scale === undefined ? numbers : numbers.map((each) => each * scale);
    tensors.set(name, { dtype: "float32", shape, data: new Uint8Array(scaled.buffer) });
  }
  return tensorSourceFromMap(tensors);
}

/** One set of names over several sources, of which the first counts. */
function layeredSource(sources: readonly TensorSource[]): TensorSource {
  const owners = new Map(
    sources.toReversed().flatMap((source) => source.names().map((name) => [name, source])),
  );
  const owner = (name: string): TensorSource => {
    const source = owners.get(name);
    if (!source) throw missingTensorError(name, [...owners.keys()], "the checkpoint");
    return source;
  };
  return {
    names: (): readonly string[] => [...owners.keys()],
    info: (name: string): TensorInfo => owner(name).info(name),
    read: (name: string, into: Uint8Array, offset?: number): Promise<void> =>
      owner(name).read(name, into, offset),
  };
}
