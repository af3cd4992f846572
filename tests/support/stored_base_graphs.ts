/** The graphs of an adapter's training and of its replies over a base that is kept in float16. */

import { createLoraAdapter } from "../../lora/block_adapter.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { weightNormGraph } from "../../lora/weight_norms.ts";
import { BASE_STORAGES } from "../../model/base_storage.ts";
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
import type { Graph } from "../../ort/graph/ir.ts";
import { FAMILIES, type NamedGraph, SMALL_FAMILIES } from "../placement/every_graph.ts";

const STORED = { storage: BASE_STORAGES.fp16 };

/** Of every family. */
export function* storedBaseGraphs(): Generator<NamedGraph> {
  for (const families of [FAMILIES, SMALL_FAMILIES]) {
    for (const [family, json] of Object.entries(families)) {
      for (const [title, graph] of modelGraphs(parseConfig(json))) {
        const small = families === SMALL_FAMILIES;
        yield { title: `${family}, float32 on a float16 base: ${title}`, graph, small };
      }
    }
  }
  yield { title: "float16: weight norms", graph: weightNormGraph(4, STORED), small: true };
}

function* modelGraphs(config: ModelConfig): Generator<[string, Graph]> {
  yield ["embed", embedGraph(config, STORED)];
  yield ["head, frozen", headGraph(config, { ...STORED, frozen: true, logSoftmax: true })];
  yield ["head loss", headLossGraph(config, { ...STORED, logSoftmax: true })];
  yield ["head logits", headLogitsGraph(config, STORED)];
  for (const dora of [false, true]) {
    const adapter = createLoraAdapter(config, { ...DEFAULT_LORA, dora });
    const options = { ...STORED, adapter, dropout: true, deviceDropout: true };
    const method = dora ? "dora" : "lora";
    yield [`${method}, forward`, blockForwardGraph(config, options)];
    yield [`${method}, backward`, blockBackwardGraph(config, options)];
    const decode = decodeBlockGraph(config, {
      ...STORED,
      attention: "plain",
      linear: (b, weights) => adapter.wrap(b, weights, { training: false }).linear,
    });
    yield [`${method}, decode`, decode];
  }
}
