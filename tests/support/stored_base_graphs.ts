/** The graphs of an adapter's training and of its replies over a base that is kept in float16, 8 or 4 bits. */

import { createLoraAdapter } from "../../lora/block_adapter.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { weightNormGraph } from "../../lora/weight_norms.ts";
import { BASE_STORAGES, type BaseStorage } from "../../model/base_storage.ts";
import { type ModelConfig, parseConfig } from "../../model/config.ts";
import { decodeBlockGraph } from "../../model/graphs/decode_graphs.ts";
import {
  blockBackwardGraph,
  blockForwardGraph,
  embedGraph,
  headGraph,
  headLogitsGraph,
  headLossGraph,
} from "../../model/graphs/training_graphs.ts";
import type { Precision } from "../../model/precision.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { FAMILIES, type NamedGraph, SMALL_FAMILIES } from "../placement/every_graph.ts";

const FLOAT16: BaseStorage = BASE_STORAGES.fp16;
/** Blocks that no row of the small models is whole ones of. */
const QUANTIZED = { block: 64, compute: "fp32", layout: "blocks" } as const;
const INT8: BaseStorage = { ...BASE_STORAGES.int8, quantization: { bits: 8, ...QUANTIZED } };
const INT4: BaseStorage = { ...BASE_STORAGES.int4, quantization: { bits: 4, ...QUANTIZED } };

/** Bases in few bits differ from each other in their products alone, so that one model shows each. */
const IN_FEW_BITS = [["small Qwen3", INT8], ["Qwen3-0.6B", INT4], [
  "small gemma3_text",
  INT4,
]] as const;

/** Of every family. */
export function* storedBaseGraphs(): Generator<NamedGraph> {
  for (const families of [FAMILIES, SMALL_FAMILIES]) {
    for (const [family, json] of Object.entries(families)) {
      for (const [title, graph] of modelGraphs(parseConfig(json), FLOAT16)) {
        const small = families === SMALL_FAMILIES;
        yield { title: `${family}, float32 on a float16 base: ${title}`, graph, small };
      }
    }
  }
  const norms = weightNormGraph(4, { storage: FLOAT16 });
  yield { title: "float16: weight norms", graph: norms, small: true };
  yield* quantizedBaseGraphs("float32");
}

/** Those over a base in 8 and 4 bits, as WebGPU and CUDA take them. */
export function* quantizedBaseGraphs(precision: Precision): Generator<NamedGraph> {
  for (const [family, storage] of IN_FEW_BITS) {
    const config = parseConfig({ ...FAMILIES, ...SMALL_FAMILIES }[family]);
    const small = family in SMALL_FAMILIES;
    const kept = `${family}, ${precision} on a base in ${storage.name}`;
    for (const [title, graph] of modelGraphs(config, storage, precision)) {
      yield { title: `${kept}: ${title}`, graph, small };
    }
    const norms = weightNormGraph(4, { storage, precision, shape: [24, 20] });
    yield { title: `${kept}: weight norms`, graph: norms, small };
  }
}

function* modelGraphs(
  config: ModelConfig,
  storage: BaseStorage,
  precision: Precision = "float32",
): Generator<[string, Graph]> {
  const stored = { storage, precision };
  yield ["embed", embedGraph(config, stored)];
  yield ["head, frozen", headGraph(config, { ...stored, frozen: true, logSoftmax: true })];
  yield ["head loss", headLossGraph(config, { ...stored, logSoftmax: true })];
  yield ["head logits", headLogitsGraph(config, stored)];
  for (const dora of [false, true]) {
    const adapter = createLoraAdapter(config, { ...DEFAULT_LORA, dora });
    const options = { ...stored, adapter, dropout: true, deviceDropout: true };
    const method = dora ? "dora" : "lora";
    yield [`${method}, forward`, blockForwardGraph(config, options)];
    yield [`${method}, backward`, blockBackwardGraph(config, options)];
    const decode = decodeBlockGraph(config, {
      ...stored,
      attention: precision === "float32" ? "plain" : "fused",
      linear: (b, weights) => adapter.wrap(b, weights, { training: false }).linear,
    });
    yield [`${method}, decode`, decode];
  }
}
