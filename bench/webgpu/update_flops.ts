/** What the matrix products of an update compute. In: a model's shape and tokens. Out: operations. */

import { createLoraAdapter } from "../../lora/block_adapter.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { parseConfig } from "../../model/config.ts";
import {
  blockBackwardGraph,
  blockForwardGraph,
  embeddingBackwardGraph,
  headGraph,
} from "../../model/graphs/training_graphs.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import type { Method } from "../gpu/entries.ts";
import { randomModelConfig } from "../gpu/random_model.ts";
import type { ModelShape } from "../gpu/workload.ts";
import { productFlops } from "../product_flops.ts";

/** Forward, the recomputing backward, head and embedding of rows that are supervised throughout. */
export function updateFlops(
  { shape, rows, length }: {
    readonly shape: ModelShape;
    readonly rows: number;
    readonly length: number;
  },
  method: Method,
): number {
  const config = parseConfig(randomModelConfig(shape, "float32"));
  const lora = method === "lora";
  const options = { adapter: lora ? createLoraAdapter(config, DEFAULT_LORA) : undefined };
  const tokens = rows * length;
  const n = rows * (length - 1);
  const symbols = { rows, length, tokens, n, positions: length, unique: tokens };
  const flops = ({ nodes }: Graph): number =>
    nodes.reduce((sum, node) => sum + productFlops(node, symbols), 0);
  return config.layers * (flops(blockForwardGraph(config, options)) +
        flops(blockBackwardGraph(config, options))) +
    flops(headGraph(config, { frozen: lora })) +
    (lora ? 0 : flops(embeddingBackwardGraph(config)));
}
