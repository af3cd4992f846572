/**
 * Writes a LoRA adapter as a GGUF file, for llama.cpp's `--lora` and Ollama's `ADAPTER`.
 *
 * In: an adapter and the model it is for. Out: a small file that lies beside the model's.
 *
 * @module
 */

import { type GgufValue, writeGguf, type WrittenBytes } from "../../gguf/mod.ts";
import { loraA, loraB } from "../../lora/block_adapter.ts";
import type { LoraOptions } from "../../lora/lora_options.ts";
import { loraTargets } from "../../lora/lora_targets.ts";
import type { ModelConfig } from "../../model/config.ts";
import { layerName } from "../../model/parameters.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { ggufParts, type GgufTensorRows, toRows } from "./gguf_tensors.ts";
import { GGUF_ARCHITECTURES } from "./tensor_names.ts";

/** What {@linkcode exportGgufAdapter} writes. */
export interface ExportGgufAdapterOptions {
  /** Sizes and options of the model that it is for. */
  readonly config: ModelConfig;
  /** The adapter's weights, `model.layers.0.self_attn.q_proj.lora_A.weight` and so on. */
  readonly adapter: TensorSource;
  /** The adapter's settings. */
  readonly lora: LoraOptions;
  /** `general.name`, which programs show. */
  readonly name: string;
  /** Stops between two runs of rows and leaves no file. */
  readonly signal?: AbortSignal;
}

/**
 * Writes the file, in float32.
 *
 * @throws {RangeError} on DoRA, whose magnitudes the format has no place for
 */
export async function exportGgufAdapter(
  path: string,
  { config, adapter, lora, name, signal }: ExportGgufAdapterOptions,
): Promise<WrittenBytes> {
  if (lora.dora) {
    throw new RangeError(
      "Cannot write a GGUF file of a DoRA adapter alone: llama.cpp has no magnitudes; merge it, without " +
        "--keep-adapter",
    );
  }
  const targets = loraTargets(config, lora);
  // llama.cpp multiplies by alpha ÷ rank; 0 stands for by nothing.
  const [alpha, ...others] = new Set(targets.map(({ scale, rank }) => scale * rank));
  const isUniform = others.length === 0;
  const tensors = targets.flatMap(({ layer, name, scale }): GgufTensorRows[] => {
    const [a, b] = [loraA(name), loraB(name)].map((each) => layerName(layer, each));
    const [rank, columns] = adapter.info(a).shape;
    const [rows] = adapter.info(b).shape;
    const factor = isUniform ? undefined : (value: number) => scale * value;
    return ggufParts(config, layerName(layer, `${name}.weight`), [rows, columns]).flatMap((
      { name, conversion: { shape, rowOf, columnOf } },
    ) => [
      toRows(adapter, { name: `${name}.lora_a`, from: a }, { shape: [rank, columns], columnOf }),
      toRows(adapter, { name: `${name}.lora_b`, from: b }, {
        shape: [shape[0], rank],
        rowOf,
        number: factor,
      }),
    ]);
  });
  const text = (value: string): GgufValue => ({ type: "string", value });
  return await writeGguf(path, {
    metadata: new Map<string, GgufValue>([
      ["general.architecture", text(GGUF_ARCHITECTURES[config.modelType].name)],
      ["general.type", text("adapter")],
      ["general.name", text(name)],
      ["adapter.type", text("lora")],
      ["adapter.lora.alpha", { type: "float32", value: isUniform ? alpha : 0 }],
    ]),
    tensors: tensors.map((tensor) => ({ ...tensor, type: "f32" })),
    signal,
  });
}
