/**
 * A model with an adapter added to it, as a source of weights that is computed where it is read.
 *
 * In: a base model's weights and an adapter's. Out: W + scale·B·A in float32, with DoRA
 * its rows scaled to their magnitudes; a few rows at a time.
 *
 * @module
 */

import { layerName } from "../model/parameters.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Runtime } from "../ort/runtime/runtime.ts";
import { Tensor } from "../ort/runtime/tensor.ts";
import { floatRowsSource } from "../ort/tensor/float_rows_source.ts";
import { readFloat32, type TensorSource } from "../ort/tensor/tensor_source.ts";
import { loraA, loraB, loraMagnitude } from "./block_adapter.ts";
import type { LoraOptions } from "./lora_options.ts";
import { type LoraTarget, loraTargets } from "./lora_targets.ts";
import { MergeGraphs } from "./merge_adapter.ts";

/** What {@linkcode mergedSource} merges. */
export interface MergedSourceOptions {
  /** Sizes of the model. */
  readonly config: ModelConfig;
  /** Its weights under Hugging Face's names. */
  readonly base: TensorSource;
  /** The adapter's weights, `model.layers.0.self_attn.q_proj.lora_A.weight` and so on. */
  readonly adapter: TensorSource;
  /** The adapter's settings. */
  readonly lora: LoraOptions;
}

/** Weights under the base's names, all float32; dispose of it when they have been read. */
export function mergedSource(
  runtime: Runtime,
  { config, base, adapter, lora }: MergedSourceOptions,
): TensorSource & Disposable {
  const graphs = new MergeGraphs(runtime, { ...lora, dora: false });
  const adapted = new Map<string, { target: LoraTarget; a: string; b: string; m: string }>();
  for (const target of loraTargets(config, lora)) {
    const { layer, name } = target;
    adapted.set(layerName(layer, `${name}.weight`), {
      target,
      a: layerName(layer, loraA(name)),
      b: layerName(layer, loraB(name)),
      m: layerName(layer, loraMagnitude(name)),
    });
  }

  /** Whole rows of a weight, merged. */
  const rows = async (name: string, first: number, count: number): Promise<Float32Array> => {
    const columns = base.info(name).shape[1];
    const names = adapted.get(name)!;
    const [rank] = adapter.info(names.a).shape;
    const part = { start: first * columns, count: count * columns };
    const [numbers, a, b] = await Promise.all([
      readFloat32(base, name, part),
      readFloat32(adapter, names.a),
      readFloat32(adapter, names.b, { start: first * rank, count: count * rank }),
    ]);
    using w = Tensor.from(runtime, "float32", [count, columns], numbers);
    using down = Tensor.from(runtime, "float32", [rank, columns], a);
    using up = Tensor.from(runtime, "float32", [count, rank], b);
    graphs.of(names.target).run({ w, a: down, b: up });
    const merged = w.float32().slice();
    if (lora.dora) scaleRows(merged, await readFloat32(adapter, names.m, { start: first, count }));
    return merged;
  };

  const source = floatRowsSource(base, { computes: (name) => adapted.has(name), rows });
  return { ...source, [Symbol.dispose]: () => graphs[Symbol.dispose]() };
}

/** DoRA: scales each row to the length that `magnitudes` gives it. */
function scaleRows(rows: Float32Array, magnitudes: Float32Array): void {
  const columns = rows.length / magnitudes.length;
  magnitudes.forEach((magnitude, row) => {
    const values = rows.subarray(row * columns, (row + 1) * columns);
    const gain = magnitude / Math.sqrt(values.reduce((sum, each) => sum + each * each, 0));
    for (let i = 0; i < columns; i++) values[i] *= gain;
  });
}
